"""Training steps of charrnn and of its peers, side by side."""

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import torch

from charrnn.batches import Batches
from charrnn.config import ModelConfig, TrainConfig
from charrnn.model import CharRNN
from charrnn.parallel import Workers
from charrnn.parameters import parameter_shapes
from charrnn.training import Trainer

from .harness import Ratio, Step, compare, rate
from .peers import PlainLoop, TorchTrainer

V = 67  # as Tiny Shakespeare has
Chunks = Iterator[tuple[np.ndarray, np.ndarray]]

CONFIGURATIONS: list[tuple[str, str, int, int, int, int]] = [
    ("lstm 1x128, batch 50, seq 50", "lstm", 1, 128, 50, 50),
    ("lstm 2x128, batch 50, seq 50", "lstm", 2, 128, 50, 50),
    ("lstm 1x256, batch 32, seq 32", "lstm", 1, 256, 32, 32),
    ("lstm 2x256, batch 50, seq 50", "lstm", 2, 256, 50, 50),
    ("lstm 2x512, batch 64, seq 64", "lstm", 2, 512, 64, 64),
    ("rnn 2x256, batch 50, seq 50", "rnn", 2, 256, 50, 50),
    ("gru 2x256, batch 50, seq 50", "gru", 2, 256, 50, 50),
]


def configured(
    cell: str, num_layers: int, hidden_size: int, batch_size: int, seq_len: int
) -> tuple[ModelConfig, TrainConfig]:
    """The configurations of a model over V tokens and of its training."""
    model = ModelConfig(vocab_size=V, cell=cell, num_layers=num_layers, hidden_size=hidden_size)
    train = TrainConfig(steps=10**9, batch_size=batch_size, seq_len=seq_len, learning_rate=1e-3)
    return model, train


def chunks(train: TrainConfig) -> Chunks:
    """The same few chunks of random tokens, over and over; int64, as PyTorch wants them."""
    tokens = np.random.default_rng(0).integers(2, V, 200_000)
    batches = Batches(tokens, train.batch_size, train.seq_len, seed=0)
    found = [(a.copy(), b.copy()) for (a, b), _ in zip(batches.epoch(0), range(20), strict=False)]
    return cycle(found)


def our_step(model: ModelConfig, train: TrainConfig, workers: Workers) -> Step:
    """A step of charrnn's own trainer."""
    network = CharRNN(model).initialize(np.random.default_rng(0))
    batches = Batches(np.zeros(1, np.int64), train.batch_size, train.seq_len, seed=0)
    trainer = Trainer(network, batches, None, train, count_eos=True, workers=workers)
    source, state = chunks(train), network.zero_state(train.batch_size)

    def step() -> None:
        nonlocal state
        inputs, targets = next(source)
        _, state = trainer._update(inputs, targets, state)

    return step


def torch_step(model: ModelConfig, train: TrainConfig, seconds: float) -> Step:
    """The same in PyTorch, with oneDNN on or off, whichever is faster here."""
    trainer, source = TorchTrainer(model, train), chunks(train)

    def with_onednn(on: bool) -> Step:
        def step() -> None:
            with torch.backends.mkldnn.flags(enabled=on):
                trainer.step(*next(source))

        return step

    steps = [with_onednn(True), with_onednn(False)]
    for step in steps:
        rate(step, seconds / 4)
    return min(steps, key=lambda step: rate(step, seconds / 2))


def flops(model: ModelConfig, train: TrainConfig) -> float:
    """Floating-point operations in the products of a step, one-hot columns counted in full."""
    weights = sum(rows * columns for rows, columns in parameter_shapes(model).values())
    return 6.0 * weights * train.batch_size * train.seq_len


def against_torch(
    workers: Workers, rounds: int, seconds: float
) -> Iterator[tuple[str, Ratio, float]]:
    """(what, ratio, flop a second of ours) for each configuration."""
    for name, cell, num_layers, hidden_size, batch_size, seq_len in CONFIGURATIONS:
        model, train = configured(cell, num_layers, hidden_size, batch_size, seq_len)
        ratio = compare(
            our_step(model, train, workers), torch_step(model, train, seconds), rounds, seconds
        )
        yield name, ratio, flops(model, train) / ratio.seconds


def against_plain_loop(workers: Workers, rounds: int, seconds: float) -> Ratio:
    """An rnn 1x256 with batches of 50 x 50, against a plain NumPy loop."""
    model, train = configured("rnn", 1, 256, 50, 50)
    loop, source = PlainLoop(model), chunks(train)
    return compare(
        our_step(model, train, workers), lambda: loop.step(*next(source)), rounds, seconds
    )
