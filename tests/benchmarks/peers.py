"""What charrnn is measured against: PyTorch's own layers.

Letters: T steps, B batch size, V vocabulary size, H hidden size.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from charrnn.config import ModelConfig, TrainConfig
from tests.benchmarks.harness import Step, rate
from tests.benchmarks.workload import chunks

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


def torch_step(model: ModelConfig, train: TrainConfig, seconds: float) -> Step:
    """The same in PyTorch, with oneDNN on or off, whichever is faster here."""
    trainer, source = TorchTrainer(model, train), chunks(train, model.vocab_size)

    def with_onednn(on: bool) -> Step:
        def step() -> None:
            with torch.backends.mkldnn.flags(enabled=on):
                trainer.step(*next(source))

        return step

    steps = [with_onednn(True), with_onednn(False)]
    for step in steps:
        rate(step, seconds / 4)
    return min(steps, key=lambda step: rate(step, seconds / 2))
