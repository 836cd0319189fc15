"""The elementwise mathematics of the network, each forward with its backward below it.

V vocabulary size, N predictions side by side. Everything works in place on work buffers.
"""

from collections.abc import Callable

import numpy as np

Array = np.ndarray

IGNORE = -1  # a target that is not predicted: padding, or the place where a document was cut


def sigmoid(x: Array) -> Array:
    """Logistic function in place, as ½ + ½·tanh(x/2), which cannot overflow."""
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5
    return x


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """Turn dy into dx in place, given y = sigmoid(x): dx = dy * y * (1 - y)."""
    dy *= y
    dy *= 1 - y
    return dy


def tanh(x: Array) -> Array:
    """Hyperbolic tangent in place."""
    np.tanh(x, out=x)
    return x


def tanh_backward(dy: Array, y: Array) -> Array:
    """Turn dy into dx in place, given y = tanh(x): dx = dy * (1 - y²)."""
    dy *= 1 - y * y
    return dy


def relu(x: Array) -> Array:
    """max(x, 0) in place."""
    np.maximum(x, 0, out=x)
    return x


def relu_backward(dy: Array, y: Array) -> Array:
    """Turn dy into dx in place, given y = relu(x)."""
    dy *= y > 0
    return dy


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "tanh": (tanh, tanh_backward),
    "relu": (relu, relu_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
}


def cross_entropy(logits: Array, targets: Array) -> Array:
    """-log P of each target under softmax(logits), 0 where the target is IGNORE.

    Args:
        logits: (V, N), a column a prediction; holds the probabilities softmax(logits) afterwards.
        targets: (N,) ids.

    Returns:
        (N,) nats.
    """
    chosen = np.maximum(targets, 0), np.arange(len(targets))
    logits -= logits.max(axis=0)
    nats = -logits[chosen]
    probs = np.exp(logits, out=logits)
    total = probs.sum(axis=0)
    probs /= total
    nats += np.log(total)
    return np.where(targets == IGNORE, 0, nats)


def cross_entropy_backward(probs: Array, targets: Array, scale: float) -> Array:
    """Turn probabilities into d(scale · sum of -log P)/dlogits in place: scale · (p - onehot).

    Args:
        probs: (V, N) as cross_entropy leaves them.
        targets: (N,) ids; the columns of IGNORE become zero.
    """
    probs[np.maximum(targets, 0), np.arange(len(targets))] -= 1
    probs *= np.where(targets == IGNORE, 0, scale).astype(probs.dtype)
    return probs


def draw(weights: Array, uniforms: Array) -> Array:
    """One row of each column, with a probability in proportion to its weight.

    Args:
        weights: (V, B), not negative, not necessarily adding up to one.
        uniforms: (B,) random numbers from 0 to 1, which decide.
    """
    cumulative = np.cumsum(weights, axis=0)
    rows = (cumulative <= uniforms * cumulative[-1]).sum(axis=0)
    last = len(weights) - 1 - (weights[::-1] > 0).argmax(axis=0)
    found: Array = np.minimum(rows, last)  # rounding may leave a sum below every uniform
    return found
