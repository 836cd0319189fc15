"""Print what a model contains, on stdout and for 80 columns."""

import math
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.cells import chop_cells
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from charrnn.config import LINES, WHOLE, ModelConfig
from charrnn.inference.neurons import Document, Finding, as_read, shades, signed
from charrnn.inference.scores import Total
from charrnn.mixing.mixed import Mixed
from charrnn.mixing.trust import trust
from charrnn.render import display
from charrnn.render.display import sparkline, thinned
from charrnn.storage.checkpoint import Checkpoint
from charrnn.storage.history import Validation, best, history
from charrnn.storage.listing import ListedCorpus, ListedModel
from charrnn.text.vocabulary import Vocabulary

_LABEL = 12  # columns
_SHOWN_TOKENS, _LONGEST_TOKEN = 100, 40
_SHOWN_VALIDATIONS = 24
_DISTANCES = (1, 2, 3, 5, 10, 20, 30, 50, 70, 100)
_LOWEST_DECADE = -12
_BAR = 40  # columns of the largest weight
_LONGEST_NAME = 8  # of a token
_EXTREMES = 8  # tokens to name at either end of a ranking
_ONLY_OF = {  # settings of one cell
    "activation": "rnn",
    "feedback": "jordan",
    "order": "ngram",
}
# Backgrounds from weak to strong; black letters are legible on all of them.
_BELOW = ("#dbe9f6", "#b3d3ee", "#7fb5e0", "#4b93d1")
_ABOVE = ("#fde5d0", "#fcc79b", "#f9a15f", "#ee7b28")
_OF_NGRAMS = ("vocab_size", "cell", "order")


def show_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Print settings, arrays, vocabulary and training history of a model."""
    model, training = checkpoint.model, checkpoint.training
    unit = "k-gram" if model.config.cell == "ngram" else "parameter"
    print(f"{display.visible(str(path))}: {display.quantity(model.size, unit)}")
    print(_folded("model", ", ".join(_settings(model.config))))
    arrays = [f"{name:<18} {_shape(array.shape)}" for name, array in model.arrays.items()]
    print("\n".join(_labelled("arrays", arrays)))
    if isinstance(model, Mixed):
        print("\n".join(_labelled("mixing", _trusted(model, checkpoint.vocabulary))))
    print(f"documents   {_documents(checkpoint.separator)}")
    print("\n".join(_labelled("vocabulary", _vocabulary(checkpoint.vocabulary))))
    if "command" in training:
        print(f"trained by  {display.visible(str(training['command']))}")
    if validations := history(training):
        _show_history(validations)


def _settings(config: ModelConfig) -> Iterator[str]:
    """Yield the settings that the cell uses."""
    cell = config.cell
    for name, value in asdict(config).items():
        of_ngrams = name in _OF_NGRAMS or cell != "ngram"
        if of_ngrams and cell == _ONLY_OF.get(name, cell):
            yield f"{name} {value}"


def _trusted(model: Mixed, vocabulary: Vocabulary) -> list[str]:
    """Describe how much a mixture trusts repetitions, and after which tokens."""
    found, unit = trust(model), vocabulary.config.unit
    lines = [f"weight of what followed a repetition, by its length in {unit}s"]
    most = max(1e-9, float(found.repetition[1:].max()))
    for length, weight in zip(found.lengths[1:], found.repetition[1:].tolist(), strict=True):
        lines.append(f"{length:>2} {weight:6.2f} {'█' * round(_BAR * max(0.0, weight) / most)}")
    order = np.argsort(-found.after, kind="stable")
    names = ["space" if token == " " else display.spelled_out(token) for token in vocabulary.tokens]
    for which, places in (("most", order[:_EXTREMES]), ("least", order[::-1][:_EXTREMES])):
        shown = " ".join(display.visible(names[place])[:_LONGEST_NAME] for place in places)
        lines += _wrapped(f"memory and counts are trusted {which} after {shown}")
    return lines


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _documents(separator: str) -> str:
    if separator in (LINES, WHOLE):
        return "lines" if separator == LINES else "whole files"
    return f"files cut at '{display.visible(display.spelled_out(separator))}'"


def _vocabulary(vocabulary: Vocabulary) -> list[str]:
    """Return the first tokens, folded to the width of the terminal."""
    tokens = vocabulary.tokens
    between = "" if vocabulary.config.tokens == "char" else " "
    sample = between.join(token[:_LONGEST_TOKEN] for token in tokens[:_SHOWN_TOKENS])
    text = f"<EOS> <UNK> {display.visible(display.spelled_out(sample))}"
    more = len(tokens) - _SHOWN_TOKENS
    return chop_cells(text, _width() - _LABEL) + [f"and {more:,} more"] * (more > 0)


def _width() -> int:
    return max(2 * _LABEL, display.console().width)


def _folded(label: str, text: str) -> str:
    return "\n".join(_labelled(label, _wrapped(text)))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _width() - _LABEL)


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    """Return lines with a label before the first one."""
    labels = [label] + [""] * (len(lines) - 1)
    return [f"{each:<{_LABEL}}{line}" for each, line in zip(labels, lines, strict=True)]


def _show_history(validations: Sequence[Validation]) -> None:
    """Print a sparkline of the validation curve and a table of at most 24 rows."""
    found = [bits for each in validations if (bits := each.val_bits_per_char) is not None]
    if kept := best(validations):
        curve = f"{sparkline(found)}  " * (len(found) > 1)
        at_best = f"{kept.val_bits_per_char:.4f} bits per character"
        print(f"validation  {curve}{at_best} at step {kept.step:,}")
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("step", "epoch", "time", "learning rate", "train", "val", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for each in thinned(validations, _SHOWN_VALIDATIONS):
        table.add_row(
            f"{each.step:,}",
            _figure(each.epochs, ".2f"),
            "-" if each.seconds is None else clock(each.seconds),
            _figure(each.learning_rate, ".1e"),
            _figure(each.train_bits_per_char, ".4f"),
            _figure(each.val_bits_per_char, ".4f"),
            "*" if each.best and each.val_bits_per_char is not None else "",
        )
    print()
    display.print_table(table)
    if len(validations) > _SHOWN_VALIDATIONS:
        print(f"{_SHOWN_VALIDATIONS} of {len(validations):,} validations; the JSON has all")


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def clock(seconds: float) -> str:
    """Format a time as M:SS or H:MM:SS."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60:,}:{minutes % 60:02}:{rest:02}"


