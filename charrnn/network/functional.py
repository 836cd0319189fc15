"""Activations, loss and the categorical draw, each function with its derivative below it.

Letters: V vocabulary size, N predictions (rows), B columns. Activations and loss work in place,
because allocating an array takes longer than filling it.
"""

from collections.abc import Callable

import numpy as np

from charrnn.ids import IGNORE

Array = np.ndarray

_SAFE = 32.0  # exp of logits up to here neither overflows nor underflows


def sigmoid(x: Array) -> Array:
    """Turn x into 1 / (1 + e⁻ˣ) in place, computed as ½ + ½·tanh(x/2), which cannot overflow."""
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
    """Turn x into tanh(x) in place."""
    np.tanh(x, out=x)
    return x


def tanh_derivative(y: Array) -> Array:
    """Turn y = tanh(x) into dy/dx = 1 - y² in place."""
    np.multiply(y, y, out=y)
    np.subtract(1, y, out=y)
    return y


def relu(x: Array) -> Array:
    """Turn x into max(x, 0) in place."""
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
    """Compute the loss of each target, -log softmax(logits)[target]; 0 where it is IGNORE.

    Args:
        logits: (N, V); overwritten with exps, the softmax without its denominator. Dividing would
            take another pass over the whole array.
        targets: (N,) ids.

    Returns:
        The loss (N,) in nats, and the denominator (N,) of each row.
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
    """Compute the gradient of scale · loss by the logits, scale · (softmax - onehot).

    The gradient is factor * exps. It is returned in this form because matrix products with it can
    apply the factor to their smaller side.

    Args:
        exps: (N, V) as `cross_entropy` leaves them; changed at the targets.
        total: (N,), the second result of `cross_entropy`.
        targets: (N,) ids.

    Returns:
        factor (N, 1), 0 where the target is IGNORE.
    """
    exps[np.arange(len(targets)), np.maximum(targets, 0)] -= total
    factor: Array = np.where(targets == IGNORE, 0, scale / total)[:, None]
    return factor


def sample_categorical(weights: Array, uniforms: Array) -> Array:
    """Draw a row of each column with probability proportional to its weight.

    Args:
        weights: (V, B), at least 0; need not sum to 1.
        uniforms: (B,) random numbers in [0, 1), one for each draw.

    Returns:
        Row numbers (B,).
    """
    cumulative = weights.cumsum(axis=0)
    total = cumulative[-1]
    # Without this, rounding could lift a threshold to the total, above which there is no row.
    threshold = np.minimum(uniforms * total, np.nextafter(total, 0))
    found: Array = np.minimum((cumulative <= threshold).sum(axis=0), len(weights) - 1)
    return found
