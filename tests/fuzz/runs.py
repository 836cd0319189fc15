"""Hostile runs to resume: genuine ones of several kinds, damaged as any file of charrnn."""

import itertools
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint
from charrnn.training import resuming
from charrnn.training.preparing import RunRequest, prepare, resume
from charrnn.training.run import Run
from tests.crashes.corpus import read
from tests.fuzz.files import Content
from tests.fuzz.harness import Kind
from tests.fuzz.mutations import MUTATIONS, VALUES, Rng, choice

_SIZES = {"hidden_size": 6, "batch_size": 3, "seq_len": 5, "steps": 9, "evaluations": 3}
_KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"cell": "gru", "dropout": 0.3, "num_layers": 2},
    {"cell": "jordan", "scheduled_sampling": 0.5},
    {"ngram": 4, "embedding_size": 4},
)


@cache
def _content(kind: int) -> Content:
    """A run that stopped after a few steps."""
    with tempfile.TemporaryDirectory() as folder:
        output, options = Path(folder, "a.npz"), {"ngram": 0, **_SIZES, **_KINDS[kind]}
        run = prepare(*read(), RunRequest(options), output=output, workers=Workers(1))
        steps = run.train()
        list(itertools.islice(steps, 4))
        run.stop()
        content = Content.read(checkpoint.beside(output, checkpoint.RESUME))
    content.metadata["run"]["saved"] = False  # else its best model is written where it is missing
    return content


def _base(rng: Rng) -> Content:
    return _content(int(rng.integers(len(_KINDS)))).copy()


def numbers(content: Content, rng: Rng) -> bytes:
    """A number of the run, or a state of its generators, that no run has."""
    found = content.metadata["numbers"]
    if rng.random() < 0.3 and found.get("generators"):
        found = choice(rng, choice(rng, [*found["generators"].values()]))
        found = choice(rng, [found, found["state"]])
    found[choice(rng, list(found))] = choice(rng, VALUES)
    return content.pack()


def goes_on(path: Path) -> None:
    """Go on with the run that a file holds, for two steps."""
    list(itertools.islice(restored(path).trainer.train(), 2))


def restored(path: Path) -> Run:
    """The run that a file holds, ready to go on."""
    corpus, split = read()
    output = path.with_name("model.npz")
    with Workers(1) as workers:
        return resume(
            resuming.read(path), corpus, split, {}, output=output, workers=workers, started=0.0
        )


RUNS = Kind(base=_base, mutations=[*MUTATIONS, numbers], load=goes_on)
