"""Sampling and scoring of charrnn and of PyTorch, side by side."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charrnn.config import LINES, ModelConfig, SampleConfig
from charrnn.ids import EOS, NUM_SPECIAL, UNK
from charrnn.inference.evaluation import token_log_probs
from charrnn.inference.sampling import Sample, complete
from charrnn.network.model import CharRNN
from charrnn.ngrams.residual import Network, ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint, load
from charrnn.text.vocabulary import Vocabulary
from tests.benchmarks.harness import Ratio, Step, compare
from tests.benchmarks.peers import TorchModel

V = 67
_CHARS = 200  # drawn in a call
_COLUMNS = 32  # lines that PyTorch scores side by side


def random_model(num_layers: int, hidden_size: int) -> CharRNN:
    """A network that never ends a text, so that all samples have one length."""
    config = ModelConfig(vocab_size=V, num_layers=num_layers, hidden_size=hidden_size)
    model = CharRNN(config).initialize(np.random.default_rng(0))
    model.parameters["head.weight"][EOS, 0] = -1e9
    return model


def our_sampling(model: Network, streams: int, workers: Workers) -> Step:
    """Draw _CHARS characters of each stream, as `charrnn sample` does."""
    vocabulary = Vocabulary([chr(0x100 + i) for i in range(model.vocab_size - NUM_SPECIAL)])
    checkpoint = Checkpoint(model, vocabulary, LINES)

    def step() -> None:
        samples = [Sample("", seed) for seed in range(streams)]
        complete(checkpoint, samples, SampleConfig(length=_CHARS), workers)

    return step


def torch_sampling(model: CharRNN, streams: int) -> Step:
    """The same with `nn.LSTM` called step by step, <UNK> never drawn."""
    network = TorchModel(model.config)

    def step() -> None:
        inputs, state = torch.zeros((1, streams), dtype=torch.int64), None
        with torch.inference_mode():
            for _ in range(_CHARS):
                logits, state = network(inputs, state)
                logits[..., [EOS, UNK]] = -torch.inf
                inputs = torch.multinomial(logits[0].softmax(-1), 1).T

    return step


def products(model: CharRNN, streams: int) -> Step:
    """Nothing but the matrix products of the same steps: the least that sampling can cost."""
    weights = [array for name, array in model.parameters.items() if name != "embedding"]
    columns = [np.zeros((weight.shape[1], streams), np.float32) for weight in weights]

    def step() -> None:
        for _ in range(_CHARS):
            for weight, column in zip(weights, columns, strict=True):
                weight @ column

    return step


def sampling(workers: Workers, rounds: int, seconds: float) -> Iterator[tuple[str, Ratio, Ratio]]:
    """(what, ratio to PyTorch, ratio to the bare products) for one stream and for many."""
    for num_layers, hidden_size, streams in ((1, 256, 1), (2, 512, 1), (2, 512, 64)):
        model = random_model(num_layers, hidden_size)
        ours = our_sampling(model, streams, workers)
        yield (
            f"lstm {num_layers}x{hidden_size}, {streams} at once",
            compare(ours, torch_sampling(model, streams), rounds, seconds),
            compare(ours, products(model, streams), rounds, seconds),
        )


def beside_ngrams(path: Path, workers: Workers, rounds: int, seconds: float) -> Ratio:
    """The network of a checkpoint against itself and its n-gram model, drawing one text."""
    model = load(path).model
    if not isinstance(model, ResidualRNN):
        raise SystemExit(f"{path} has no network beside an n-gram model")
    model.parameters["head.weight"][EOS, 0] = -1e9
    alone = our_sampling(model.network, 1, workers)
    return compare(alone, our_sampling(model, 1, workers), rounds, seconds)


def lines(count: int) -> list[np.ndarray]:
    """Random lines of mixed length: 10 to 200 tokens."""
    rng = np.random.default_rng(0)
    return [rng.integers(2, V, size) for size in rng.integers(10, 200, count)]


def torch_scoring(model: CharRNN, texts: list[np.ndarray]) -> Step:
    """Lines in batches of similar length, as charrnn makes them."""
    network = TorchModel(model.config)
    by_length = sorted(texts, key=len)
    batches: list[Any] = []
    for first in range(0, len(by_length), _COLUMNS):
        batch = by_length[first : first + _COLUMNS]
        tokens = np.full((max(map(len, batch)) + 1, len(batch)), -100)
        tokens[0] = EOS
        for column, text in enumerate(batch):
            tokens[1 : len(text) + 1, column] = text
        inputs = np.maximum(tokens[:-1], 0)
        batches.append((torch.from_numpy(inputs), torch.from_numpy(tokens[1:])))

    def step() -> None:
        with torch.inference_mode():
            for inputs, targets in batches:
                logits, _ = network(inputs, None)
                torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), targets.flatten(), reduction="none"
                )

    return step


def scoring(
    workers: Workers, rounds: int, seconds: float, count: int = 10_000
) -> Iterator[tuple[str, Ratio, float]]:
    """(what, ratio to PyTorch, flop a second of ours) of scoring many lines."""
    texts = lines(count)
    tokens = sum(map(len, texts))
    for num_layers, hidden_size in ((1, 256), (2, 512)):
        model = random_model(num_layers, hidden_size)
        ratio = compare(
            lambda model=model: token_log_probs(model, texts, workers),  # type: ignore[misc]
            torch_scoring(model, texts),
            rounds,
            seconds,
        )
        yield (
            f"lstm {num_layers}x{hidden_size}, {count:,} lines",
            ratio,
            2.0 * model.size * tokens / ratio.seconds,
        )
