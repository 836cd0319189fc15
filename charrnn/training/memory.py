"""How much memory training takes, so that what cannot fit is refused before it is tried.

Letters: P parameters, T steps, B streams, V tokens; of a layer D inputs, H units, G gates.
"""

import math
import os
import sys

from charrnn.config import ModelConfig, TrainConfig
from charrnn.errors import CharRNNError, setting
from charrnn.network.parameters import parameter_shapes

_BYTES = 4  # of a number
_GATES = {"rnn": 1, "lstm": 4, "gru": 3, "jordan": 1}
_COUNTING = 45  # bytes a token while n-grams are counted
_COUNTED = 130  # bytes a k-gram until a model is made of it
_LAYER = {"rnn": 0, "lstm": 2, "gru": 1, "jordan": 0}  # numbers a unit beside h and gates


def check_memory(model: ModelConfig, train: TrainConfig) -> None:
    """Raise CharRNNError where training needs more memory than the machine has."""
    needed, there = bytes_to_train(model, train), physical_memory()
    if needed > there:
        *sizes, last = map(setting, ("hidden_size", "num_layers", "batch_size", "seq_len"))
        raise CharRNNError(
            f"training this network would take {needed / 1e9:,.1f} GB of memory, and the machine "
            f"has {there / 1e9:,.1f} GB; lower {', '.join(sizes)} or {last}"
        )


def bytes_to_train(model: ModelConfig, train: TrainConfig) -> int:
    """About how many bytes a network takes in training, without the text.

    Weights, two gradients (twice where several chunks make an update), two moments of Adam, the
    best weights and a copy; for each step and stream the gates of each layer and their gradients,
    h, what its inputs are and add, unless they are looked up, and the block [x, 1, h] of one layer.
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
    """About how many k-grams of so many tokens can be counted in the memory of the machine."""
    left = physical_memory() - _COUNTING * num_tokens
    return int(max(0, min(left, sys.maxsize)) / _COUNTED)


def physical_memory() -> float:
    """Bytes of memory that the machine has, inf where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):  # not POSIX
        return math.inf
