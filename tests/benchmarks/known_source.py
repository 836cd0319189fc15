"""A source of text whose entropy rate is known: how few bits a letter any model can reach.

A state is a mode and the last of the letters a to f, and gives each letter a probability of its
own. `x` leads to the next mode, after the last one to the first, and `y` to the first. So the mode
is the number of x since the last y, modulo MODES: the last few letters hardly show it, but who
counts knows it. State and letter determine the next state (the source is unifilar), so that the
entropy rate is the entropy of a letter given the state.

Letters: S states, A letters of the alphabet, W words.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Array = np.ndarray

ALPHABET = "abcdefxy"
MODES = 4
_SHARES = [90, 62, 42, 28, 18, 10]  # of a to f, in an order that each state has for itself
_OF_X, _OF_Y = 4, 2  # with the others
_ALL = 256  # so that a random byte draws a letter
_PLACES = len(_SHARES)
_WORDS = 1 << 15  # looked at at a time


@dataclass(frozen=True)
class Source:
    """A unifilar hidden Markov source."""

    shares: Array  # (S, A) of each letter, in 256ths
    moves: Array  # (S, A) the next state

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Source":
        """A source in which chance decides how likely a letter is in each state."""
        modes, places = np.divmod(np.arange(MODES * _PLACES), _PLACES)
        S = len(modes)
        letters = rng.permuted(np.tile(_SHARES, (S, 1)), axis=1)
        shares = np.column_stack([letters, np.tile([_OF_X, _OF_Y], (S, 1))])
        within = modes[:, None] * _PLACES + np.arange(_PLACES)
        onward = (modes + 1) % MODES * _PLACES + places
        return cls(shares, np.column_stack([within, onward, places]))

    @property
    def probs(self) -> Array:
        """P(letter | state) (S, A)."""
        return self.shares / _ALL

    @cached_property
    def steps(self) -> Array:
        """P(letter, next state | state) (S, A, S)."""
        S, A = self.shares.shape
        found = np.zeros((S, A, S))
        found[np.arange(S)[:, None], np.arange(A), self.moves] = self.probs
        return found

    @cached_property
    def stationary(self) -> Array:
        """P(state) in the long run (S,)."""
        S = len(self.shares)
        equations = np.vstack([self.steps.sum(axis=1).T - np.eye(S), np.ones(S)])
        found: Array = np.linalg.lstsq(equations, np.append(np.zeros(S), 1.0))[0]
        return found

    @property
    def entropy_rate(self) -> float:
        """Bits a letter: -sum of P(state) P(letter | state) log2 P(letter | state)."""
        return float(-self.stationary @ (self.probs * np.log2(self.probs)).sum(axis=1))

    def entropies_given(self, longest: int) -> Array:
        """The entropy of a letter given the last k, for k = 0 to `longest`, in bits; exact."""
        return self._entropies(self.stationary[None], longest)

    def _entropies(self, joint: Array, longer: int) -> Array:
        """What the words add whose P(word, state after it) is `joint` (W, S), and longer ones."""
        W, S = joint.shape
        if W > _WORDS:
            halves = joint[: W // 2], joint[W // 2 :]
            return sum((self._entropies(half, longer) for half in halves), np.zeros(longer + 1))
        letters = joint @ self.probs
        own = -np.sum(letters * np.log2(letters / letters.sum(axis=1, keepdims=True)))
        if not longer:
            return np.array([own])
        words = (joint @ self.steps.reshape(S, -1)).reshape(-1, S)
        return np.append(own, self._entropies(words, longer - 1))

    def text(self, size: int, rng: np.random.Generator) -> str:
        """So many letters, from the first state on."""
        rows: list[list] = [[] for _ in self.shares]
        for row, shares, moves in zip(rows, self.shares, self.moves, strict=True):
            for letter, share, state in zip(ALPHABET.encode(), shares, moves, strict=True):
                row += [(letter, rows[state])] * share
        row, found = rows[0], bytearray()
        for byte in rng.bytes(size):
            letter, row = row[byte]
            found.append(letter)
        return found.decode()
