"""The models and the chunks that are timed, and the training step of charrnn itself."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

import numpy as np

from charrnn.config import ModelConfig, TrainConfig
from charrnn.network.model import CharRNN
from charrnn.network.parameters import parameter_shapes
from charrnn.parallel.threads import Workers
from charrnn.training.batches import Batches
from charrnn.training.trainer import Trainer
from tests.benchmarks.harness import Step

V = 67  # as Tiny Shakespeare has
Chunks = Iterator[tuple[np.ndarray, np.ndarray]]


def configured(
    cell: str, num_layers: int, hidden_size: int, batch_size: int, seq_len: int
) -> tuple[ModelConfig, TrainConfig]:
    """The configurations of a model over V tokens and of its training."""
    model = ModelConfig(vocab_size=V, cell=cell, num_layers=num_layers, hidden_size=hidden_size)
    train = TrainConfig(steps=10**9, batch_size=batch_size, seq_len=seq_len, learning_rate=1e-3)
    return model, train


def chunks(train: TrainConfig, vocab_size: int = V) -> Chunks:
    """The same few chunks of random tokens, over and over; int64, as PyTorch wants them."""
    tokens = np.random.default_rng(0).integers(2, vocab_size, 200_000)
    batches = Batches(tokens, replace(train, unk_rate=0.0, restart_rate=0.0))
    found = [(a.copy(), b.copy()) for (a, b), _ in zip(batches.epoch(0), range(20), strict=False)]
    return cycle(found)


def our_step(model: ModelConfig, train: TrainConfig, workers: Workers) -> Step:
    """A step of charrnn's own trainer."""
    network = CharRNN(model).initialize(np.random.default_rng(0))
    batches = Batches(np.zeros(1, np.int64), train)
    trainer = Trainer(network, batches, None, train, workers=workers)
    source, own = chunks(train, model.vocab_size), workers.world.share(train.batch_size)

    def step() -> None:
        inputs, targets = next(source)
        trainer._step([(inputs[:, own], targets[:, own])])

    return step


def flops(model: ModelConfig, train: TrainConfig) -> float:
    """Floating-point operations in the products of a step, one-hot columns counted in full."""
    weights = sum(rows * columns for rows, columns in parameter_shapes(model).values())
    return 6.0 * weights * train.batch_size * train.seq_len
