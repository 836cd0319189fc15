"""Regular expressions as deterministic automata, for texts that must match as they are written.

A pattern means what it means to `re.fullmatch`. It becomes a position automaton (Glushkov 1961),
whose sets of positions, kept as the bits of a number, are the states of the deterministic one.
"""

import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from charrnn.errors import ConfigError, setting

DEAD = -1  # the state that nothing leads out of; as an index, it is the last one
_MOST = 5_000  # positions of a pattern, and states
_NO_LIMIT = -1
_GROUP = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")
_REPEAT = re.compile(r"(?:[*+?]|\{(?!\})(?P<low>\d*)(?P<comma>,)?(?P<high>(?<=,)\d*)?\})\??")
_ATOM = re.compile(
    r"\[\^?\]?(?:\\.|[^\]\\])*\]|"
    r"\\(?:x..|u....|U.{8}|N\{[^}]*\}|0[0-7]{0,2}|[1-3][0-7]{2}|.)|.",
    re.DOTALL,
)
_REFUSED = {
    re.compile(source): what
    for source, what in {
        r"\\(?![1-3][0-7]{2})[1-9]|\(\?P=": "backreferences",
        r"\(\?<?[=!]": "look-around",
        r"\(\?\(": "conditions",
        r"\(\?>": "atomic groups",
        r"\(\?(?!:|P<)": "flags or comments",
        r"[\^$]|\\[AbBZz]": "anchors; the whole continuation always matches",
    }.items()
}


@dataclass(frozen=True)
class Automaton:
    """A deterministic automaton that begins in state 0."""

    kinds: Mapping[str, int]  # of characters; those of one kind lead to the same states
    moves: Sequence[Sequence[int]]  # the state after each state and kind, at last DEAD
    accepts: Sequence[bool]  # whether a text may end in each state, at last in DEAD

    def walk(self, state: int, text: str) -> int:
        """The state after a text that follows a state."""
        for char in text:
            if state == DEAD:
                break
            state = self.moves[state][self.kinds.get(char, DEAD)]
        return state


