"""Adam, gradient clipping and the learning-rate schedule."""

import math

import numpy as np

Array = np.ndarray

_LEAST_AGREEING = 0.1  # share of the weights that bounds how much further they move
_BLOCK = 1 << 15  # numbers updated at a time; the five arrays of a block stay in the cache


def clip_by_global_norm(gradient: Array, max_norm: float) -> float:
    """Scale a gradient in place so that its norm is at most `max_norm` (Pascanu et al. 2013).

    Returns:
        The norm before clipping. If it is nan or inf, the gradient is left unchanged.
    """
    with np.errstate(all="ignore"):
        norm = math.sqrt(np.dot(gradient, gradient))
    if math.isfinite(norm) and norm > max_norm:
        gradient *= max_norm / norm
    return norm


def learning_rate(progress: float, peak: float, warmup: float) -> float:
    """Return the learning rate: linear warm-up to `peak`, then cosine decay to 0.

    Args:
        progress: completed fraction of the run, 0 to 1.
        peak: the highest rate.
        warmup: fraction of the run in which the rate rises.
    """
    if progress < warmup:
        return peak * progress / warmup
    decay = (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return peak * 0.5 * (1 + math.cos(math.pi * min(decay, 1.0)))


class Adam:
    """Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019).

    A part of the weights may be cautious (Liang et al. 2024): where the gradient of this step has
    another sign than the mean, a weight stays, and the others move further instead. Weights that
    belong to a token should not be: a rare token is what turns the sign of their gradient.

    Args:
        parameters: flat vector, updated in place.
        betas: decay rates of the running means of the gradient and of its square.
        epsilon: added to the denominator.
        weight_decay: fraction of a weight removed per step, times the learning rate.
        decayed: vector like `parameters`: 1 where weight decay applies, 0 elsewhere.
        cautious: which part of the parameters is cautious; none unless given.
    """

    def __init__(
        self,
        parameters: Array,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: Array | None = None,
        cautious: slice = slice(0),
    ) -> None:
        self.parameters = parameters
        self.betas, self.epsilon = betas, epsilon
        self.weight_decay, self.decayed, self.cautious = weight_decay, decayed, cautious
        self.steps = 0
        self.mean = np.zeros_like(parameters)
        self.square = np.zeros_like(parameters)
        self._work, self._product = np.empty((2, min(_BLOCK, parameters.size)), parameters.dtype)
        self._agrees = np.empty(self._work.size, bool)

    def update(self, gradient: Array, rate: float) -> None:
        """Take one step.

        Args:
            gradient: vector like `parameters`.
            rate: learning rate of this step.
        """
        self.steps += 1
        beta1, beta2 = self.betas
        correction = math.sqrt(1 - beta2**self.steps)
        step_size = rate * correction / (1 - beta1**self.steps)
        for start in range(0, gradient.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            g, m, v, p = gradient[part], self.mean[part], self.square[part], self.parameters[part]
            work = self._work[: g.size]
            if self.weight_decay and self.decayed is not None:
                np.multiply(p, self.decayed[part], out=work)
                work *= rate * self.weight_decay
                p -= work
            np.subtract(g, m, out=work)
            work *= 1 - beta1
            m += work
            np.multiply(g, g, out=work)
            work -= v
            work *= 1 - beta2
            v += work
            np.sqrt(v, out=work)
            work += self.epsilon * correction
            np.divide(m, work, out=work)
            first, stop, _ = self.cautious.indices(gradient.size)
            own = slice(max(first - start, 0), max(stop - start, 0))
            self._wait_where_signs_differ(work[own], m[own], g[own])
            work *= step_size
            p -= work

    def _wait_where_signs_differ(self, change: Array, mean: Array, gradient: Array) -> None:
        """Set changes to 0 where mean and gradient differ in sign; scale up the others."""
        if not change.size:
            return
        product, agrees = self._product[: change.size], self._agrees[: change.size]
        np.multiply(mean, gradient, out=product)
        np.greater(product, 0, out=agrees)
        change *= agrees
        change *= 1 / max(np.count_nonzero(agrees) / change.size, _LEAST_AGREEING)
