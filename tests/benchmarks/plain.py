"""A plain NumPy loop, as the first scripts of this kind wrote it."""

import numpy as np

from charrnn.config import ModelConfig

Array = np.ndarray


class PlainLoop:
    """A tanh RNN as the first NumPy scripts wrote it: step by step, a product for the input and one
    for the state, gradients summed at every step, Adagrad."""

    def __init__(self, config: ModelConfig, learning_rate: float = 1e-2) -> None:
        V, H = config.vocab_size, config.hidden_size
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
