"""`charrnn sample --choices`: given continuations of a prompt, ranked."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.cli.options import as_line, as_row, as_text, printable
from charrnn.cli.score_input import Sources
from charrnn.config import LINES
from charrnn.errors import CorpusError

if TYPE_CHECKING:
    from charrnn.inference.scores import Score
    from charrnn.parallel.threads import Workers
    from charrnn.storage.checkpoint import Checkpoint


def read_choices(path: Path, encoding: str, max_size: int | None) -> list[str]:
    """The lines of a file, each once and with its escapes replaced, empty ones left out.

    Raises:
        CorpusError: there are none, or the file cannot be read.
    """
    given = Sources([], [path], LINES, encoding, max_size).read()
    found = dict.fromkeys(as_text(each.text) for each in given if each.text)
    if not found:
        name = "standard input" if str(path) == "-" else path
        raise CorpusError(f"there are no choices in {name}: give one a line")
    return [*found]


def print_choices(
    model: "Checkpoint", prompt: str, texts: Sequence[str], as_json: bool, workers: "Workers"
) -> None:
    """Print continuations of a prompt with their log P and P, the most probable first."""
    from charrnn.inference.scoring import score
    from charrnn.text.unicode import normalize

    found = score(model, texts, given=prompt, eos=False, workers=workers)
    ranked = sorted(zip(texts, found, strict=True), key=lambda pair: -pair[1].log_prob)
    if as_json:
        for choice, each in ranked:
            figures = {"log_prob": each.log_prob, "prob": math.exp(each.log_prob)}
            names = {"text": normalize(prompt + choice), "prompt": prompt, "choice": choice}
            print(as_line(names | figures | {"unk": each.unk}))
    elif sys.stdout.isatty():
        _print_table(ranked)
    else:
        for choice, each in ranked:
            prob = f"{math.exp(each.log_prob):.6g}"
            print(as_row(f"{each.log_prob:.6f}", prob, _shown(choice)))


def _print_table(ranked: Sequence[tuple[str, "Score"]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from charrnn.render.display import print_table

    table = Table(box=None, pad_edge=False)
    for name in ("log P", "P", "of the best"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("choice", overflow="fold")
    best = ranked[0][1].log_prob
    for choice, score in ranked:
        figures = f"{math.exp(score.log_prob):.3g}", f"{math.exp(score.log_prob - best):.3g}"
        table.add_row(f"{score.log_prob:.2f}", *figures, Text(_shown(choice)))
    print_table(table)


def _shown(text: str) -> str:
    from charrnn.render.display import spelled_out

    return printable(spelled_out(text))
