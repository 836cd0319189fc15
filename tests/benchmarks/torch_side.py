"""PyTorch's side: its own layers, the model of charrnn, each job done the way that is fastest.

Letters: T steps, B batch size, V vocabulary size, H hidden size.
"""

import contextlib
import os
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import torch
from torch import nn

from tests.benchmarks.side import CHARS, Facts, Step, Task, line_lengths

_LAYERS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
_NUM_SPECIAL = 2  # <EOS> and <UNK>, the first ids
_CHUNKS = 20  # of random tokens, over and over
_IGNORE = -100


@contextlib.contextmanager
def prepared(task: Task) -> Iterator[tuple[Step, Facts]]:
    """A step of the task. `onednn` holds for the whole process; the environment is untouched.

    `threads` is the number of cores unless the task says otherwise.
    """
    can_tell = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1
    torch.set_num_threads(task.get("threads") or cores)
    torch.backends.mkldnn.set_flags(task["onednn"])
    facts = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    step = {"training": training, "sampling": sampling, "scoring": scoring}[task["kind"]]
    yield step(task), facts


class Layers(nn.Module):
    """One-hot input or an embedding, torch's recurrent layers, a linear head."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        V, E, H = task["vocab_size"], task["embedding_size"], task["hidden_size"]
        # Rows of the identity, looked up, are the fastest one-hot input.
        one_hot = nn.Embedding.from_pretrained(torch.eye(V))
        self.embedding = nn.Embedding(V, E) if E else one_hot
        self.layers = _LAYERS[task["cell"]](E or V, H, task["num_layers"])
        self.head = nn.Linear(H, V)

    def forward(self, inputs: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Logits (T, B, V) of what follows the inputs (T, B), and the state afterwards."""
        h, state = self.layers(self.embedding(inputs), state)
        return self.head(h), state


class Cells(nn.Module):
    """The same for one step of an lstm, made of `nn.LSTMCell`."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        V, H, num_layers = task["vocab_size"], task["hidden_size"], task["num_layers"]
        self.embedding = nn.Embedding.from_pretrained(torch.eye(V))
        self.cells = nn.ModuleList([nn.LSTMCell(H if n else V, H) for n in range(num_layers)])
        self.head = nn.Linear(H, V)

    def forward(self, inputs: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Logits (1, B, V) of what follows the inputs (1, B), and the state afterwards."""
        x, after = self.embedding(inputs[0]), []
        for cell, before in zip(self.cells, state or [None] * len(self.cells), strict=True):
            after.append(cell(x, before))
            x = after[-1][0]
        return self.head(x)[None], after


def training(task: Task) -> Step:
    """Forward pass, loss, backward pass, clipping and Adam on a chunk, the state carried on."""
    model, V, T, B = Layers(task), task["vocab_size"], task["seq_len"], task["batch_size"]
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, 1e-3, betas=(0.9, 0.99), fused=True)
    chunks = cycle(torch.randint(_NUM_SPECIAL, V, (_CHUNKS, T + 1, B)))
    state: Any = None

    def step() -> float:
        nonlocal state
        tokens = next(chunks)
        logits, state = model(tokens[:-1], state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        return float(T * B)

    return step


def sampling(task: Task) -> Step:
    """Draw CHARS characters of each stream, never one of the special ones."""
    model: nn.Module = (Cells if task["stepwise"] == "LSTMCell" else Layers)(task)
    streams = task["streams"]
    with torch.no_grad():
        model.get_parameter("head.bias")[:_NUM_SPECIAL] = -torch.inf

    @torch.inference_mode()
    def step() -> float:
        inputs, state = torch.zeros((1, streams), dtype=torch.int64), None
        for _ in range(CHARS):
            logits, state = model(inputs, state)
            inputs = torch.multinomial(logits[0].softmax(-1), 1).T
        return float(CHARS * streams)

    return step


def scoring(task: Task) -> Step:
    """log P of every token of every line, lines of similar length side by side."""
    model, lengths, columns = Layers(task), sorted(line_lengths(task["lines"])), task["columns"]
    batches = []
    for first in range(0, len(lengths), columns):
        own = torch.tensor(lengths[first : first + columns])
        shape = int(own.max()) + 1, len(own)
        tokens = torch.randint(_NUM_SPECIAL, task["vocab_size"], shape)
        ends = torch.arange(1, shape[0])[:, None] > own
        batches.append((tokens[:-1], tokens[1:].masked_fill(ends, _IGNORE)))

    @torch.inference_mode()
    def step() -> float:
        for inputs, targets in batches:
            logits, _ = model(inputs, None)
            nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORE, reduction="none"
            )
        return sum(lengths)

    return step
