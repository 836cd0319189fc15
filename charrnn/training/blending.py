"""Blend a network that has learned too little with the n-gram model below it.

The logits are the network's plus `ngram_scale`, such as 0.6, times log P of the n-gram model, and
the network learns to make up for the rest. In a short run on a text with thousands of different
characters it may not get that far; then the n-gram model alone predicts better than both together.
So smaller shares of the network are tried:

logits = share · network + (1 - (1 - ngram_scale) · share) · log P of the n-gram model
"""

from dataclasses import replace

from charrnn.network.model import CharRNN
from charrnn.ngrams.residual import ResidualRNN
from charrnn.training.validator import Validator

_SHARES = (0.0, 0.25, 0.5, 0.75)
_COMPARED = 1 << 14  # tokens of the validation split for choosing a share


def blended(model: ResidualRNN, share: float) -> ResidualRNN:
    """Return a model with a share of the network; the n-gram model is not copied.

    Args:
        model: the network and its n-gram model.
        share: from 0, the n-gram model alone, to 1, the model itself.
    """
    scale = 1 - (1 - model.config.ngram_scale) * share
    network = CharRNN(replace(model.config, ngram_scale=scale), model.network.dtype)
    network.parameters.flat[:] = model.parameters.flat
    network.parameters["head.weight"] *= share
    return ResidualRNN(network, model.ngram)


def best_blend(model: ResidualRNN, validator: Validator) -> ResidualRNN:
    """Return the blend that predicts a validation split best."""
    sample = replace(validator, split=validator.split.sample(_COMPARED))
    models = [blended(model, share) for share in _SHARES]
    return min(models, key=lambda each: sample.evaluate(each).bits_per_char)
