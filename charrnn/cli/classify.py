"""`charrnn classify`: say which of several models a text comes from."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charrnn.cli import score_options as option
from charrnn.cli.options import (
    AsJson,
    Encoding,
    MaxSize,
    SplitOn,
    Threads,
    as_line,
    as_row,
    chosen_separator,
    load_checkpoint,
    printable,
    refuse_together,
    typed,
    unescaped,
)
from charrnn.cli.score_input import Given, Sources, blocks, texts_and_files, unless_typed
from charrnn.config import LINES
from charrnn.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from charrnn.inference.classification import Classification
    from charrnn.storage.checkpoint import Checkpoint

_GOES_WITHOUT = {"--labels": ("TEXT", "--file", "--lines", "--whole", "--split-on")}


def classify(
    context: typer.Context,
    texts: option.Texts = None,
    checkpoints: option.Candidates = None,
    files: option.Files = None,
    labels: option.Labels = None,
    lines: option.LinesUnlessWhole = None,
    split_on: SplitOn = None,
    eos: option.Eos = None,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Say which of several models each TEXT comes from.

    A model's label is the name of its file, without .npz. All labels are equally probable before a
    text is read; the posterior is what Bayes' rule makes of the models' log P. All models score the
    same event: unknown characters cost each of them a share of its <UNK>, and the end of a text
    counts if it does for all of them.

    One line per text, with tabs between the label, its posterior, the text and, if there are any,
    the number of characters that this model does not know.
    """
    if texts_given := bool(texts or files):
        texts, files = texts_and_files(texts or [], files or [])
    refuse_together(typed(context), _GOES_WITHOUT)
    models = load_models(checkpoints or [])
    if labels is not None:
        labelled = _labelled(labels, models, encoding, max_size)
        given = (Given(text, text) for text, _ in labelled)
        found = [item.label for _, item in _classified(models, given, eos, threads)]
        _print_accuracy([label for _, label in labelled], found, list(models), as_json)
        return
    if not texts_given:
        files = [unless_typed()]
    separator = chosen_separator(lines, split_on)
    if separator is None:
        separator = LINES
    sources = Sources([*map(unescaped, texts or [])], files or [], separator, encoding, max_size)
    for name, item in _classified(models, sources.arriving(), eos, threads):
        print(_object(name, item) if as_json else _line(name, item))


def load_models(paths: Sequence[Path]) -> "dict[str, Checkpoint]":
    """Several models by their labels, the names of their files.

    Raises:
        ConfigError: there is one at most, or two have one name.
    """
    if len(paths) < 2:
        raise ConfigError("classify chooses among several models: give -c for each, e.g. -c A -c B")
    models = {path.stem: load_checkpoint(path) for path in paths}
    if len(models) < len(paths):
        raise ConfigError("the models must have different names")
    return models


def _classified(
    models: "dict[str, Checkpoint]",
    texts: Iterable[Given | None],
    eos: bool | None,
    threads: int | None,
) -> "Iterator[tuple[str, Classification]]":
    """Yield each text's name and what it is."""
    from charrnn.inference.classification import classify
    from charrnn.parallel.threads import Workers

    with Workers(threads) as workers:
        for block in blocks(texts):
            found = classify(models, [given.text for given in block], eos=eos, workers=workers)
            yield from zip((given.name for given in block), found, strict=True)


def _print_accuracy(
    true: Sequence[str], found: Sequence[str], labels: Sequence[str], as_json: bool
) -> None:
    """Print how often each true label was found to be each label."""
    from charrnn.inference.classification import Confusions
    from charrnn.render.display import confusion_table

    confusions = Confusions.count(true, found)
    if as_json:
        figures = {"texts": confusions.texts, "accuracy": confusions.accuracy}
        print(as_line(asdict(confusions) | figures))
    else:
        confusion_table(confusions, labels)


def _labelled(
    path: Path, labels: Collection[str], encoding: str, max_size: int | None
) -> list[tuple[str, str]]:
    """(text, label) of each line that is not empty.

    Raises:
        CorpusError: a line has no label, or none of these.
    """
    from charrnn.text.reading import name_of, read_text, split_lines

    found = []
    for number, line in enumerate(split_lines(read_text(path, encoding, max_size)), start=1):
        text, tab, label = line.rpartition("\t")
        where = f"line {number} of {name_of(path)}"
        if line and not tab:
            raise CorpusError(f"{where} must be TEXT, a tab and LABEL")
        if line and label not in labels:
            raise CorpusError(
                f"{where} has the label {label!r}; the models are {', '.join(labels)}"
            )
        if line:
            found.append((text, label))
    return found


def _object(name: str, item: "Classification") -> str:
    fields: dict[str, Any] = {"text": name, "label": item.label}
    fields |= {"posterior": item.posterior, "log_prob": item.log_probs}
    return as_line(fields | {"unk": item.unk, "eos": item.eos})


def _line(name: str, item: "Classification") -> str:
    """A line in columns; the last one counts what the chosen model does not know."""
    from charrnn.render.display import spelled_out, unknown

    label, text = (printable(spelled_out(each)) for each in (item.label, name))
    return as_row(label, f"{item.posterior[item.label]:.6g}", text, unknown(item.unk[item.label]))
