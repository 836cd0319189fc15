"""Samples of a model while it learns."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from charrnn.config import SampleConfig
from charrnn.errors import CheckpointError

if TYPE_CHECKING:
    from charrnn.training.run import Run

LENGTH = 200  # characters
_SECONDS = 1.0  # limit of a draw, so that a slow model does not use up the budget
_BETWEEN = "---"  # between texts of several lines


def draw(run: "Run", seed: int, count: int = 1, length: int = LENGTH) -> list[str]:
    """Write texts with the current weights, in about a second at most.

    Args:
        seed: random seed of the first text.
    """
    from charrnn.inference.sampling import Sample, generate

    samples = [Sample("", seed + number) for number in range(count)]
    start = time.perf_counter()
    try:
        for _ in generate(run.checkpoint(), samples, SampleConfig(length=length)):
            if time.perf_counter() - start > _SECONDS:
                break
    except CheckpointError:  # its predictions are not finite
        return []
    return [sample.text for sample in samples]


def on_one_line(text: str, columns: int) -> str:
    """Return the text on one line, cut after `columns` columns."""
    shown = Text(" ".join(text.split()))
    shown.truncate(columns, overflow="ellipsis")
    return shown.plain


def below_each_other(texts: Sequence[str], columns: int) -> list[str]:
    """Return the lines of all texts, folded to `columns`, with `---` between longer texts."""
    blocks = [[*_folded(text, columns)] for text in texts]
    apart = any("\n" in text.strip("\n") for text in texts)
    lines: list[str] = []
    for block in blocks:
        lines += [_BETWEEN] if apart and lines else []
        lines += block
    return lines


def _folded(text: str, columns: int) -> Iterator[str]:
    """Yield the lines of a text, folded to `columns`."""
    for line in text.rstrip("\n").split("\n") if text.strip() else ["(an empty text)"]:
        for part in Text(line).wrap(Console(), columns, tab_size=4):
            yield part.plain.rstrip()
