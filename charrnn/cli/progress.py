"""How far `charrnn score` is with its files: a bar on stderr, where that is a terminal."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tqdm import tqdm

from charrnn.cli.score_input import Given, Sources

if TYPE_CHECKING:
    from charrnn.inference.scores import Score

DELAY = 2.0  # seconds before the bar shows


def with_bar(
    scored: Iterable[tuple[Given, "Score"]], sources: Sources, printed: bool
) -> Iterator[tuple[Given, "Score"]]:
    """The same scores, with a bar that moves by the bytes of the texts that are done.

    Args:
        printed: whether the scores are printed as they come, which shows on a terminal how far
            they are.
    """
    shown = sys.stderr.isatty() and not (printed and sys.stdout.isatty())
    with tqdm(
        total=sources.num_bytes(),
        unit="B",
        unit_scale=True,
        disable=not shown,
        delay=DELAY,
        leave=False,
        dynamic_ncols=True,
    ) as bar:
        for given, score in scored:
            yield given, score
            bar.update(given.num_bytes)
