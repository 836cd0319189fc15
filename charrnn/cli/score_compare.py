"""What `charrnn score` prints with several models: how well each of them predicts the texts."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.cli.classify import load_models
from charrnn.cli.options import as_line, as_row, printable
from charrnn.cli.score_input import Given, Sources, blocks

if TYPE_CHECKING:
    from charrnn.cli.score_output import Output
    from charrnn.inference.scores import Score

    Compared = tuple[Given, dict[str, Score]]


def compare_models(
    paths: Sequence[Path],
    sources: Sources,
    output: "Output",
    *,
    eos: bool | None,
    threads: int | None,
) -> None:
    """Print the bits per character of each text, or of all together, by model.

    Raises:
        ConfigError: two models have one name.
    """
    from charrnn.inference.classification import compare
    from charrnn.parallel.threads import Workers
    from charrnn.render.display import dim, message

    models = load_models(paths)
    if sys.stderr.isatty():
        message(dim("models: side by side; charrnn classify says which one a text comes from"))

    def compared() -> "Iterator[Compared]":
        with Workers(threads) as workers:
            for block in blocks(sources.arriving()):
                texts = [given.text for given in block]
                yield from zip(block, compare(models, texts, eos=eos, workers=workers), strict=True)

    if output.total:
        _print_total(compared(), list(models), output)
    else:
        _print_each(compared(), list(models), output, soon=sources.is_small)


def _print_each(
    compared: "Iterator[Compared]", labels: Sequence[str], output: "Output", *, soon: bool
) -> None:
    """Print a line a text, or a table on a terminal."""
    from charrnn.cli.score_output import name_of, rounded
    from charrnn.render.display import comparison_table

    if soon and not (output.as_json or output.tsv) and sys.stdout.isatty():
        rows = [(given.name, _bits(scores)) for given, scores in compared]
        comparison_table(labels, rows)
        return
    if output.tsv:
        print("\t".join([*labels, "chars", "eos", "text"]))
    for given, scores in compared:
        if output.as_json:
            eos = any(score.eos for score in scores.values())
            print(as_line(given.object | _fields(scores) | {"eos": eos}))
            continue
        bits = [rounded(value) for value in _bits(scores)]
        if output.tsv:
            any_score = scores[labels[0]]
            bits += [str(any_score.chars), str(int(any_score.eos))]
        print("\t".join([*bits, name_of(given)]))


def _print_total(compared: "Iterator[Compared]", labels: Sequence[str], output: "Output") -> None:
    """Print an object, or a line a model, for all texts together."""
    from charrnn.cli.score_output import rounded
    from charrnn.inference.scores import Total
    from charrnn.render.display import unknown

    totals = {label: Total() for label in labels}
    for _, scores in compared:
        for label, score in scores.items():
            totals[label].add([score])
    if output.as_json:
        print(as_line({"texts": totals[labels[0]].texts} | _fields(totals)))
        return
    for label, total in totals.items():
        print(as_row(printable(label), rounded(total.bits_per_char), unknown(total.unk)))


def _bits(scores: Mapping[str, Any]) -> list[float | None]:
    return [score.bits_per_char for score in scores.values()]


def _fields(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of JSON, those that differ by model."""
    names = ("bits_per_char", "log_prob", "unk")
    fields = {
        name: {label: getattr(score, name) for label, score in scores.items()} for name in names
    }
    chars = next(iter(scores.values())).chars
    return {"chars": chars, **fields}
