"""What charrnn is measured against: PyTorch's own layers, and a plain NumPy loop.

Letters: T steps, B batch size, V vocabulary size, H hidden size.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from charrnn.config import ModelConfig, TrainConfig

Array = np.ndarray

LAYERS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class TorchModel(nn.Module):
    """One-hot input, torch's recurrent layers, a linear head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocab_size = config.vocab_size
        self.layers = LAYERS[config.cell](config.vocab_size, config.hidden_size, config.num_layers)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, inputs: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Logits (T, B, V) of what follows the inputs (T, B), and the state afterwards."""
        one_hot = nn.functional.one_hot(inputs, self.vocab_size).float()
        h, state = self.layers(one_hot, state)
        return self.head(h), state


class TorchTrainer:
    """The training step of charrnn in PyTorch: forward, loss, backward, clipping, Adam."""

    def __init__(self, config: ModelConfig, train: TrainConfig) -> None:
        self.model = TorchModel(config)
        self.clip_norm = train.clip_norm
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), train.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.state: Any = None

    def step(self, inputs: Array, targets: Array) -> float:
        """One update on a chunk (T, B), the state carried on."""
        logits, state = self.model(torch.from_numpy(inputs), self.state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).ravel())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        detached = isinstance(state, tuple)
        self.state = tuple(s.detach() for s in state) if detached else state.detach()
        return float(loss.detach())


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
