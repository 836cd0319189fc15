"""A network that has learned too little yet gives way to the n-gram model that it stands on.

A network adds to a part of the n-gram model's log P, `ngram_scale`, and is trained to make up for
the rest. In a short run on a text with thousands of characters it may not get that far, and then
the n-gram model alone predicts better than both together. So a share of the network is tried:

logits = share · network + (1 - (1 - ngram_scale) · share) · log P of the n-gram model
"""

from dataclasses import replace

from charrnn.network.model import CharRNN
from charrnn.ngrams.residual import ResidualRNN
from charrnn.training.validator import Validator

_SHARES = (0.0, 0.25, 0.5, 0.75)
_COMPARED = 1 << 14  # tokens of a validation split by which a share is chosen


def blended(model: ResidualRNN, share: float) -> ResidualRNN:
    """A model with a share of the network, 0 to 1; the n-gram model is shared.

    With 0 it predicts what the n-gram model does, with 1 what the model does.
    """
    scale = 1 - (1 - model.config.ngram_scale) * share
    network = CharRNN(replace(model.config, ngram_scale=scale), model.network.dtype)
    network.parameters.flat[:] = model.parameters.flat
    network.parameters["head.weight"] *= share
    return ResidualRNN(network, model.ngram)


def best_blend(model: ResidualRNN, validator: Validator) -> ResidualRNN:
    """The model with the share of the network that predicts a validation split best."""
    sample = replace(validator, split=validator.split.sample(_COMPARED))
    models = [blended(model, share) for share in _SHARES]
    return min(models, key=lambda each: sample.evaluate(each).bits_per_char)