def compiled(pattern: str, alphabet: Collection[str]) -> Automaton:
    """Return the automaton of the texts that match a pattern and are made of some characters.

    Raises:
        ConfigError: it is no regular expression, has what no automaton can do, or is too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of syntax that may change its meaning
            re.compile(pattern)
        return _Positions(pattern).automaton(alphabet)
    except (re.error, OverflowError) as error:
        raise ConfigError(f"{setting('regex')} is no regular expression: {error}") from None
    except RecursionError:
        raise ConfigError(f"{setting('regex')} is nested too deep") from None


@dataclass(frozen=True)
class _Part:
    """A part of a pattern: positions are the bits of a number."""

    first: int = 0  # where a match may begin
    last: int = 0  # where it may end
    nullable: bool = True  # whether nothing is a match


_Make = Callable[[], _Part]  # makes a part with new positions, as a repeat needs several


class _Positions:
    """The positions of a pattern, each of which reads one character, and what may follow each.

    Position 0 is before the first character.

    Args:
        pattern: a regular expression that Python accepts.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern, self._place, self._copies = pattern, 0, 0
        self._atoms, self._follow = [""], [0]
        whole = self._alternatives()()
        self._follow[0], self._ends = whole.first, whole.last | whole.nullable

    def automaton(self, alphabet: Collection[str]) -> Automaton:
        """The deterministic automaton of this pattern: the subset construction."""
        kinds, reading = self._kinds(alphabet)
        numbers, queue, moves = {1: 0}, [1], []
        for positions in queue:  # grows
            reached = 0
            for position in _bits(positions):
                reached |= self._follow[position]
            row = []
            for mask in reading:
                target = reached & mask
                if target and target not in numbers:
                    numbers[target] = len(queue)
                    queue.append(target)
                    _check_size(len(queue))
                row.append(numbers[target] if target else DEAD)
            moves.append([*row, DEAD])
        return Automaton(kinds, moves, [*(bool(each & self._ends) for each in queue), False])

    def _kinds(self, alphabet: Collection[str]) -> tuple[dict[str, int], list[int]]:
        """The kind of each character that some position reads, and the positions that read each."""
        joined = "".join(alphabet)
        read_by = dict.fromkeys(alphabet, 0)
        positions: dict[str, int] = {}
        for position, atom in enumerate(self._atoms[1:], start=1):
            positions[atom] = positions.get(atom, 0) | 1 << position
        for atom, mask in positions.items():
            for char in {*re.findall(atom, joined)}:
                read_by[char] |= mask
        reading = sorted({*read_by.values()} - {0})
        numbers = {mask: number for number, mask in enumerate(reading)}
        return {char: numbers[mask] for char, mask in read_by.items() if mask}, reading

    # The parser: each method reads from `_place` on.

    def _alternatives(self) -> _Make:
        parts = [self._sequence()]
        while self._pattern[self._place : self._place + 1] == "|":
            self._place += 1
            parts.append(self._sequence())
        return lambda: reduce(_either, (make() for make in parts))

    def _sequence(self) -> _Make:
        parts = []
        while self._pattern[self._place : self._place + 1] not in ("", "|", ")"):
            parts.append(self._repeated())
        return lambda: reduce(self._joined, (make() for make in parts), _Part())

    def _repeated(self) -> _Make:
        make = self._atom()
        found = _REPEAT.match(self._pattern, self._place)
        if not found:
            return make
        self._place = found.end()
        if self._pattern[self._place : self._place + 1] == "+":
            raise ConfigError(f"{setting('regex')} cannot have possessive repeats")
        sign = found[0][0]
        if sign == "{":
            low = int(found["low"] or 0)
            high = int(found["high"] or _NO_LIMIT) if found["comma"] else low
        else:
            low, high = {"*": (0, _NO_LIMIT), "+": (1, _NO_LIMIT), "?": (0, 1)}[sign]
        return lambda: self._copied(make, low, high)

    def _atom(self) -> _Make:
        for refused, what in _REFUSED.items():
            if found := refused.match(self._pattern, self._place):
                raise ConfigError(f"{setting('regex')} cannot have {what}: '{found[0]}'")
        if found := _GROUP.match(self._pattern, self._place):
            self._place = found.end()
            inner = self._alternatives()
            self._place += len(")")
            return inner
        found = _ATOM.match(self._pattern, self._place)
        assert found, "Python accepts the pattern"
        self._place = found.end()
        atom = found[0] if found[0][0] in "[\\." else re.escape(found[0])
        return lambda: self._position(atom)

    # What the parts of a pattern are made of

    def _position(self, atom: str) -> _Part:
        self._atoms.append(atom)
        self._follow.append(0)
        _check_size(len(self._atoms))
        bit = 1 << (len(self._atoms) - 1)
        return _Part(bit, bit, nullable=False)

    def _joined(self, one: _Part, other: _Part) -> _Part:
        """One part and then the other."""
        for position in _bits(one.last):
            self._follow[position] |= other.first
        first = one.first | (other.first if one.nullable else 0)
        last = other.last | (one.last if other.nullable else 0)
        return _Part(first, last, one.nullable and other.nullable)

    def _copied(self, make: _Make, low: int, high: int) -> _Part:
        """A part repeated `low` to `high` times."""
        found, endless = _Part(), high == _NO_LIMIT
        for number in range(max(low, 1) if endless else high, 0, -1):  # the last one first
            self._copies += 1
            _check_size(self._copies)
            part = make()
            if endless and found == _Part():
                self._joined(part, part)
            found = self._joined(part, found)
            if number > low:
                found = _Part(found.first, found.last)
        return found


def _either(one: _Part, other: _Part) -> _Part:
    return _Part(one.first | other.first, one.last | other.last, one.nullable or other.nullable)


def _bits(number: int) -> Iterator[int]:
    """The places of the bits that are set."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _check_size(size: int) -> None:
    if size > _MOST:
        raise ConfigError(
            f"{setting('regex')} needs more than {_MOST:,} states: shorten its repeats"
        )
