"""`charrnn score`: how probable texts are."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import typer

from charrnn.cli import score_options as option
from charrnn.cli.options import (
    PARTS,
    AsJson,
    Encoding,
    MaxSize,
    SplitOn,
    Threads,
    as_text,
    chosen_separator,
    load_checkpoint,
    refuse_together,
    typed,
    unescaped,
)
from charrnn.cli.score_compare import compare_models
from charrnn.cli.score_input import Given, Sources, texts_and_files, unless_typed
from charrnn.cli.score_models import Scorer
from charrnn.config import LINES, WHOLE
from charrnn.errors import ConfigError
from charrnn.parallel import processes

if TYPE_CHECKING:
    from charrnn.cli.score_output import Figures, Output, Printer

_EXCEEDED = 3  # exit code of --fail-over
_MOST = 200_000  # characters in a picture
_PICTURES = ("--html", "--svg")
_GOES_WITHOUT = {
    "--per-word": ("--per-char", "--streams", *_PICTURES),
    "--given": ("--streams", "--adapt"),
    "--adapt": ("--per-char", "--per-word", "--streams"),
    "--streams": ("--per-char",),
    "--html": ("--total", "--streams", "--adapt"),
    "--svg": ("--total", "--streams", "--adapt"),
    "--field": ("--lines", "--whole", "--split-on", "--streams", *_PICTURES, "TEXT"),
    "--tsv": ("--json", "--total", "--adapt"),
    "--sort": ("--per-char", "--per-word", "--total", "--adapt"),
    "--fail-over": ("--adapt",),
}
_ONE_MODEL = (
    "--per-char", "--per-word", "--given", *_PICTURES, "--streams", "--adapt",
    "--part", "--sort", "--fail-over",
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """How to score texts: each as a whole, unless one of these is set."""

    streams: int = 1  # parts of a whole file to score in parallel
    adapt: bool = False


def score(
    ctx: typer.Context,
    texts: option.Texts = None,
    checkpoints: option.Checkpoints = None,
    files: option.Files = None,
    field: option.Field = None,
    lines: option.Lines = None,
    split_on: SplitOn = None,
    prefix: option.Prefix = "",
    eos: option.Eos = None,
    per_char: option.PerChar = False,
    per_word: option.PerWord = False,
    html: option.Html = None,
    svg: option.Svg = None,
    total: option.Total = False,
    streams: option.Streams = 1,
    adapt: option.Adapt = False,
    part: option.Part = PARTS[0],
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
    tsv: option.Tsv = False,
    sort: option.Sort = False,
    fail_over: option.FailOver = None,
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

    --given scores each TEXT right after PREFIX, so one of them has the space between them.

    --per-char and --per-word show surprisal in bits, entropy (the surprisal that the model expects)
    and rank (1: its first guess; the largest where a word has several characters) as a table, with
    --tsv or with --json. A word has the space before it in its figures. A sign is a word by itself,
    and so is each character of a script that writes no spaces, such as Chinese, Japanese or Thai.

    Several models are compared: each line begins with their bits per character, in their order.
    `charrnn classify` says which of them a text comes from.

    --streams warms up on the 256 tokens before each part. --adapt learns from 16 tokens at a time,
    and starts each text anew. --field overwrites fields that have the name of a score.
    """
    from charrnn.cli.score_output import Output, Printer, Watch

    several = len(checkpoints or []) > 1
    texts, files = texts_and_files(texts or [], files or [])
    _check_together(ctx, {"TEXT": texts, "--file": files}, several)
    as_json = as_json or (field is not None and not tsv)
    unit = "" if total else "word" if per_word else "char" if per_char else ""
    output = Output(as_json, tsv, sort, unit, total, html, svg)
    output.check([*files, *(checkpoints or [])])
    method = Method(streams, adapt)
    world = _world(alone=bool(adapt or html or svg or several))
    if not (texts or files):
        files = [world.together(unless_typed, alone=True)]
    separator = LINES if field is not None else chosen_separator(lines, split_on)
    cut = LINES if separator is None else separator
    sources = Sources([*map(unescaped, texts)], files, cut, encoding, max_size, field)
    if checkpoints and several:
        compare_models(checkpoints, sources, output, eos=eos, threads=threads)
        return
    model = load_checkpoint(checkpoints[0] if checkpoints else None, part)
    if separator is None:
        sources = replace(sources, separator=model.separator)
    printer = Printer(model.vocabulary.config, output, Watch(fail_over))
    scorer = Scorer(model, eos, threads, world, as_text(prefix))
    _print_scores(scorer, sources, method, printer)


def _check_together(
    context: typer.Context, inputs: Mapping[str, Collection[object]], several: bool
) -> None:
    """Raise ConfigError for options that exclude each other, or that take one model only.

    Args:
        inputs: what is to be scored, by what names it.
    """
    options = typed(context) - inputs.keys() | {name for name, found in inputs.items() if found}
    for name in _ONE_MODEL:
        if several and name in options:
            raise ConfigError(f"{name} cannot be combined with several models")
    refuse_together(options, _GOES_WITHOUT)


def _world(*, alone: bool) -> processes.World:
    """The processes that score; only rank 0 prints.

    Args:
        alone: rank 0 does it by itself.

    Raises:
        typer.Exit: and another rank has nothing to do.
    """
    world = processes.world()
    if not world.speaks:
        if alone:
            raise typer.Exit
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    return processes.ALONE if alone else world


def _print_scores(scorer: Scorer, sources: Sources, method: Method, printer: "Printer") -> None:
    """Score the texts and print the scores.

    Raises:
        typer.Exit: with code 3, if a score is above the limit.
    """
    from charrnn.cli.score_output import with_bar

    output, world = printer.output, scorer.world
    if method.adapt:
        printer.adapted(scorer.adapted(sources.read()))
    elif output.html or output.svg:
        printer.pictures(scorer.surprises(_limited(sources.read())))
    elif output.unit:
        surprises = scorer.surprises(sources.arriving())
        printer.each_place(with_bar(surprises, sources, printed=True))
    else:
        scored = _scored(scorer, sources, method.streams, output)
        printer.total(scored) if output.total else printer.each(scored, soon=sources.is_small)
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
    if scorer.given:
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
