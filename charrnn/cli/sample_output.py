"""Print samples: as text, side by side, ranked, marked or as JSON."""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charrnn.cli.options import as_line, printable
from charrnn.cli.sample_drawing import Drawn
from charrnn.config import SampleConfig

if TYPE_CHECKING:
    from rich.text import Text

    from charrnn.inference.sampling import Sample
    from charrnn.storage.checkpoint import Checkpoint

_LIKELIEST = 20  # tokens that --next shows
_LONGEST = 40  # characters of a word that it shows
_BAR = 50  # columns for probability 1
_NARROWEST = 24  # columns of a text side by side with others
_COPIED = "underline"  # style of copied text
_BETWEEN = "---"  # between samples that may have several lines
_NAMED = 10  # unknown tokens in a warning


def stream(
    model: "Checkpoint", sample: "Sample", config: SampleConfig, colour: bool = False
) -> None:
    """Print a text while it is sampled.


    Args:
        sample: a fresh one.
        colour: colour each token by its surprise, where the terminal has colours.
    """
    from charrnn.inference.sampling import generate

    show = _coloured(sample) if colour and sys.stdout.isatty() else _plain
    for _, text in generate(model, [sample], config):
        show(text)
    print()


def _plain(text: str) -> None:
    print(printable(text), end="", flush=True)


def _coloured(sample: "Sample") -> Callable[[str], None]:
    """Return a function that prints the next part of a sample, coloured by its surprise."""
    from rich.text import Text

    from charrnn.inference.units import bits
    from charrnn.render.display import console
    from charrnn.render.shading import SHADES, shade_of

    shown = console()
    if shown.no_color or not shown.color_system:
        return _plain

    def show(text: str) -> None:
        line, written = Text(), 0
        for token, log_prob in sample.pieces or []:
            style = SHADES[shade_of(bits(-log_prob))].style(shown.color_system)
            line.append(printable(token), style)
            written += len(token)
        sample.pieces = []
        shown.print(line.append(printable(text[written:])), end="", soft_wrap=True)

    sample.pieces = []
    return show


def say_unknown(model: "Checkpoint", prompts: Iterable[str], told: set[str] | None = None) -> None:
    """Warn on stderr about tokens of the prompts that are not in the vocabulary.

    Args:
        told: tokens already named, which are skipped; new ones are added.
    """
    from charrnn.ids import UNK
    from charrnn.render.display import message, spelled_out, visible

    vocabulary = model.vocabulary
    known, unknown = False, dict[str, None]()
    for prompt in {*prompts}:
        is_unknown = vocabulary.encode(prompt) == UNK
        known = known or not is_unknown.all()
        if is_unknown.any():
            tokens = zip(vocabulary.split(prompt), is_unknown, strict=True)
            unknown |= dict.fromkeys(token for token, missing in tokens if missing)
    told = set() if told is None else told
    new = unknown.keys() - told
    if not new:
        return
    told |= new
    unit = vocabulary.config.unit
    if not known:
        message(f"warning: the model knows no {unit} of the prompt; try another model")
        return
    shown = [f"'{visible(spelled_out(token[:_LONGEST]))}'" for token in sorted(new)]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    message(f"warning: unknown to the model: {', '.join(shown[:_NAMED])}{more}")


def several_lines(model: "Checkpoint", prompts: Iterable[str]) -> bool:
    """Return whether samples may have several lines."""
    return "\n" in model.vocabulary.tokens or any("\n" in prompt for prompt in prompts)


def print_json(drawn: Iterable[Drawn], with_temperature: bool, *, ranked: bool) -> None:
    """Print one JSON object per sample."""
    for item in drawn:
        temperature = {"temperature": item.temperature} if with_temperature else {}
        rank = item.ranked_fields() if ranked else {}
        print(as_line(item.fields() | rank | temperature | item.copied_fields()))


@dataclass(frozen=True)
class Layout:
    """How to lay out samples.

    Args:
        ranked: by probability.
        marked: with copied text marked.
        apart: with a line between them, as a sample may have several lines.
    """

    ranked: bool = False
    marked: bool = False
    apart: bool = False


