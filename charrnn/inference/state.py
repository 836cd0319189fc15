"""A model in the middle of a text: what may come next, and how probable what has come was."""

from copy import copy

import numpy as np

from charrnn.errors import ConfigError
from charrnn.ids import EOS
from charrnn.inference.choosing import log_softmax
from charrnn.inference.sampling import ranked
from charrnn.inference.scores import Score
from charrnn.inference.scoring import Excerpt
from charrnn.mixing.stream import stream_of
from charrnn.parallel.threads import one_blas_thread
from charrnn.storage.checkpoint import Checkpoint, check_finite


class State:
    """What a model has read of a text, from its start on, and what it expects next.

    A token costs one step of the model, however many were read before. Each text that is fed is cut
    into tokens by itself, so a model of words is fed whole words, with the spaces before them.

    A state and its copies serve one thread at a time.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.log_prob = 0.0
        """log P in nats of all that was fed."""
        self._checkpoint = checkpoint
        with one_blas_thread(), np.errstate(all="ignore"):
            self._stream = stream_of(checkpoint.model, checkpoint.model.zero_state(1))
            self._step(EOS)

    def feed(self, text: str) -> Score:
        """Read a text; returns how probable it was after what was read before.

        Raises:
            ConfigError: it is no string.
            CorpusError: it is not valid Unicode.
            CheckpointError: the model predicts nothing.
        """
        if not isinstance(text, str):
            raise ConfigError(f"text must be a string, not {type(text).__name__}")
        excerpt = Excerpt.read(self._checkpoint.vocabulary, text)
        log_probs = np.empty(len(excerpt.ids))
        with one_blas_thread(), np.errstate(all="ignore"):
            for place, token in enumerate(excerpt.ids.tolist()):
                log_probs[place] = self._log_probs[token]
                self._step(token)
        score = excerpt.score(self._checkpoint.vocabulary, log_probs, eos=False)
        self.log_prob += score.log_prob
        return score

    def next(self) -> list[tuple[str, float]]:
        """Predict what follows, likeliest first: (token, log-probability in nats).

        The list includes <EOS>, the end, and <UNK>, so that the probabilities add up to one.
        """
        return ranked(self._checkpoint.vocabulary, self._log_probs)

    def copy(self) -> "State":
        """Return a state that reads on independently."""
        other = copy(self)
        other._stream = self._stream.copy()
        return other

    def _step(self, token: int) -> None:
        """Read a token, and find log P (V,) of what follows it."""
        self._log_probs = log_softmax(self._stream.step(token).astype(np.float64))
        check_finite(float(self._log_probs.sum()))
