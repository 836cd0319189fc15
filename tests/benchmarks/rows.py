"""What is measured: the rows of each table, and the ways in which PyTorch may do them."""

from collections.abc import Iterator
from itertools import product

from tests.benchmarks.side import Task

_BARE = {"ngram": 0, "dropout": 0.0, "recurrent_dropout": 0.0, "weight_decay": 0.0}
_RECIPE = {"ngram": 6, "dropout": 0.1, "recurrent_dropout": 0.1, "weight_decay": 0.1}

Row = tuple[str, Task]  # its name, and what both sides do


def model(cell: str, num_layers: int, hidden_size: int, vocab_size: int = 67) -> Task:
    """The sizes of a model; large vocabularies have an embedding, as `charrnn train` plans it."""
    return {
        "cell": cell,
        "num_layers": num_layers,
        "hidden_size": hidden_size,
        "vocab_size": vocab_size,
        "embedding_size": 0 if vocab_size <= 256 else 128,
    }


def training(sizes: Task, batch_size: int = 64, seq_len: int = 32) -> Row:
    """Steps of gradient descent of a bare network."""
    name = f"{sizes['cell']} {sizes['num_layers']}x{sizes['hidden_size']}"
    if sizes["embedding_size"]:
        name += f", V {sizes['vocab_size']}"
    chunk = {"batch_size": batch_size, "seq_len": seq_len, "learning_rate": 1e-3}
    return f"{name}, {batch_size} x {seq_len}", {"kind": "training", **sizes, **chunk, **_BARE}


TRAINING = [
    training(model("lstm", 1, 128)),
    training(model("lstm", 2, 128)),
    training(model("lstm", 1, 256)),
    training(model("lstm", 2, 256)),
    training(model("lstm", 2, 320), 64, 64),
    training(model("lstm", 2, 512), 64, 64),
    training(model("lstm", 1, 256, 3600)),
    training(model("rnn", 2, 256)),
    training(model("gru", 2, 256)),
]


def recipe() -> Iterator[tuple[str, Task, Task]]:
    """(name, the default recipe, the bare network), on a text with real n-grams."""
    for num_layers, hidden_size in ((1, 128), (2, 128), (1, 256), (2, 256)):
        name, bare = training(model("lstm", num_layers, hidden_size))
        bare |= {"text": "english"}
        yield name, bare | _RECIPE, bare


def sampling() -> Iterator[Row]:
    """Drawing text."""
    for num_layers, hidden_size, streams in ((1, 256, 1), (2, 512, 1), (2, 512, 64)):
        task = {"kind": "sampling", **model("lstm", num_layers, hidden_size), "streams": streams}
        yield f"lstm {num_layers}x{hidden_size}, streams: {streams}", task


def scoring(lines: int) -> Iterator[Row]:
    """Scoring lines."""
    for num_layers, hidden_size in ((1, 256), (2, 512)):
        task = {"kind": "scoring", **model("lstm", num_layers, hidden_size), "lines": lines}
        yield f"lstm {num_layers}x{hidden_size}, {lines:,} lines", task


_WAYS: dict[str, dict[str, list]] = {  # besides oneDNN on and off
    "training": {},
    "sampling": {"stepwise": ["LSTM", "LSTMCell"], "threads": [None, 1]},
    "scoring": {"columns": [32, 128]},
}


def ways(task: Task) -> list[Task]:
    """All ways in which PyTorch is tried."""
    choices = {"onednn": [True, False], **_WAYS[task["kind"]]}
    if "threads" in task:
        choices.pop("threads", None)
    return [task | dict(zip(choices, way, strict=True)) for way in product(*choices.values())]


def chosen(task: Task, threads: int) -> str:
    """The way of a task of PyTorch, in words."""
    words = ["oneDNN on" if task["onednn"] else "oneDNN off", f"threads: {threads}"]
    if "stepwise" in task:
        words.append(f"nn.{task['stepwise']}")
    if "columns" in task:
        words.append(f"{task['columns']} lines at a time")
    return ", ".join(words)


def growth() -> Iterator[Row]:
    """Each size alone, the others as in lstm 1x256, batch 64, seq 32."""
    sizes = {
        "batch_size": (8, 16, 32, 64, 128, 256),
        "hidden_size": (64, 128, 256, 512, 1024),
        "num_layers": (1, 2, 3, 4),
        "vocab_size": (67, 256, 1024, 4096, 10_000),
    }
    for size, values in sizes.items():
        for value in values:
            _, task = training(model("lstm", 1, 256, value if size == "vocab_size" else 67))
            yield f"{size} {value}", task | {size: value}
