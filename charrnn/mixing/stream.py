"""Any language model, mixtures included, reading one text token by token, for sampling."""

from collections.abc import Sequence
from copy import copy

import numpy as np

from charrnn.ids import EOS
from charrnn.mixing.inputs import LENGTHS, TAIL
from charrnn.mixing.mixed import MEMORY, LanguageModel, Mixed, remembered
from charrnn.mixing.recall import Index
from charrnn.mixing.stepping import logits
from charrnn.network.stream import Stream
from charrnn.ngrams import stream as unmixed
from charrnn.ngrams.ngram import NONE
from charrnn.ngrams.stream import ResidualStream

Array = np.ndarray


class MixedStream:
    """A stream of a mixture.

    Args:
        model: the mixture.
        base: stream of its base.
        recent: the tokens that it remembers, the last one last.
    """

    def __init__(self, model: Mixed, base: ResidualStream, recent: Sequence[int]) -> None:
        self.model, self.base = (model.evidence, model.mixer), base
        self.index = Index(LENGTHS, MEMORY)
        self.index.reset(recent)
        self.memory = np.zeros(model.vocab_size, base.logits.dtype)
        """What the memory adds to the logits (V,) of the last step."""

    def step(self, token: int) -> Array:
        """Read a token and return the logits (V,) of the next, up to an additive constant."""
        last = max(token, EOS)
        found = self.index.add(last)
        base = self.base.step(token)
        longest = sum(node != NONE for node in self.base.ngram.state)
        dense = base, self.base.log_probs
        tail = self.index.last(TAIL)
        mixed, self.memory = logits(self.model, dense, tail, found, longest)
        return mixed

    def copy(self) -> "MixedStream":
        """See `Stream`."""
        other = copy(self)
        other.base, other.index = self.base.copy(), self.index.copy()
        return other


def stream_of(model: LanguageModel, state: Array) -> Stream:
    """Return a stream of any model that reads one text, from a state with one column."""
    if not isinstance(model, Mixed):
        return unmixed.stream_of(model, state)
    base = unmixed.residual_stream(model.base, state[:-MEMORY])
    return MixedStream(model, base, remembered(state))
