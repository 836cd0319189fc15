"""Write to the terminal: messages on stderr, tables and figures on stdout."""

import math
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # NumPy is not needed to show an error
    from charrnn.inference.classification import Confusions
    from charrnn.inference.scores import Score, Tally

T = TypeVar("T")

_BARS = "▁▂▃▄▅▆▇█"
_LONGEST_SPARKLINE = 20
_NARROWEST = 40  # columns to lay out for; a narrower terminal wraps
_TEXT = 16  # least columns of text in a table

_CONTROLS = {"Cc", "Cf", "Cs"}  # Unicode categories: control, format, surrogate
# Used in words and emoji, and ignored by terminals: soft hyphen, joiners, direction marks (but not
# overrides and isolates, which reorder the text around them), number signs, tags of flags.
_HARMLESS = frozenset(
    "\n\t\u00ad\u200c\u200d\u2060\u061c\u200e\u200f\u06dd\u070f\u0890\u0891\u08e2"
    "\U000110bd\U000110cd"
) | {chr(code) for code in (*range(0x600, 0x606), *range(0xE0020, 0xE0080))}


def visible(text: str) -> str:
    """Spell out control characters, so that none reaches the terminal."""
    controls = {
        ord(char): char.encode("unicode_escape").decode()
        for char in set(text) - set(_HARMLESS)
        if unicodedata.category(char) in _CONTROLS
    }
    return text.translate(controls)


def spelled_out(text: str) -> str:
    """Put the text on one line, with backslash escapes for line ends, tabs and backslashes."""
    for char, name in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(char, name)
    return text


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural: 1 text, 2 texts."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def console(**options: Any) -> Console:
    """Return a console for stdout, at least 40 columns wide."""
    found = Console(highlight=False, **options)
    found.width = max(found.width, _NARROWEST)
    return found


def print_table(table: Table) -> None:
    """Print a table on stdout; only text is folded if it does not fit, never numbers.

    Args:
        table: columns of numbers have `no_wrap`.
    """
    shown, (_, right, _, left) = console(), table.padding
    widths = [
        left + right + max(map(cell_len, [str(column.header), *map(str, column.cells)]))
        for column in table.columns
        if column.no_wrap
    ]
    shown.width = max(shown.width, sum(widths) + _TEXT * (len(widths) < len(table.columns)))
    shown.print(table)


def unknown(number: int) -> str:
    """Return "N unknown", or "" if N is 0."""
    return f"{number:,} unknown" if number else ""


def message(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def dim(text: str) -> str:
    """Return the text in a fainter colour, if stderr is a terminal with colours."""
    stderr = Console(stderr=True)
    return f"\x1b[2m{text}\x1b[0m" if stderr.color_system and not stderr.no_color else text


def error(text: str) -> None:
    """Print an error on one line of stderr."""
    message("error: " + visible(text.strip().replace("\n", "\\n").replace("\t", "\\t")))


def sparkline(values: Sequence[float]) -> str:
    """Return a bar for each value, or for 20 of them if there are more; the lowest is lowest."""
    shown = thinned(values, _LONGEST_SPARKLINE)
    low, span = min(shown), max(shown) - min(shown) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in shown)


def thinned(values: Sequence[T], number: int) -> list[T]:
    """Return at most `number` values, evenly spaced, with the first and the last."""
    if len(values) <= number:
        return list(values)
    last = len(values) - 1
    return [values[round(place * last / (number - 1))] for place in range(number)]


def score_details(name: str, score: "Score | Tally") -> None:
    """Print one score on stdout."""
    bits, perplexity = score.bits_per_char, score.perplexity
    end = "and the end" if score.eos else "without the end"
    tokens = f"{score.token_log_prob:.4f} nats, with <UNK> as one token"
    rows = [
        ("text", visible(name)),
        ("log P", f"{score.log_prob:.4f} nats"),
        *([("log P of the tokens", tokens)] if score.unk else []),
        ("P", f"{math.exp(score.log_prob):.4g}"),
        ("bits per character", "-" if bits is None else f"{bits:.4f}"),
        ("perplexity", "-" if perplexity is None else f"{perplexity:.4f}"),
        ("characters", f"{score.chars:,} {end}; {score.unk:,} unknown"),
    ]
    for label, value in rows:
        print(f"{label:<19} {value}")


def score_table(scores: Sequence[tuple[str, "Score | Tally"]]) -> None:
    """Print several scores on stdout, the most probable first, each with its ratio to the first."""
    ranked = sorted(scores, key=lambda pair: -pair[1].log_prob)
    best = ranked[0][1].log_prob
    marked = any(score.unk for _, score in ranked)
    shown = Table(box=None, pad_edge=False)
    for name in ("log P", "bits/char", "of the best", *["unknown"] * marked):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("text", overflow="fold")
    for name, score in ranked:
        bits = score.bits_per_char
        shown.add_row(
            f"{score.log_prob:.2f}",
            "-" if bits is None else f"{bits:.3f}",
            f"{math.exp(score.log_prob - best):.3g}",
            *[f"{score.unk:,}"] * marked,
            Text(visible(name)),
        )
    print_table(shown)


def comparison_table(
    labels: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]
) -> None:
    """The bits per character of texts by model, on stdout; the lowest stands out."""
    table = Table(box=None, pad_edge=False)
    for label in labels:
        table.add_column(Text(visible(label)), justify="right", no_wrap=True)
    table.add_column("text", overflow="fold")
    for name, bits in rows:
        best = min((value for value in bits if value is not None), default=None)
        shown = (
            Text("-" if value is None else f"{value:.3f}", "bold" if value == best else "")
            for value in bits
        )
        table.add_row(*shown, Text(visible(name)))
    print_table(table)


def confusion_table(confusions: "Confusions", labels: Sequence[str]) -> None:
    """Print the accuracy and the confusion matrix on stdout."""
    accuracy = confusions.accuracy
    shown = "-" if accuracy is None else f"{accuracy:.4f}"
    print(f"accuracy {shown} on {quantity(confusions.texts, 'text')}")
    table = Table("true", box=None, pad_edge=False)
    for label in labels:
        table.add_column(Text(visible(label)), justify="right", no_wrap=True)
    for true, row in confusions.confusions.items():
        table.add_row(Text(visible(true)), *(str(row.get(label, 0)) for label in labels))
    print_table(table)
