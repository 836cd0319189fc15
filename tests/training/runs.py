"""Short runs that stop and resume."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.config import VocabularyConfig
from charrnn.parallel.threads import Workers
from charrnn.storage import archive, checkpoint
from charrnn.text.corpus import Corpus, Split, read_corpus, split_corpus
from charrnn.training import resuming
from charrnn.training.preparing import RunRequest, prepare, resume
from charrnn.training.progress import Progress
from charrnn.training.run import Run

WORDS = "the old well held the door and the apple fell into the well\n"
SIZES = {"hidden_size": 8, "batch_size": 4, "seq_len": 8, "evaluations": 4}


def write_text(file: Path) -> Path:
    words = np.random.default_rng(0).choice(WORDS.split(), 300)
    lines = [" ".join(words[start : start + 7]) for start in range(0, 300, 7)]
    file.write_text("\n".join(lines) + "\n")
    return file


def read(text: Path, separator: str | None = None) -> tuple[Corpus, Split]:
    corpus = read_corpus([str(text)], separator=separator)
    return corpus, split_corpus(corpus)


def begin(
    text: Path,
    output: Path,
    separator: str | None = None,
    tokens: VocabularyConfig | None = None,
    **options: Any,
) -> Run:
    """A new run."""
    if not options.keys() & {"steps", "epochs", "minutes"}:
        options["steps"] = 40
    options = {**SIZES, **options}
    tokens = tokens or VocabularyConfig()
    request = RunRequest(options, tokens=tokens, command="a command", given=options)
    return prepare(*read(text, separator), request, output=output, workers=Workers(1))


def go_on(text: Path, output: Path, separator: str | None = None, **budget: Any) -> Run:
    """Resume the run of the output."""
    suspended = resuming.load(output)
    found = read(text, separator)
    return resume(suspended, *found, budget, output=output, workers=Workers(1), started=0.0)


def stop_at(run: Run, step: int) -> list[Progress]:
    """Train up to a step, and stop as after a signal."""
    progress = run.train()
    history = list(itertools.islice(progress, step))
    run.stop()
    return history


def weights(path: Path) -> Mapping[str, np.ndarray]:
    arrays: Mapping[str, np.ndarray] = checkpoint.load(path).model.arrays
    return arrays


def run_to_end(run: Run) -> list[Progress]:
    return list(run.train())


def history(path: Path) -> list[dict[str, Any]]:
    entries = checkpoint.load(path).training["history"]
    return [{**entry, "seconds": 0} for entry in entries]


def change(output: Path, damage: Callable[[Any, Any], object]) -> None:
    """Change the metadata and the arrays of a file to resume from."""
    path = checkpoint.beside(output, checkpoint.RESUME)
    arrays = dict(np.load(path))
    metadata = json.loads(str(arrays.pop("metadata")))
    damage(metadata, arrays)
    archive.write(path, resuming.KIND, metadata, arrays)
