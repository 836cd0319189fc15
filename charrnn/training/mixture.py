"""A mixture fitted at the end of a run, to a part of the training text that is held for it.

The network reads that part and learns nothing from it, and neither do the counts that the weights
are fitted beside: they find there what a new text is like (see `charrnn.mixing`). The mixture that
the run ends with counts all of the training text.

Letters: N tokens, V vocabulary size.
"""

import time
from dataclasses import replace

import numpy as np

from charrnn.ids import IGNORE
from charrnn.inference.evaluation import measured_part, token_log_probs
from charrnn.mixing.fitting import count_contexts, fit, learn, unfitted
from charrnn.mixing.mixed import LanguageModel, Mixed
from charrnn.mixing.mixer import Mixer
from charrnn.ngrams.kneser_ney import count_ngrams, fit_into
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.text.tokens import Tokens
from charrnn.training.validator import Validator

Array = np.ndarray

_LEAST = 50_000  # tokens of a text whose parts tell something of each other
_A_MINUTE = 2_500_000  # tokens of a text that has a minute
_SHARE = 0.05  # of the text that is held
_MOST = 1 << 16  # tokens that are held
_COUNTED = 1 << 21  # tokens at the end of the text whose contexts are counted
_VALIDATED = 1 << 18  # tokens of a validation split that the mixture predicts
_BYTES = 2  # of counts in a checkpoint for each of the text, between
_FEWEST_BYTES, _MOST_BYTES = 3 << 19, 10 << 20  # these
# Tokens of the held ones that are learned from, to measure how long it takes. The first time is
# longer, as memory is new, and does not count.
_MEASURED = 256, 256, 1024


def validated(
    model: LanguageModel, base: ResidualRNN, validator: Validator, before: float
) -> float:
    """Bits per character of a validation split; where it is long, by a sample of it.

    Args:
        base: the model that this one was made of.
        before: its bits per character.
    """
    sample = replace(validator, split=validator.split.sample(_VALIDATED))
    found = sample.evaluate(model).bits_per_char
    if sample.split is validator.split:
        return found
    return before + found - sample.evaluate(base).bits_per_char


def held_part(tokens: Tokens, minutes: float | None) -> slice | None:
    """The tokens of a training split that are held for fitting a mixture.

    They lie in the middle, so that what comes right before a validation split is learned from.
    None are held of a short text, nor of one that takes long to count for its budget of minutes.
    """
    N = len(tokens)
    if N < _LEAST or (minutes is not None and minutes * _A_MINUTE < N):
        return None
    size = min(int(_SHARE * N), _MOST)
    start = (N - size) // 2
    return slice(start, start + size)


class MixtureFitting:
    """What a run needs to fit a mixture at its end.

    Args:
        model: as it is trained, beside an n-gram model of all tokens.
        tokens: (N,) the training split, each document and then <EOS> or IGNORE.
        held: which of them are held.
        letters: (V,) which tokens words are of.
        num_bytes: of the text.
    """

    def __init__(
        self, model: ResidualRNN, tokens: Array, held: slice, letters: Array, num_bytes: int
    ) -> None:
        self.held, self.letters = held, letters
        self.max_bytes = min(max(_BYTES * num_bytes, _FEWEST_BYTES), _MOST_BYTES)
        first = np.concatenate([tokens[held.stop :], tokens[: held.start]])
        config = model.ngram.config
        ngrams = count_ngrams(config, np.append(first, IGNORE))
        self.ngram = fit_into(config, ngrams, model.ngram.num_bytes)
        self.tokens = np.concatenate([first[-_COUNTED:], tokens[held]])
        self.start = len(self.tokens) - len(tokens[held])
        clock = time.perf_counter()
        counted = tokens[-_COUNTED:]
        self.counts = count_contexts(model.vocab_size, counted, letters, self.max_bytes)
        self._counting_seconds = time.perf_counter() - clock

    def seconds(self, model: ResidualRNN, validation: Array, workers: Workers) -> float:
        """About how long it takes to fit the mixture and to validate it, as measured on a part."""
        mixed = unfitted(ResidualRNN(model.network, self.ngram), self.counts)
        held, times = len(self.tokens) - self.start, []
        sizes = [min(size, held) for size in _MEASURED]
        for size in sizes:
            clock = time.perf_counter()
            learn(mixed, self.tokens[: self.start + size], self.start)
            times.append(time.perf_counter() - clock)
        each = (times[2] - times[1]) / max(1, sizes[2] - sizes[1])
        part, pasts, ratio = measured_part(validation) if len(validation) else ([], [], 0.0)
        clock = time.perf_counter()
        token_log_probs(mixed, part, workers, pasts)  # a long memory takes longer to search
        ratio *= min(1.0, 2 * _VALIDATED / max(1, len(validation)))  # by the base too
        validating = ratio * (time.perf_counter() - clock) / workers.world.size
        return self._counting_seconds + times[1] + held * max(0.0, each) + validating

    def fit(self, model: ResidualRNN) -> Mixer | None:
        """The weights of the mixture of a trained model; None where it would be no better."""
        base = ResidualRNN(model.network, self.ngram)
        fitted = fit(base, self.tokens, self.start, letters=self.letters, max_bytes=self.max_bytes)
        return None if fitted is None else fitted.mixer

    def mixed(self, model: ResidualRNN, mixer: Mixer) -> Mixed:
        """The mixture, which has counted all tokens."""
        return Mixed(model, self.counts, mixer)