def show_models(title: str, models: Sequence[ListedModel]) -> None:
    """Print one line per model."""
    print(title if models else f"{title}: none")
    table = Table(
        box=None, pad_edge=False, header_style="", padding=(0, 1), show_header=bool(models)
    )
    table.add_column("model", overflow="fold")
    for name in ("cell", "parameters", "bits/char", "modified", "corpus"):
        right, text = name in ("parameters", "bits/char"), name == "corpus"
        table.add_column(
            name, justify="right" if right else "left", overflow="fold", no_wrap=not text
        )
    for each in models:
        table.add_row(
            Text(display.visible(each.model)),
            "unusable" if each.error else each.cell,
            _figure(each.parameters, ","),
            _figure(each.bits_per_char, ".4f"),
            (each.modified or "-")[: len("2025-01-01")],
            Text(display.visible((each.corpus or "-")[:_LONGEST_TOKEN])),
        )
    if models:
        display.print_table(table)
    print()


def show_corpora(title: str, corpora: Sequence[ListedCorpus]) -> None:
    """Print one line per corpus, with its size."""
    print(title)
    for each in corpora:
        lines = display.quantity(each.lines, "line")
        print(f"{each.corpus:<{_LABEL}}{display.quantity(each.chars, 'character')} in {lines}")


def show_gradient_flow(norms: Mapping[str, Sequence[float]]) -> None:
    """Print the norm of a gradient by distance, with a bar of three columns per decade.

    Args:
        norms: norms at the distances 1, 2, 3, ... by name of the state: h, C or o.
    """
    for name, by_distance in norms.items():
        print(f"distance k   median norm of dloss/d{name}")
        for k in _DISTANCES:
            norm = by_distance[k - 1]
            decades = math.log10(norm) - _LOWEST_DECADE if norm > 0 else 0.0
            print(f"{k:>10}   {norm:8.2e}  {'█' * max(0, round(3 * decades))}")


def show_by_sight(name: str, totals: Iterable[tuple[int | None, Total]]) -> None:
    """Print bits per character by how much of a text is seen; a column of a bar is an eighth.

    Args:
        name: what the numbers are.
        totals: after the number, None for all of the text; printed as they come.
    """
    print(f"{name:>7}  bits/char")
    for number, total in totals:
        bits = total.bits_per_char
        figure = "-" if bits is None else f"{bits:.4f}"
        bar = "█" * min(_BAR, round(8 * (bits or 0)))
        shown = f"{'all' if number is None else number:>7}  {figure:>9}  {bar}"
        print(f"{shown}  {display.unknown(total.unk)}".rstrip(), flush=True)


def has_colours() -> bool:
    """Return whether stdout is a terminal with colours, and NO_COLOR is not set."""
    console = Console()
    return console.color_system is not None and not console.no_color


def show_activations(documents: Iterable[Document], largest: float) -> None:
    """Print texts on a blue background where a unit is below zero, and on orange above.

    Args:
        documents: tokens of each document, and the activation after each token.
        largest: absolute activation, for the strongest colour.
    """
    console = display.console(soft_wrap=True)
    for tokens, values in documents:
        shown = Text()
        for shade, text in shades(as_read(tokens, values), largest):
            shown.append(display.visible(text), _style(shade))
        for line in shown.split(allow_blank=True):
            console.print(line)


def _style(shade: int) -> Style | None:
    if not shade:
        return None
    return Style(color="#000000", bgcolor=(_ABOVE if shade > 0 else _BELOW)[abs(shade) - 1])


def list_activations(documents: Iterable[Document]) -> None:
    """Print one line per token: token, tab, activation; an empty line after each document."""
    shown = display.visible if sys.stdout.isatty() else str
    for tokens, values in documents:
        for token, value in zip(tokens, values.tolist(), strict=True):
            print(f"{shown(display.spelled_out(token))}\t{value:.4f}")
        print()


def show_findings(findings: Sequence[tuple[Finding, str]]) -> None:
    """Print the unit that tracks each property, with its correlation in both halves of the text."""
    table = Table(box=None, pad_edge=False, header_style="")
    for head in ("property", "unit", "1st half", "2nd half"):
        number = head != "property"
        table.add_column(head, justify="right" if number else "left", no_wrap=number)
    for found, name in findings:
        table.add_row(found.property, name, signed(found.chosen), signed(found.held_out))
    display.print_table(table)
    print("Correlations. Each unit was chosen on the first half of the text.")
