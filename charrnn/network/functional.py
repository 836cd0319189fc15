"""The elementwise mathematics of the network, each function with its derivative below it.

V vocabulary size, N predictions, each a row. Everything works in place on work buffers.
"""

from collections.abc import Callable

import numpy as np

from charrnn.ids import IGNORE

Array = np.ndarray

_SAFE = 32.0  # exp of logits up to here neither overflows nor underflows


def sigmoid(x: Array) -> Array:
    """Logistic function in place, as ½ + ½·tanh(x/2), which cannot overflow."""
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5
    return x


def sigmoid_derivative(y: Array) -> Array:
    """Turn y = sigmoid(x) into dy/dx = y * (1 - y) in place."""
    y -= y * y
    return y


def tanh(x: Array) -> Array:
    """Hyperbolic tangent in place."""
    np.tanh(x, out=x)
    return x


def tanh_derivative(y: Array) -> Array:
    """Turn y = tanh(x) into dy/dx = 1 - y² in place."""
    np.multiply(y, y, out=y)
    np.subtract(1, y, out=y)
    return y


def relu(x: Array) -> Array:
    """max(x, 0) in place."""
    np.maximum(x, 0, out=x)
    return x


def relu_derivative(y: Array) -> Array:
    """Turn y = relu(x) into dy/dx in place: 1 where y is above 0, else 0."""
    np.greater(y, 0, out=y)
    return y


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (tanh, tanh_derivative),
    "relu": (relu, relu_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
}


def cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Compute -log P of each target under softmax(logits), 0 where the target is IGNORE.

    Args:
        logits: (N, V), one row per prediction; overwritten with numbers in proportion to
            softmax(logits), so that nothing passes over all of them just to divide.
        targets: (N,) ids.

    Returns:
        (N,) nats, and the sum (N,) of each row of these numbers.
    """
    largest = logits.max(axis=1)
    shift = np.where(np.abs(largest) > _SAFE, largest, 0)
    if shift.any():
        logits -= shift[:, None]
    nats = -logits[np.arange(len(targets)), np.maximum(targets, 0)]
    np.exp(logits, out=logits)
    total = logits @ np.ones(logits.shape[1], logits.dtype)  # half the time of logits.sum(axis=1)
    nats += np.log(total)
    return np.where(targets == IGNORE, 0, nats), total


def cross_entropy_backward(exps: Array, total: Array, targets: Array, scale: float) -> Array:
    """Prepare d(scale · sum of -log P)/dlogits = scale · (p - onehot), which is factor * exps.

    Products with the gradient apply the factor to their smaller side.

    Args:
        exps: (N, V) as cross_entropy leaves them; the numbers at the targets change.
        total: (N,) its second result.
        targets: (N,) ids; the factor of IGNORE is zero.

    Returns:
        The factor (N, 1).
    """
    exps[np.arange(len(targets)), np.maximum(targets, 0)] -= total
    factor: Array = np.where(targets == IGNORE, 0, scale / total)[:, None]
    return factor


def sample_categorical(weights: Array, uniforms: Array) -> Array:
    """Draw one row of each column, with probability proportional to its weight.

    Args:
        weights: (V, B), at least 0; they need not sum to one.
        uniforms: (B,) random numbers from 0 to 1 that decide.

    Returns:
        (B,) row numbers.
    """
    cumulative = weights.cumsum(axis=0)
    total = cumulative[-1]
    # Rounding must not carry a threshold up to the total, above which there is no row.
    threshold = np.minimum(uniforms * total, np.nextafter(total, 0))
    found: Array = np.minimum((cumulative <= threshold).sum(axis=0), len(weights) - 1)
    return found
