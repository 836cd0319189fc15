"""`charrnn score`: how probable texts are."""

import math
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn.cli.options import (
    AsJson,
    CheckpointPath,
    Encoding,
    Threads,
    load_checkpoint,
    print_json,
)
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.checkpoint import Checkpoint
    from charrnn.scoring import Score

_BLOCK = 4096  # texts scored side by side


def score(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts to score.")
    ] = None,
    checkpoint: CheckpointPath = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            help="A file to score; '-' is stdin. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    lines: Annotated[
        bool | None,
        typer.Option(
            "--lines/--whole",
            help="Whether every line of a file is a text.  [default: as the model was trained]",
            show_default=False,
        ),
    ] = None,
    eos: Annotated[
        bool | None,
        typer.Option(
            "--eos/--no-eos",
            help="Whether the end of a text counts.  [default: if the model was trained on lines]",
            show_default=False,
        ),
    ] = None,
    per_char: Annotated[bool, typer.Option("--per-char", help="Score every character.")] = False,
    total: Annotated[bool, typer.Option("--total", help="Sum over all texts.")] = False,
    encoding: Encoding = "utf-8",
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Say how probable each TEXT is: log P by the chain rule, in nats, and bits per character.

    In a pipe, a line a text in the order given: log P, bits per character, text, with tabs between.
    On a terminal, several texts come as a table, the most probable first.
    """  # fmt: skip
    from charrnn.scoring import Total

    if not texts and not files:
        if sys.stdin.isatty():
            raise ConfigError("nothing to score: give a TEXT or --file FILE")
        files = [Path("-")]
    model = load_checkpoint(checkpoint)
    cut = model.lines if lines is None else lines
    named = _texts(texts or [], files or [], cut, encoding)
    overall = Total()
    for block in _scored(model, named, eos, threads):
        if total:
            overall.add([score for _, score in block])
        elif as_json:
            for name, score in block:
                print_json(_fields(name, score, per_char))
        else:
            _show(block, per_char)
    if total and as_json:
        print_json(overall.fields())
    elif total:
        for name, value in overall.fields().items():
            print(f"{name}\t{_number(value)}")


def _texts(
    texts: Sequence[str], files: Sequence[Path], lines: bool, encoding: str
) -> Iterator[tuple[str, str]]:
    """(name, text) of everything to score; a text is its own name, a whole file has the file's."""
    from charrnn.corpus import read_text, split_lines, strip_last_newline

    for text in texts:
        yield text, text
    for file in files:
        content = read_text(file, encoding)
        if lines:
            for line in split_lines(content):
                yield line, line
        else:
            yield str(file), strip_last_newline(content)


def _scored(
    model: "Checkpoint", named: Iterator[tuple[str, str]], eos: bool | None, threads: int | None
) -> Iterator[list[tuple[str, "Score"]]]:
    """Names and scores, a block of texts at a time."""
    from charrnn.parallel import Workers
    from charrnn.scoring import score

    with Workers(threads) as workers:
        while block := list(islice(named, _BLOCK)):
            found = score(model, [text for _, text in block], eos=eos, workers=workers)
            yield [(name, score) for (name, _), score in zip(block, found, strict=True)]


def _fields(name: str, score: "Score", per_char: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "text": name,
        "log_prob": score.log_prob,
        "prob": math.exp(score.log_prob),
        **score.figures(),
        "chars": score.chars,
        "unk": score.unk,
        "eos": score.eos,
    }
    if per_char:
        fields["per_char"] = [
            {"char": char, "log_prob": log_prob} for char, log_prob in score.per_char
        ]
    return fields


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _show(block: Sequence[tuple[str, "Score"]], per_char: bool) -> None:
    """Scores for people on a terminal, for other programs in a pipe."""
    from charrnn.display import score_details, score_table, spelled_out

    if per_char:
        for _, score in block:
            for char, log_prob in score.per_char:
                print(f"{spelled_out(char)}\t{log_prob:.6f}\t{-log_prob / math.log(2):.3f}")
            print()
    elif not sys.stdout.isatty():
        for name, score in block:
            bits = _number(score.figures()["bits_per_char"])
            print(f"{score.log_prob:.6f}\t{bits}\t{spelled_out(name)}")
    elif len(block) == 1:
        score_details(*block[0])
    else:
        score_table(block)
