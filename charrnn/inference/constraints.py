"""Constrained decoding: which tokens may come next in a text, by what it has and what it must be.

Letters: V vocabulary size.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from charrnn.config import SampleConfig
from charrnn.errors import ConfigError, setting
from charrnn.ids import EOS
from charrnn.inference.matching import Match, Matcher
from charrnn.inference.patterns import compiled
from charrnn.inference.spelling import Spelling
from charrnn.text.unicode import normalize
from charrnn.text.vocabulary import Vocabulary

Array = np.ndarray

_ANYTHING = r"[\s\S]*"
_SHOWN = 20  # characters of a text in an error


class Constraint(Protocol):
    """What restricts the next token of one text."""

    @property
    def is_over(self) -> bool:
        """Whether the last token only ended the text and is no part of it."""

    def allowed(self, room: int) -> Array:
        """Whether each token may be drawn where `room` more characters fit (V,)."""

    def push(self, token: str) -> None:
        """Take in the token that was drawn."""


class NoRepeat:
    """Forbid any stretch of a given length that the text already has.

    Args:
        text: what is settled of the prompt.
        held: decomposed characters after it that may still change.
    """

    is_over = False

    def __init__(self, spelling: Spelling, size: int, text: str, held: str) -> None:
        self._spelling, self._size, self._held = spelling, size, held
        self._seen = {*_stretches(text, size)}
        self._last = self._end_of(text)
        self._skipped = len(spelling.endings(held)[0])  # characters held that the prompt has

    def __copy__(self) -> "NoRepeat":
        new = object.__new__(NoRepeat)
        new.__dict__ |= self.__dict__ | {"_seen": {*self._seen}}
        return new

    def allowed(self, room: int) -> Array:
        """Whether each token may be drawn (V,)."""
        if self._spelling.is_plain:
            last, seen = self._last, self._seen
            return np.array([last + token not in seen for token in self._spelling.tokens])
        found = np.zeros(len(self._spelling.tokens), bool)
        found[EOS] = self._is_new(self._spelling.endings(self._held)[0])
        for id, token in self._spelling.drawn():
            settled, held = self._spelling.push(self._held, token)
            found[id] = any(self._is_new(settled + end) for end in self._spelling.endings(held))
        return found

    def push(self, token: str) -> None:
        """Take in the token that was drawn."""
        settled, self._held = self._spelling.push(self._held, token)
        self._skipped = 0 if settled else self._skipped
        text = self._last + settled
        self._seen.update(_stretches(text, self._size))
        self._last = self._end_of(text)

    def _end_of(self, text: str) -> str:
        """What may be the beginning of the next stretch."""
        return text[max(0, len(text) - self._size + 1) :]

    def _is_new(self, text: str) -> bool:
        """Whether every stretch that ends in it is new, those of the prompt left out."""
        before = self._end_of(self._last + text[: self._skipped])
        stretches = _stretches(before + text[self._skipped :], self._size)
        return self._seen.isdisjoint(stretches) and len({*stretches}) == len(stretches)


def _stretches(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(len(text) - size + 1)]


class Constraints:
    """All that restricts the next token of one text.

    Args:
        room: characters that the text may grow by.

    Attributes:
        allowed: whether each token may be drawn now (V,).
    """

    def __init__(self, parts: Sequence[Constraint], room: int) -> None:
        self._parts = parts
        self._restrict(room)

    def __copy__(self) -> "Constraints":
        new = object.__new__(Constraints)
        new.allowed, new._parts = self.allowed, [*map(copy.copy, self._parts)]
        return new

    def push(self, token: str, room: int) -> None:
        """Take in the token that was drawn; `room` is left after it."""
        for part in self._parts:
            part.push(token)
        self._restrict(room)

    def _restrict(self, room: int) -> None:
        self.allowed: Array = np.logical_and.reduce([part.allowed(room) for part in self._parts])

    @property
    def is_stuck(self) -> bool:
        """Whether neither a token nor the end may follow."""
        return not self.allowed.any()

    @property
    def is_over(self) -> bool:
        """Whether the last token only ended the text and is no part of it."""
        return any(part.is_over for part in self._parts)

    @property
    def is_complete(self) -> bool:
        """Whether the text can only end."""
        return bool(self.allowed[EOS]) and not self.allowed[EOS + 1 :].any()


Constrain = Callable[[str, str, int], Constraints]  # by text, what is held of it, and room


def constraints_of(vocabulary: Vocabulary, config: SampleConfig) -> Constrain | None:
    """Return a function that makes the constraints of a text; None where nothing is restricted.

    Raises:
        ConfigError: `regex` is no pattern that can be followed.
        CorpusError: a text is not valid Unicode.
    """
    if config.regex is None and not config.ban and config.no_repeat is None:
        return None
    spelling = Spelling(vocabulary, allow_unk=config.allow_unk)
    matcher = None
    if config.regex is not None or config.ban:
        pattern = _ANYTHING if config.regex is None else normalize(config.regex)
        alphabet = [char for char in spelling.alphabet if char not in normalize(config.ban)]
        matcher = Matcher(spelling, compiled(pattern, alphabet))

    def constrain(text: str, held: str, room: int) -> Constraints:
        parts: list[Constraint] = []
        if matcher:
            parts.append(Match(matcher, held))
        if config.no_repeat is not None:
            parts.append(NoRepeat(spelling, config.no_repeat, text, held))
        return Constraints(parts, room)

    return constrain


def impossible(drawn: str, config: SampleConfig) -> ConfigError:
    """The error where neither a token nor the end may follow.

    Args:
        drawn: the continuation so far.
    """
    if config.regex is not None and not drawn:
        return ConfigError(
            f"no continuation of at most {config.length} characters that this model can write "
            f"matches {setting('regex')} '{config.regex}'"
        )
    names = ("regex", "ban", "no_repeat")
    given = [setting(name) for name in names if getattr(config, name)]
    return ConfigError(f"nothing may follow {drawn[-_SHOWN:]!r} with {' and '.join(given)}")
