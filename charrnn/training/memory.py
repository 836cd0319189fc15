"""Estimate the memory of training, to refuse what cannot fit before it starts.

Letters: P parameters, T steps, B streams, V vocabulary size; of a layer D inputs, H units, G gates.
"""

import math
import os
import sys

from charrnn.config import ModelConfig, TrainConfig
from charrnn.errors import CharRNNError, setting
from charrnn.network.parameters import parameter_shapes

_BYTES = 4  # of a float32
_GATES = {"rnn": 1, "lstm": 4, "gru": 3, "jordan": 1}
_COUNTING = 45  # bytes per token while counting n-grams
_COUNTED = 130  # bytes per k-gram until the model is fitted
_LAYER = {"rnn": 0, "lstm": 2, "gru": 1, "jordan": 0}  # numbers per unit besides h and gates


def check_memory(model: ModelConfig, train: TrainConfig) -> None:
    """Raise CharRNNError if training needs more memory than the machine has."""
    needed, there = bytes_to_train(model, train), physical_memory()
    if needed > there:
        *sizes, last = map(setting, ("hidden_size", "num_layers", "batch_size", "seq_len"))
        raise CharRNNError(
            f"training this network would take {needed / 1e9:,.1f} GB of memory, and the machine "
            f"has {there / 1e9:,.1f} GB; lower {', '.join(sizes)} or {last}"
        )


def bytes_to_train(model: ModelConfig, train: TrainConfig) -> int:
    """Estimate the bytes that training a network takes, without the text.

    Counted are weights, two gradients (four with gradient accumulation), two moments of Adam, the
    best weights and a copy; and for each step and stream, gates and gate gradients, h, inputs and
    input terms of each layer (none for one-hot input), and the block [x, 1, h] of one layer.
    """
    if model.cell == "ngram":
        return 0
    P = sum(math.prod(shape) for shape in parameter_shapes(model).values())
    H, V, G = model.hidden_size, model.vocab_size, _GATES[model.cell]
    D = model.embedding_size or V
    layers = model.num_layers * H * (1 + 2 * G + _LAYER[model.cell] + (model.dropout > 0))
    layers += (model.num_layers - (not model.embedding_size)) * G * H + (model.num_layers - 1) * H
    copies = max(D, H) + 1 + H + max(model.embedding_size, H)
    head = 1 + H + (2 * V if model.cell == "jordan" else 0)
    weights = P * (7 if train.accumulate == 1 else 9)
    return _BYTES * (weights + train.seq_len * train.batch_size * (layers + copies + head))


def most_ngrams(num_tokens: int) -> int:
    """Estimate how many k-grams of a text of `num_tokens` fit into memory while counting."""
    left = physical_memory() - _COUNTING * num_tokens
    return int(max(0, min(left, sys.maxsize)) / _COUNTED)


def physical_memory() -> float:
    """Return the machine's memory in bytes, inf if the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):  # not POSIX
        return math.inf
