"""How the throughput of training grows with each size of the model and of its batches."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from charrnn.config import ModelConfig, TrainConfig
from charrnn.parallel.threads import Workers
from tests.benchmarks.harness import rate
from tests.benchmarks.workload import configured, flops, our_step

_SIZES = {
    "batch_size": (8, 16, 32, 64, 128, 256),
    "hidden_size": (64, 128, 256, 512, 1024),
    "num_layers": (1, 2, 3, 4),
    "vocab_size": (65, 256, 1024, 4096, 10_000),
}


def table(workers: Workers, seconds: float) -> Iterator[str]:
    """A line for each value of each size, the others as in lstm 1x256, batch 32, seq 32."""
    for name, values in _SIZES.items():
        for value in values:
            model, train = _sized(name, value)
            spent = rate(our_step(model, train, workers), seconds)
            tokens = train.batch_size * train.seq_len
            yield (
                f"{name} {value:>6}: {tokens / spent:>9,.0f} tokens/s, "
                f"{flops(model, train) / spent / 1e9:6.1f} GFLOP/s"
            )


def _sized(name: str, value: int) -> tuple[ModelConfig, TrainConfig]:
    model, train = configured("lstm", 1, 256, 32, 32)
    if name == "batch_size":
        return model, replace(train, batch_size=value)
    fields = asdict(model) | {name: value}
    if name == "vocab_size" and value > 256:
        fields["embedding_size"] = 128  # as the plan does
    return ModelConfig(**fields), train
