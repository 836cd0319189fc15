"""`charrnn inspect --neuron` and `--neurons`: what units do while the model reads a text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.cli.options import as_line

if TYPE_CHECKING:
    from charrnn.inference.neurons import Document, Finding, Reading
    from charrnn.network.model import CharRNN
    from charrnn.storage.checkpoint import Checkpoint

_PASSAGE = 2000  # tokens shown for each unit on a page
_COLOURS = "blue below zero, orange above"


def read_for_units(
    loaded: "Checkpoint", file: str, encoding: str, max_size: int | None
) -> "Reading":
    """Read a text and split it into documents as in training."""
    from charrnn.inference.neurons import MAX_CHARS, Reading
    from charrnn.render.display import message, visible
    from charrnn.text.corpus import read_corpus

    corpus = read_corpus([file], separator=loaded.separator, encoding=encoding, max_size=max_size)
    reading = Reading.of(corpus.documents, loaded.vocabulary)
    if not reading.whole:
        message(f"{visible(file)}: only the first {MAX_CHARS:,} characters are read")
    return reading


def show_neuron(
    path: Path,
    loaded: "Checkpoint",
    name: str,
    read: "Callable[[], Reading]",
    html: Path | None,
    as_json: bool,
) -> None:
    """Colour a text by the activation of one unit or, without colours, list the activations."""
    from charrnn.inference.neurons import Unit, follow, largest, network_of, state_name
    from charrnn.render.display import message
    from charrnn.render.inspection import has_colours, list_activations, show_activations
    from charrnn.render.neurons_html import Passage, write_page

    model = network_of(loaded.model)
    unit, state = Unit.named(name, model), state_name(model)
    reading = read()
    (values,) = follow(model, reading.ids, [unit])
    documents = list(reading.parts(values))
    title = f"unit {unit.name(model)}: {state} from {values.min():.3f} to {values.max():.3f}"
    if html is not None:
        passage = Passage("", list(_pieces(documents)), largest(values))
        write_page(html, f"{path.stem}, {title}", _COLOURS, [passage])
    if as_json:
        for tokens, part in documents:
            fields = {"checkpoint": str(path), "unit": unit.name(model), "state": state}
            print(as_line(fields | {"tokens": [*tokens], "activations": part.tolist()}))
    elif html is not None:
        _say_written(html)
    elif has_colours():
        message(f"{title}; {_COLOURS}")
        show_activations(documents, largest(values))
    else:
        list_activations(documents)


def show_neurons(
    path: Path,
    loaded: "Checkpoint",
    read: "Callable[[], Reading]",
    html: Path | None,
    as_json: bool,
) -> None:
    """Print which units track which property of a text, and how well."""
    from charrnn.inference.neurons import best_units, network_of, state_name
    from charrnn.render.inspection import show_findings

    model = network_of(loaded.model)
    reading = read()
    findings = best_units(model, reading.ids, reading.properties())
    named = [(each, each.unit.name(model) if each.unit else "-") for each in findings]
    if html is not None:
        title = f"What units of {path.stem} track, by {state_name(model)}"
        _write_findings(html, title, model, reading, named)
    if as_json:
        rows = [asdict(each) | {"unit": name if each.unit else None} for each, name in named]
        print(as_line({"checkpoint": str(path), "state": state_name(model), "findings": rows}))
    else:
        show_findings(named)
        if html is not None:
            _say_written(html)


def _write_findings(
    html: Path,
    title: str,
    model: "CharRNN",
    reading: "Reading",
    named: "Sequence[tuple[Finding, str]]",
) -> None:
    """Write a page with the table and, for each unit, a passage of the second half."""
    from charrnn.inference.neurons import follow, largest
    from charrnn.render.neurons_html import Passage, findings_table, write_page

    half = len(reading.ids) // 2
    units = [(each, unit, name) for each, name in named if (unit := each.unit)]
    activations = follow(model, reading.ids, [unit for _, unit, _ in units])
    passages = []
    for (each, _, name), values in zip(units, activations, strict=True):
        pieces = list(islice(_pieces(reading.parts(values, half)), _PASSAGE))
        passages.append(Passage(f"{each.property}: unit {name}", pieces, largest(values)))
    write_page(html, title, _COLOURS, passages, findings_table(named))


def _pieces(documents: "Iterable[Document]") -> Iterator[tuple[str, float]]:
    """Yield tokens and activations of documents, each document on a line of its own."""
    from charrnn.inference.neurons import as_read

    return chain.from_iterable(chain(as_read(*each), [("\n", 0.0)]) for each in documents)


def _say_written(html: Path) -> None:
    from charrnn.render.display import message, visible

    message(f"written to {visible(str(html))}")
