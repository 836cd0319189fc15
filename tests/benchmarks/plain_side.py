"""The side of a plain NumPy loop, as the first scripts of this kind wrote it.

It finds the environment as it is: NumPy's BLAS runs as many threads as it likes.
"""

import contextlib
from collections.abc import Iterator
from itertools import cycle

import numpy as np

from tests.benchmarks.side import Facts, Step, Task

Array = np.ndarray


@contextlib.contextmanager
def prepared(task: Task) -> Iterator[tuple[Step, Facts]]:
    """A step of training on random tokens."""
    V, shape = task["vocab_size"], (task["seq_len"] + 1, task["batch_size"])
    rng, loop = np.random.default_rng(0), PlainLoop(V, task["hidden_size"])
    chunks = cycle([rng.integers(2, V, shape) for _ in range(20)])

    def step() -> float:
        tokens = next(chunks)
        loop.step(tokens[:-1], tokens[1:])
        return tokens[1:].size

    yield step, {"numpy": np.__version__}


class PlainLoop:
    """A tanh RNN as the first NumPy scripts wrote it: step by step, a product for the input and one
    for the state, gradients summed at every step, Adagrad."""

    def __init__(self, V: int, H: int, learning_rate: float = 1e-2) -> None:
        rng = np.random.default_rng(0)
        shapes = {"Wxh": (H, V), "Whh": (H, H), "Why": (V, H), "bh": (H, 1), "by": (V, 1)}
        self.weights = {
            name: (rng.standard_normal(shape) * 0.01).astype(np.float32)
            for name, shape in shapes.items()
        }
        self.memory = {name: np.zeros_like(weight) for name, weight in self.weights.items()}
        self.rate = learning_rate

    def step(self, inputs: Array, targets: Array) -> float:
        """One update on a chunk (T, B), from zero state."""
        loss, gradients = self._gradients(inputs, targets)
        for name, gradient in gradients.items():
            np.clip(gradient, -5, 5, out=gradient)
            self.memory[name] += gradient * gradient
            self.weights[name] -= self.rate * gradient / np.sqrt(self.memory[name] + 1e-8)
        return loss

    def _gradients(self, inputs: Array, targets: Array) -> tuple[float, dict[str, Array]]:
        w, (T, B) = self.weights, inputs.shape
        V, columns = len(w["by"]), np.arange(B)
        xs, hs, ps = {}, {-1: np.zeros((len(w["bh"]), B), np.float32)}, {}
        loss = 0.0
        for t in range(T):
            xs[t] = np.zeros((V, B), np.float32)
            xs[t][inputs[t], columns] = 1
            hs[t] = np.tanh(w["Wxh"] @ xs[t] + w["Whh"] @ hs[t - 1] + w["bh"])
            ys = w["Why"] @ hs[t] + w["by"]
            exp = np.exp(ys - ys.max(axis=0))
            ps[t] = exp / exp.sum(axis=0)
            loss -= float(np.log(ps[t][targets[t], columns]).sum())
        gradients = {name: np.zeros_like(weight) for name, weight in w.items()}
        dh_next = np.zeros_like(hs[0])
        for t in reversed(range(T)):
            dy = ps[t].copy()
            dy[targets[t], columns] -= 1
            gradients["Why"] += dy @ hs[t].T
            gradients["by"] += dy.sum(axis=1, keepdims=True)
            dsum = (w["Why"].T @ dy + dh_next) * (1 - hs[t] * hs[t])
            gradients["bh"] += dsum.sum(axis=1, keepdims=True)
            gradients["Wxh"] += dsum @ xs[t].T
            gradients["Whh"] += dsum @ hs[t - 1].T
            dh_next = w["Whh"].T @ dsum
        return loss, gradients
