"""Which tokens keep a text on the way to a match of a pattern, whatever the tokens are.

Letters: V vocabulary size.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charrnn.ids import EOS
from charrnn.inference.patterns import DEAD, Automaton
from charrnn.inference.spelling import Spelling

Array = np.ndarray

_NEVER = 1 << 60  # characters that no text has


@dataclass(frozen=True)
class State:
    """How far a match is."""

    number: int = 0  # of the automaton, after all that is settled
    held: str = ""  # decomposed characters that may still change
    skipped: int = 0  # characters of them, composed, that belong to the prompt


@dataclass(frozen=True)
class Row:
    """What each token leads to from one state, all (V,).

    A token may be drawn if the fewest characters with which a match can end after it, its own
    included, fit the room that is left; or if it only ends a text that matches without it, as a
    word does that is too long, or a decomposed character that begins another one.
    """

    fewest: Array
    low: Array  # the room with which it only ends the text
    high: Array

    def allowed(self, room: int) -> Array:
        """Whether each token may be drawn where `room` more characters fit (V,)."""
        found: Array = (self.fewest <= room) | ((self.low <= room) & (room <= self.high))
        return found


class Matcher:
    """The states of matches of a pattern; made once for many texts."""

    def __init__(self, spelling: Spelling, automaton: Automaton) -> None:
        self.spelling, self.automaton = spelling, automaton
        pieces = spelling.alphabet if spelling.composes else spelling.tokens
        self._fewest = _fewest(automaton, pieces)
        self._rows: dict[State, Row] = {}
        self._after: dict[tuple[int, str, int], int] = {}

    def push(self, state: State, token: str) -> State:
        """The state after one more token."""
        settled, held = self.spelling.push(state.held, token)
        number = self.automaton.walk(state.number, settled[state.skipped :])
        return State(number, held, 0 if settled else state.skipped)

    def fewest(self, state: State) -> int:
        """The fewest characters, those that are held included, with which a match can end."""
        key = (state.number, state.held, state.skipped)
        if key not in self._after:
            walk = self.automaton.walk
            self._after[key] = min(
                len(ending) + self._fewest[walk(state.number, ending[state.skipped :])]
                for ending in self.spelling.endings(state.held)
            )
        return self._after[key]

    def row(self, state: State) -> Row:
        """What each token leads to."""
        if state not in self._rows:
            self._rows[state] = self._new_row(state)
        return self._rows[state]

    def _new_row(self, state: State) -> Row:
        accepts, V = self.automaton.accepts, len(self.spelling.tokens)
        fewest, low, high = (np.full(V, each) for each in (_NEVER, _NEVER, 0))
        held = self.spelling.endings(state.held)[0]
        if accepts[self.automaton.walk(state.number, held[state.skipped :])]:
            fewest[EOS] = 0
        for id, token in self.spelling.drawn():
            new = self.push(state, token)
            size = len(held) if self.spelling.composes else len(token)
            is_settled = new.held != state.held + token
            fewest[id] = min(_NEVER, size * is_settled + self.fewest(new))
            if not self.spelling.composes:
                if accepts[state.number] and fewest[id] < _NEVER:
                    low[id], high[id] = 0, size - 1
            elif is_settled and accepts[new.number]:
                low[id], high[id] = size, _NEVER if self._is_final(new.number) else size
        return Row(fewest, low, high)

    def _is_final(self, number: int) -> bool:
        """Whether a match ends in this state and cannot go on."""
        return all(self._fewest[target] >= _NEVER for target in self.automaton.moves[number])


class Match:
    """How far one text is on its way to a match.

    Args:
        held: decomposed characters at the end of the prompt that may still change.
    """

    def __init__(self, matcher: Matcher, held: str) -> None:
        self._matcher = matcher
        self._state = State(0, held, len(matcher.spelling.endings(held)[0]))

    def allowed(self, room: int) -> Array:
        """Whether each token may be drawn where `room` more characters fit (V,)."""
        return self._matcher.row(self._state).allowed(room)

    def push(self, token: str) -> None:
        """Go on by a token."""
        self._state = self._matcher.push(self._state, token)

    @property
    def is_over(self) -> bool:
        """Whether the last token only ended the text, as nothing that begins so can match."""
        return self._matcher.fewest(self._state) >= _NEVER


def _fewest(automaton: Automaton, pieces: Iterable[str]) -> list[int]:
    """The fewest characters from each state to the end of a match, at last from DEAD (Dijkstra)."""
    kinds = automaton.kinds
    read = ([kinds.get(char, DEAD) for char in piece] for piece in pieces if piece)
    sizes = {tuple(each): len(each) for each in read}
    before: dict[int, dict[int, int]] = defaultdict(dict)  # the states that lead to each
    for state in range(len(automaton.moves)):
        for piece, size in sizes.items():
            target = state
            for kind in piece:
                target = automaton.moves[target][kind]
                if target == DEAD:
                    break
            else:
                before[target][state] = min(size, before[target].get(state, size))
    found = [_NEVER] * (len(automaton.moves) + 1)
    queue = [(0, state) for state, accepts in enumerate(automaton.accepts) if accepts]
    while queue:
        size, state = heapq.heappop(queue)
        if size < found[state]:
            found[state] = size
            for source, more in before[state].items():
                heapq.heappush(queue, (size + more, source))
    return found