def print_texts(
    temperatures: Sequence[float], groups: Sequence[Iterable[Drawn]], layout: Layout
) -> None:
    """Print the samples, several temperatures side by side if the terminal is wide enough.

    Args:
        groups: the samples of each temperature.
    """
    if len(groups) > 1 and not layout.marked and _fits(len(groups)):
        _print_columns(temperatures, groups, layout)
        return
    for temperature, drawn in zip(temperatures, groups, strict=True):
        if len(groups) > 1:
            print(f"--- temperature {temperature:g}")
        if layout.ranked and not layout.marked and sys.stdout.isatty():
            _print_ranked([*drawn])
        else:
            _print_each(drawn, layout)


def _print_each(drawn: Iterable[Drawn], layout: Layout) -> None:
    for number, item in enumerate(drawn):
        if number and layout.apart:
            print(_BETWEEN)
        if layout.marked:
            _print_marked(item)
        else:
            print(printable(item.sample.text))


def _print_ranked(drawn: Sequence[Drawn]) -> None:
    """Print a table: log P of everything sampled, its ratio to the best, and the text."""
    from rich.table import Table
    from rich.text import Text

    from charrnn.render.display import print_table

    table = Table(box=None, pad_edge=False)
    for name in ("log P", "of the best"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("text", overflow="fold")
    best = drawn[0].sample.drawn_log_prob
    for item in drawn:
        log_prob = item.sample.drawn_log_prob
        text = Text(printable(item.sample.text))
        table.add_row(f"{log_prob:.2f}", f"{math.exp(log_prob - best):.3g}", text)
    print_table(table)


def _fits(columns: int) -> bool:
    if not sys.stdout.isatty():
        return False
    from charrnn.render.display import console

    return console().width >= columns * (_NARROWEST + 1)


def _print_columns(
    temperatures: Sequence[float], groups: Sequence[Iterable[Drawn]], layout: Layout
) -> None:
    """Print one column per temperature and one row per seed."""
    from itertools import zip_longest

    from rich.table import Table
    from rich.text import Text

    from charrnn.render.display import console

    table = Table(box=None, pad_edge=False, expand=True)  # it knows how wide a character is
    for temperature in temperatures:
        table.add_column(f"temperature {temperature:g}", ratio=1, overflow="fold")
    for number, row in enumerate(zip_longest(*groups)):
        if number and layout.apart:
            table.add_row(_BETWEEN)
        table.add_row(*(Text(printable(item.sample.text) if item else "") for item in row))
    console().print(table)


def _print_marked(item: Drawn) -> None:
    """Print the text, its copied stretches underlined on a terminal, then a line for each."""
    from charrnn.render.display import console, quantity, spelled_out

    if sys.stdout.isatty():
        console().print(_marked(item), soft_wrap=True)
    else:
        print(item.sample.text)
    drawn, copied = item.sample.drawn, item.num_copied
    print(
        f"{copied:,} of {quantity(len(drawn), 'character')} copied, {item.share(copied) or 0:.1%}"
    )
    for stretch in item.copied or []:
        text = printable(spelled_out(drawn[stretch.start : stretch.stop]))
        print(f"{len(stretch):>7,} {item.share(len(stretch)):>6.1%}  {text}")


def _marked(item: Drawn) -> "Text":
    from rich.text import Text

    from charrnn.inference.verbatim import covered

    drawn = item.sample.drawn
    shown = Text(printable(item.sample.text.removesuffix(drawn)))
    place = 0
    for stretch in covered(item.copied or []):
        shown.append(printable(drawn[place : stretch.start]))
        shown.append(printable(drawn[stretch.start : stretch.stop]), _COPIED)
        place = stretch.stop
    return shown.append(printable(drawn[place:]))


def print_next(
    model: "Checkpoint", prompt: str, as_json: bool = False, *, numbered: bool = False
) -> None:
    """Print the most probable next tokens, with a bar for each."""
    from charrnn.inference.sampling import next_tokens
    from charrnn.render.display import spelled_out

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
    for number, (name, (_, log_prob)) in enumerate(zip(names, found, strict=False), start=1):
        prob = math.exp(log_prob)
        begins = f"{number:>2}  " if numbered else ""
        print(f"{begins}{name:<{width}} {prob:.4f} {'█' * round(prob * _BAR)}".rstrip())
