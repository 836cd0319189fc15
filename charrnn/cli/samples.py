"""What `charrnn sample` prints of what was drawn."""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from charrnn.cli.drawing import Drawn
from charrnn.cli.options import as_line, printable
from charrnn.config import SampleConfig

if TYPE_CHECKING:
    from rich.text import Text

    from charrnn.checkpoint import Checkpoint
    from charrnn.sampling import Sample

_LIKELIEST = 20  # characters that --next shows
_LONGEST = 40  # characters of a word that it shows
_BAR = 50  # columns of a probability of one
_NARROWEST = 24  # columns that a text needs beside others
_COPIED = "underline"  # how a terminal shows what is copied
_MAX_EXPONENT = 700  # exp of more does not fit a float


def stream(model: "Checkpoint", sample: "Sample", config: SampleConfig) -> None:
    """Print a text while it is drawn."""
    from charrnn.sampling import generate

    for _, text in generate(model, [sample], config):
        print(printable(text), end="", flush=True)
    print()


def print_json(drawn: Iterable[Drawn], with_temperature: bool) -> None:
    """An object a sample."""
    for item in drawn:
        temperature = {"temperature": item.temperature} if with_temperature else {}
        print(as_line(item.fields() | temperature | item.copied_fields()))


def print_texts(groups: Sequence[Sequence[Drawn]], ranked: bool) -> None:
    """The samples of one temperature, or of several side by side where a terminal is wide enough.

    Args:
        groups: the samples of each temperature.
        ranked: whether those of a temperature are in the order of their probability.
    """
    is_marked = any(item.copied is not None for group in groups for item in group)
    if len(groups) > 1 and not is_marked and _fits(len(groups)):
        _print_columns(groups)
        return
    for group in groups:
        if len(groups) > 1:
            print(f"--- temperature {group[0].temperature:g}")
        if ranked and not is_marked and sys.stdout.isatty():
            _print_ranked(group)
        else:
            _print_each(group)


def _print_each(drawn: Sequence[Drawn]) -> None:
    for item in drawn:
        if item.copied is None:
            print(printable(item.sample.text))
        else:
            _print_marked(item)


def _print_ranked(drawn: Sequence[Drawn]) -> None:
    """A table: log P, its ratio to the best, and the text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("log P", "of the best"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("text", overflow="fold")
    best = drawn[0].sample.log_prob
    for item in drawn:
        log_prob = item.sample.log_prob
        ratio = math.exp(min(log_prob - best, _MAX_EXPONENT))
        table.add_row(f"{log_prob:.2f}", f"{ratio:.3g}", Text(printable(item.sample.text)))
    Console(highlight=False).print(table)


def _fits(columns: int) -> bool:
    if not sys.stdout.isatty():
        return False
    from rich.console import Console

    return Console().width >= columns * (_NARROWEST + 1)


def _print_columns(groups: Sequence[Sequence[Drawn]]) -> None:
    """A column a temperature; a row holds the samples of one seed."""
    from itertools import zip_longest

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, expand=True)  # it knows how wide a character is
    for group in groups:
        table.add_column(f"temperature {group[0].temperature:g}", ratio=1, overflow="fold")
    for row in zip_longest(*groups):
        table.add_row(*(Text(printable(item.sample.text) if item else "") for item in row))
    Console(highlight=False).print(table)


def _print_marked(item: Drawn) -> None:
    """The text, with copied stretches marked on a terminal, and then a line for each of them."""
    from charrnn.display import count, spelled_out

    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(_marked(item), soft_wrap=True)
    else:
        print(item.sample.text)
    drawn, copied = item.sample.drawn, item.num_copied
    print(f"{copied:,} of {count(len(drawn), 'character')} copied, {item.share(copied) or 0:.1%}")
    for stretch in item.copied or []:
        text = printable(spelled_out(drawn[stretch.start : stretch.stop]))
        print(f"{len(stretch):>7,} {item.share(len(stretch)):>6.1%}  {text}")


def _marked(item: Drawn) -> "Text":
    from rich.text import Text

    from charrnn.verbatim import covered

    drawn = item.sample.drawn
    shown = Text(printable(item.sample.text.removesuffix(drawn)))
    place = 0
    for stretch in covered(item.copied or []):
        shown.append(printable(drawn[place : stretch.start]))
        shown.append(printable(drawn[stretch.start : stretch.stop]), _COPIED)
        place = stretch.stop
    return shown.append(printable(drawn[place:]))


def print_next(model: "Checkpoint", prompt: str, as_json: bool) -> None:
    """What may follow a prompt, with a bar for each."""
    from charrnn.display import spelled_out
    from charrnn.sampling import next_tokens

    found = next_tokens(model, prompt)
    if as_json:
        unit = "char" if model.vocabulary.config.tokens == "char" else "token"
        following = [
            {unit: token, "prob": math.exp(log_prob), "log_prob": log_prob}
            for token, log_prob in found
        ]
        print(as_line({"prompt": prompt, "next": following}))
        return
    names = [printable(spelled_out(token[:_LONGEST])) for token, _ in found[:_LIKELIEST]]
    width = max(map(len, names))
    for name, (_, log_prob) in zip(names, found, strict=False):
        prob = math.exp(log_prob)
        print(f"{name:<{width}} {prob:.4f} {'█' * round(prob * _BAR)}".rstrip())
