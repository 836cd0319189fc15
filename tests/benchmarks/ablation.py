"""What each part of a mixture is worth: the mixture is fitted without it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from charrnn.mixing.fitting import count_contexts, learn
from charrnn.mixing.inputs import CONTEXTS, DENSE, NUM_INPUTS, num_rows
from charrnn.mixing.mixed import Mixed
from charrnn.mixing.mixer import Inputs, Mixer
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.training.preparing import RunRequest, prepare

Array = np.ndarray

_VALIDATED = 1 << 15  # tokens
_OF_CONTEXTS = range(DENSE, DENSE + len(CONTEXTS))
_INDIRECT = [DENSE + k for k, context in enumerate(CONTEXTS) if context.rows]
_WORDS = [DENSE + k for k, context in enumerate(CONTEXTS) if context.words]
_DIRECT = [k for k in _OF_CONTEXTS if k not in _INDIRECT + _WORDS]
_MATCH = [NUM_INPUTS - 1]
_LEFT_OUT: dict[str, list[int]] = {
    "nothing": [],
    "the n-gram model alone": [1],
    "indirect contexts": _INDIRECT,
    "the last tokens": _DIRECT,
    "words": _WORDS,
    "the match": _MATCH,
    "all but base and n-grams": [*_OF_CONTEXTS, *_MATCH],
}
_SETS = "weights by place"


class _Part(Mixer):
    """A mixer that makes no use of some inputs, or of the places where it mixes."""

    without: tuple[int, ...] = ()
    by_place = True

    def weights(self, inputs: Inputs) -> Array:
        found = super().weights(inputs)
        found[list(self.without)] = 0
        return found

    def gradient(self, inputs: Inputs, targets: Array) -> tuple[Array, Array]:
        log_probs, found = super().gradient(inputs, targets)
        found[list(self.without)] = 0
        return log_probs, found

    def learn(self, inputs: Inputs, targets: Array, rate: float) -> Array:
        found = super().learn(inputs, targets, rate)
        if not self.by_place:
            self.sets[:] = 0
        return found


def ablation(text: str, steps: int, seed: int) -> Iterator[tuple[str, float]]:
    """Train a network, and fit its mixture without each part in turn.

    Args:
        text: a file, or the name of a bundled corpus.

    Yields:
        What is left out, and bits per character of (a sample of) the validation split.
    """
    with Workers(None) as workers:
        corpus = read_corpus([text])
        request = RunRequest({"steps": steps, "seed": seed})
        run = prepare(corpus, split_corpus(corpus), request, output=None, workers=workers)
        for _ in run.trainer.train():
            pass
        network, fitting, validator = run.trainer.model, run.trainer.mixture, run.trainer.validator
        assert isinstance(network, ResidualRNN)
        assert fitting is not None
        assert validator is not None
        sample = replace(validator, split=validator.split.sample(_VALIDATED))
        yield "the mixture", sample.evaluate(network).bits_per_char
        base = ResidualRNN(network.network, fitting.ngram)
        counts = count_contexts(
            base.vocab_size, fitting.tokens[: fitting.start], fitting.letters, fitting.max_bytes
        )
        rows = num_rows(base.vocab_size, base.ngram.config.order)
        for name in (*_LEFT_OUT, _SETS):
            mixer = _Part.initial(rows, NUM_INPUTS)
            assert isinstance(mixer, _Part)
            mixer.without = tuple(_LEFT_OUT.get(name, []))
            mixer.by_place = name != _SETS
            learn(Mixed(base, counts, mixer), fitting.tokens, fitting.start)
            yield name, sample.evaluate(Mixed(network, fitting.counts, mixer)).bits_per_char
