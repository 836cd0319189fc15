"""What a terminal shows: progress bars, tables and messages, all of them on stderr."""

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
_NARROWEST = 40  # columns of a terminal, whatever it says: a narrower one wraps
_TEXT = 16  # columns that the text in a table gets at least

_CONTROLS = {"Cc", "Cf", "Cs"}  # Unicode categories: control, format, surrogate
# Those that words and emoji are spelled with, and that no terminal obeys: soft hyphen, joiners,
# direction marks (not the overrides and isolates, which reorder what lies around them), signs that
# go before numbers, tags of flags.
_HARMLESS = frozenset(
    "\n\t\u00ad\u200c\u200d\u2060\u061c\u200e\u200f\u06dd\u070f\u0890\u0891\u08e2"
    "\U000110bd\U000110cd"
) | {chr(code) for code in (*range(0x600, 0x606), *range(0xE0020, 0xE0080))}


def visible(text: str) -> str:
    """The text with control characters spelled out, so that none can drive a terminal."""
    controls = {
        ord(char): char.encode("unicode_escape").decode()
        for char in set(text) - set(_HARMLESS)
        if unicodedata.category(char) in _CONTROLS
    }
    return text.translate(controls)


def spelled_out(text: str) -> str:
    """The text on one line, with backslash escapes for line ends, tabs and backslashes."""
    for char, name in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(char, name)
    return text


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it belongs: 1 text, 2 texts."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def console(**options: Any) -> Console:
    """What is shown on stdout, on a width of at least 40 columns."""
    found = Console(highlight=False, **options)
    found.width = max(found.width, _NARROWEST)
    return found


def print_table(table: Table) -> None:
    """Print a table on stdout; what does not fit is cut or folded in text, never in numbers.

    Args:
        table: its columns of numbers have `no_wrap`.
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
    """Mark a text with this many unknown tokens; empty if there are none."""
    return f"{number:,} unknown" if number else ""


def message(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def dim(text: str) -> str:
    """The text in a fainter colour, where stderr is a terminal that shows colours."""
    stderr = Console(stderr=True)
    return f"\x1b[2m{text}\x1b[0m" if stderr.color_system and not stderr.no_color else text


def error(text: str) -> None:
    """One line that says what is wrong and what to do."""
    message("error: " + visible(text.strip().replace("\n", "\\n").replace("\t", "\\t")))


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, or for some of them where they are many, the lowest one lowest."""
    shown = thinned(values, _LONGEST_SPARKLINE)
    low, span = min(shown), max(shown) - min(shown) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in shown)


def thinned(values: Sequence[T], number: int) -> list[T]:
    """Return at most `number` of the values at equal distances, the first and the last included."""
    if len(values) <= number:
        return list(values)
    last = len(values) - 1
    return [values[round(place * last / (number - 1))] for place in range(number)]


def score_details(name: str, score: "Score | Tally") -> None:
    """One score, on stdout."""
    bits, perplexity = score.bits_per_char, score.perplexity
    end = "the end counted" if score.eos else "the end not counted"
    tokens = f"{score.token_log_prob:.4f} nats, with <UNK> for what is unknown"
    rows = [
        ("text", visible(name)),
        ("log P", f"{score.log_prob:.4f} nats"),
        *([("log P of the tokens", tokens)] if score.unk else []),
        ("P", f"{math.exp(score.log_prob):.4g}"),
        ("bits per character", "-" if bits is None else f"{bits:.4f}"),
        ("perplexity", "-" if perplexity is None else f"{perplexity:.4f}"),
        ("characters", f"{score.chars:,}, {end}; {score.unk:,} unknown"),
    ]
    for label, value in rows:
        print(f"{label:<19} {value}")


def score_table(scores: Sequence[tuple[str, "Score | Tally"]]) -> None:
    """Several scores on stdout, the most probable first, each with its ratio to that one."""
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


def confusion_table(confusions: "Confusions", labels: Sequence[str]) -> None:
    """The accuracy, and how often each true label was given each label, on stdout."""
    accuracy = confusions.accuracy
    shown = "-" if accuracy is None else f"{accuracy:.4f}"
    print(f"accuracy {shown} of {quantity(confusions.texts, 'text')}")
    table = Table("true", box=None, pad_edge=False)
    for label in labels:
        table.add_column(Text(visible(label)), justify="right", no_wrap=True)
    for true, row in confusions.confusions.items():
        table.add_row(Text(visible(true)), *(str(row.get(label, 0)) for label in labels))
    print_table(table)
