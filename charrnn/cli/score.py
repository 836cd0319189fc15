"""`charrnn score`: how probable texts are."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charrnn.cli.options import (
    PARTS,
    AsJson,
    Encoding,
    MaxSize,
    SplitOn,
    Threads,
    chosen_separator,
    load_checkpoint,
    models,
    one_of,
    refuse_together,
    typed,
    unescaped,
)
from charrnn.cli.score_classify import classify_texts
from charrnn.cli.score_input import Given, Sources, texts_and_files, unless_typed
from charrnn.cli.score_models import Scorer
from charrnn.config import LINES, WHOLE
from charrnn.errors import ConfigError
from charrnn.parallel import processes

if TYPE_CHECKING:
    from charrnn.cli.score_output import Figures, Output, Printer

_PER_CHAR = "Show log P and bits of every character, in colour on a terminal."
_EXCEEDED = 3  # exit code of --fail-over
_MOST = 200_000  # characters in a picture
_PICTURES = ("--html", "--svg")
_GOES_WITHOUT = {
    "--adapt": ("--per-char", "--streams"),
    "--streams": ("--per-char",),
    "--html": ("--total", "--streams", "--adapt"),
    "--svg": ("--total", "--streams", "--adapt"),
    "--field": ("--lines", "--whole", "--split-on", "--streams", *_PICTURES, "TEXT"),
    "--tsv": ("--json", "--per-char", "--total", "--adapt"),
    "--sort": ("--per-char", "--total", "--adapt"),
    "--fail-over": ("--adapt",),
    "--labels": ("TEXT", "--file", "--lines", "--whole", "--split-on"),
}
_ONE_MODEL = (
    "--per-char", *_PICTURES, "--total", "--streams", "--adapt", "--part", "--field", "--tsv",
    "--sort", "--fail-over",
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """How to score texts: each as a whole, unless one of these is set."""

    streams: int = 1  # parts of a whole file to score in parallel
    adapt: bool = False


def score(
    ctx: typer.Context,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Texts to score; '-' reads them from stdin.  [default: stdin]",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            "-c",
            metavar="<path>",
            help="Model: a name or .npz file; repeat it to classify.  [default: the newest in "
            "./checkpoints, else everyday]",
            autocompletion=models,
            show_default=False,
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="<path>",
            help="File to score; '-' is stdin; can be repeated.",
            show_default=False,
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Read JSON Lines, score this field, and add the scores to each object.  "
            "[default: read text]",
            show_default=False,
        ),
    ] = None,
    lines: Annotated[
        bool | None,
        typer.Option(
            "--lines/--whole",
            help="Score each line, or each file, as a text.  [default: as in training]",
            show_default=False,
        ),
    ] = None,
    split_on: SplitOn = None,
    eos: Annotated[
        bool | None,
        typer.Option(
            "--eos/--no-eos",
            help="Count the end of a text, or not.  [default: --eos, except for models of whole "
            "files]",
            show_default=False,
        ),
    ] = None,
    per_char: Annotated[bool, typer.Option("--per-char", help=_PER_CHAR)] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the coloured texts to a web page.  [default: none]",
            show_default=False,
        ),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the coloured texts to an SVG picture.  [default: none]",
            show_default=False,
        ),
    ] = None,
    total: Annotated[bool, typer.Option("--total", help="Print one total over all texts.")] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Print the accuracy on a file of lines TEXT, tab, model name.  [default: none]",
            show_default=False,
        ),
    ] = None,
    streams: Annotated[
        int,
        typer.Option(
            help="Parts of a whole file to score in parallel: faster, nearly the same result.",
            min=1,
            max=4096,
        ),
    ] = 1,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt",
            help="Also score with dynamic evaluation: the model learns as it reads.",
        ),
    ] = False,
    part: Annotated[
        str,
        typer.Option(
            help=f"Part of the model to use: {', '.join(PARTS)}.",
            autocompletion=one_of(PARTS),
        ),
    ] = PARTS[0],
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
    tsv: Annotated[
        bool,
        typer.Option(
            "--tsv",
            help="Print tab-separated columns under a header.",
        ),
    ] = False,
    sort: Annotated[
        bool,
        typer.Option("--sort", help="Print the most surprising texts first."),
    ] = False,
    fail_over: Annotated[
        float | None,
        typer.Option(
            metavar="BITS",
            help="Exit with code 3 if a text or total is above BITS per character.  "
            "[default: never]",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
) -> None:
    """Say how probable each TEXT is, in nats and bits per character.

    log P of a text is the sum of the log-probabilities of its characters, each given those before
    it. Characters that the model does not know share the probability of <UNK>. In TEXT, \\n, \\t,
    \\r, \\\\ and \\uXXXX are escapes; put -- before a text that begins with '-'.

    On a terminal, several texts make a table, the most probable first. When piped: one line per
    text, in input order, with log P, bits per character, the text and the number of unknown
    characters, if any, separated by tabs. --tsv prints log_prob, bits_per_char, perplexity, chars,
    unk, eos (1 or 0) and text.

    --streams warms up on the 256 tokens before each part. --adapt learns from 32 tokens at a time,
    and starts each text anew. --field overwrites fields that have the name of a score.
    """
    from charrnn.cli.score_output import Output, Printer, Watch

    world, several = processes.world(), len(checkpoints or []) > 1
    texts, files = texts_and_files(texts or [], files or [])
    inputs = {"TEXT": texts, "--file": files}
    given = {name for name, found in inputs.items() if found}
    _check_together(typed(ctx) - inputs.keys() | given, several)
    as_json = as_json or (field is not None and not tsv)
    output = Output(as_json, tsv, sort, per_char and not total, total, html, svg)
    output.check([*files, *(checkpoints or [])])
    watch = Watch(fail_over)
    method = Method(streams, adapt)
    if not world.speaks:
        if adapt or html or svg or several:
            return  # rank 0 does these by itself
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if not given and labels is None:
        files = [world.together(unless_typed, alone=True)]
    separator = LINES if field is not None else chosen_separator(lines, split_on)
    cut = LINES if separator is None else separator
    sources = Sources([*map(unescaped, texts)], files, cut, encoding, max_size, field)
    if checkpoints and several:
        classify_texts(checkpoints, sources, labels, eos=eos, threads=threads, as_json=as_json)
        return
    model = load_checkpoint(checkpoints[0] if checkpoints else None, part)
    if separator is None:
        sources = replace(sources, separator=model.separator)
    printer = Printer(model.vocabulary.config, output, watch)
    _print_scores(Scorer(model, eos, threads, world), sources, method, printer)


def _check_together(options: Collection[str], several: bool) -> None:
    """Raise ConfigError for options that exclude each other, or that take one model only."""
    for option in _ONE_MODEL:
        if several and option in options:
            raise ConfigError(f"{option} cannot be combined with several models")
    if "--labels" in options and not several:
        raise ConfigError("--labels needs several models: give --checkpoint for each")
    refuse_together(options, _GOES_WITHOUT)


def _print_scores(scorer: Scorer, sources: Sources, method: Method, printer: "Printer") -> None:
    """Score the texts and print the scores.

    Raises:
        typer.Exit: with code 3, if a score is above the limit.
    """
    output, world = printer.output, scorer.world
    if method.adapt:
        printer.adapted(scorer.adapted(sources.read()))
    elif output.html or output.svg:
        printer.pictures(scorer.surprises(_limited(sources.read())))
    elif output.per_char and not output.as_json and world.broadcast(sys.stdout.isatty()):
        printer.coloured(scorer.surprises(sources.read()))
    else:
        scored = _scored(scorer, sources, method.streams, output)
        printer.total(scored) if output.total else printer.each(scored)
    if world.speaks:
        printer.watch.report(printer.tokens.unit)
    if world.broadcast(printer.watch.above):
        raise typer.Exit(_EXCEEDED)


def _scored(
    scorer: Scorer, sources: Sources, streams: int, output: "Output"
) -> "Iterator[Figures]":
    """Score all texts in input order, with a bar if scores are not printed as they come.

    Raises:
        ConfigError: streams are asked for, but no whole file.
    """
    from charrnn.cli.score_output import with_bar

    if streams > 1 and (sources.separator != WHOLE or not sources.files):
        raise ConfigError("--streams needs whole files: add --whole and --file FILE")
    printed = not (output.total or output.sort)
    if output.per_char:
        return with_bar(scorer.each(sources.arriving()), sources, printed)
    texts, files = sources.apart()
    whole = scorer.whole(replace(sources, files=files), streams)
    return chain(with_bar(scorer.each(texts), sources, printed), whole)


def _limited(texts: Iterable[Given]) -> Iterator[Given]:
    """Yield the texts; raise ConfigError if they are too long for a picture."""
    chars = 0
    for given in texts:
        chars += len(given.text)
        if chars > _MOST:
            raise ConfigError(
                f"--html and --svg take at most {_MOST:,} characters: score fewer texts"
            )
        yield given
