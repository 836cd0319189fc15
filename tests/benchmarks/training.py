"""Training steps of charrnn and of its peers, side by side."""

from collections.abc import Iterator
from dataclasses import replace

from charrnn.config import ModelConfig, TrainConfig
from charrnn.parallel.threads import Workers
from tests.benchmarks.harness import Ratio, Step, compare
from tests.benchmarks.peers import torch_step
from tests.benchmarks.plain import PlainLoop
from tests.benchmarks.workload import chunks, configured, flops, our_step

CONFIGURATIONS: list[tuple[str, str, int, int, int, int]] = [
    ("lstm 1x128, batch 50, seq 50", "lstm", 1, 128, 50, 50),
    ("lstm 2x128, batch 50, seq 50", "lstm", 2, 128, 50, 50),
    ("lstm 1x256, batch 32, seq 32", "lstm", 1, 256, 32, 32),
    ("lstm 2x256, batch 50, seq 50", "lstm", 2, 256, 50, 50),
    ("lstm 2x512, batch 64, seq 64", "lstm", 2, 512, 64, 64),
    ("rnn 2x256, batch 50, seq 50", "rnn", 2, 256, 50, 50),
    ("gru 2x256, batch 50, seq 50", "gru", 2, 256, 50, 50),
]


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


def against_plain_loop(
    workers: Workers, rounds: int, seconds: float
) -> Iterator[tuple[str, Ratio]]:
    """(what, ratio) by characters: the loop reads one stream, as such scripts do, or as many."""
    model, train = configured("rnn", 1, 256, 50, 50)
    ours = our_step(model, train, workers)
    for streams in (1, train.batch_size):
        theirs = plain_step(model, replace(train, batch_size=streams))
        ratio = compare(ours, theirs, rounds, seconds)
        more = train.batch_size / streams  # characters in a step of ours
        yield (
            f"rnn 1x256, {streams} streams",
            Ratio([r * more for r in ratio.rounds], ratio.seconds),
        )


def plain_step(model: ModelConfig, train: TrainConfig) -> Step:
    """A step of the plain loop."""
    loop, source = PlainLoop(model), chunks(train)
    return lambda: loop.step(*next(source))
