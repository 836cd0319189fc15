"""Fit a mixture at the end of a run, on a held part of the training text.

The network reads that part but learns nothing from it, and the counts leave it out, so it looks
like new text to both (see `charrnn.mixing`). The final mixture counts the whole training text.

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

_LEAST = 50_000  # tokens; shorter texts get no mixture
_A_MINUTE = 2_500_000  # tokens per minute of the budget; longer texts get no mixture
_SHARE = 0.05  # of the text that is held
_MOST = 1 << 16  # tokens that are held at most
_COUNTED = 1 << 21  # tokens at the end of the text whose contexts are counted
_VALIDATED = 1 << 18  # tokens of a validation split that the mixture predicts
_BYTES = 2  # bytes of counts in a checkpoint per byte of text, within the next limits
_FEWEST_BYTES, _MOST_BYTES = 3 << 19, 10 << 20
# Held tokens to learn from in three measurements of the time that takes. The first measurement does
# not count, because it allocates memory.
_MEASURED = 256, 256, 1024
_LATE = 1.5  # times the time that is left; what takes longer is shortened,
_LEAST_SHARE = 0.5  # at most to this


def validated(
    model: LanguageModel,
    base: ResidualRNN,
    validator: Validator,
    before: float,
    share: float = 1.0,
) -> float:
    """Return the bits per character of a validation split under a mixture or blend.

    On a long split, the gain over the base is measured on a sample.

    Args:
        model: the mixture or blend.
        base: the model that it was made of.
        validator: of the run.
        before: bits per character under the base.
        share: of the split to predict.
    """
    size = min(_VALIDATED, round(share * len(validator.split.tokens)))
    sample = replace(validator, split=validator.split.sample(size))
    found = sample.evaluate(model).bits_per_char
    if sample.split is validator.split:
        return found
    return before + found - sample.evaluate(base).bits_per_char


def held_part(tokens: Tokens, minutes: float | None) -> slice | None:
    """Return the places of the tokens to hold for fitting a mixture; None for no mixture.

    They are in the middle, so that the text right before the validation split is learned from.

    Args:
        tokens: the training split.
        minutes: the budget, if it is one of minutes; a long text with few minutes gets no mixture.
    """
    N = len(tokens)
    if N < _LEAST or (minutes is not None and minutes * _A_MINUTE < N):
        return None
    size = min(int(_SHARE * N), _MOST)
    start = (N - size) // 2
    return slice(start, start + size)


class MixtureFitting:
    """Fits the mixture of a run after training.

    Args:
        model: the model to be trained, with an n-gram model of all tokens.
        tokens: (N,) the training split, each document followed by <EOS> or IGNORE.
        held: places of the held tokens.
        letters: (V,) which tokens words consist of.
        num_bytes: size of the text.
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
        self._finishing_seconds = 0.0

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
        self._finishing_seconds = times[1] + held * max(0.0, each) + validating
        return self._counting_seconds + self._finishing_seconds

    def affordable(self, left: float) -> float:
        """Return the share of fitting and validating that there is time for.

        It is 1 unless the machine was so busy that training has used up the time for it.

        Args:
            left: seconds.
        """
        if self._finishing_seconds <= _LATE * left:
            return 1.0
        return max(_LEAST_SHARE, left / self._finishing_seconds)

    def fit(self, model: ResidualRNN, share: float = 1.0) -> Mixer | None:
        """Fit the weights of a mixture to a trained model; None if it is no better.

        Args:
            model: the trained model.
            share: of the held tokens to learn from.
        """
        base = ResidualRNN(model.network, self.ngram)
        most = None if share == 1 else round(share * (len(self.tokens) - self.start))
        fitted = fit(base, self.tokens, self.start, most, self.letters, self.max_bytes)
        return None if fitted is None else fitted.mixer

    def mixed(self, model: ResidualRNN, mixer: Mixer) -> Mixed:
        """Return the mixture with counts of all tokens."""
        return Mixed(model, self.counts, mixer)
