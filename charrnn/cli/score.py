"""`charrnn score`: how probable texts are."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
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
    unescaped,
)
from charrnn.cli.score_classify import classify_texts
from charrnn.cli.score_input import STDIN, Given, Sources
from charrnn.cli.score_models import Scorer
from charrnn.config import LINES, WHOLE, check_float, check_int
from charrnn.errors import ConfigError, setting
from charrnn.parallel import processes

if TYPE_CHECKING:
    from charrnn.cli.score_output import Figures, Printer, Watch
    from charrnn.inference.surprise import Surprise

_PER_CHAR = (
    "Score every character, or word: its log P in nats, then in bits; on a terminal in colours."
)
_EXCEEDED = 3  # exit code where --fail-over says so
_MOST = 200_000  # characters of a picture
_SUMS = ("--total", "--context", "--reset")
_PICTURES = ("--html", "--svg")
_GOES_WITHOUT = {
    "--per-char": ("--context", "--reset"),
    "--context": ("--reset", "--streams", "--adapt"),
    "--reset": ("--eos", "--streams", "--adapt"),
    "--adapt": ("--per-char", "--streams"),
    "--streams": ("--per-char",),
    "--html": (*_SUMS, "--streams", "--adapt"),
    "--svg": (*_SUMS, "--streams", "--adapt"),
    "--field": ("--lines", "--whole", "--split-on", "--streams", *_PICTURES, "TEXT"),
    "--tsv": ("--json", "--per-char", *_SUMS, "--adapt"),
    "--sort": ("--per-char", *_SUMS, "--adapt"),
    "--fail-over": ("--adapt",),
    "--labels": ("TEXT", "--file", "--lines", "--whole", "--split-on"),
}
_ONE_MODEL = (
    "--per-char", *_PICTURES, *_SUMS, "--streams", "--adapt", "--part", "--field", "--tsv",
    "--sort", "--fail-over",
)  # fmt: skip


def score(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Texts to score; '-' is stdin.  [default: stdin]",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            "-c",
            metavar="<path>",
            help="The model, an .npz file; of several, say which one a text comes from.  "
            "[default: the newest in ./checkpoints, else the bundled]",
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
            help="A file to score; '-' is stdin. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Files are JSON Lines: score the text in this field of each object, and print the "
            "object with the figures added, as JSON; they replace fields of their names.  "
            "[default: files are text]",
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
    split_on: SplitOn = None,
    eos: Annotated[
        bool | None,
        typer.Option(
            "--eos/--no-eos",
            help="Whether the end of a text counts.  [default: unless the model was trained on "
            "whole files]",
            show_default=False,
        ),
    ] = None,
    per_char: Annotated[bool, typer.Option("--per-char", help=_PER_CHAR)] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the coloured texts to a page too; hovering tells probabilities.  "
            "[default: none]",
            show_default=False,
        ),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the coloured texts to a picture too.  [default: none]",
            show_default=False,
        ),
    ] = None,
    total: Annotated[bool, typer.Option("--total", help="Sum over all texts.")] = False,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N]...",
            help="Sum over all texts, each token predicted from zero state after the N before "
            "it only: a line for each N.  [default: all before it]",
            show_default=False,
        ),
    ] = None,
    reset: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N]...",
            help="Sum over all texts, the state reset after every N characters: a line for each "
            "N.  [default: never]",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="With several models, a file of lines TEXT TAB LABEL: print the accuracy; a "
            "model's label is its file's name without .npz.  [default: none]",
            show_default=False,
        ),
    ] = None,
    streams: Annotated[
        int,
        typer.Option(
            help="Cut a whole file into so many parts that are scored side by side, each after "
            "reading the 256 tokens before it.",
            min=1,
            max=4096,
        ),
    ] = 1,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt",
            help="Say also how probable each text is to the model while it learns from what it "
            "has just predicted, 32 tokens at a time, and forgets it after the text.",
        ),
    ] = False,
    part: Annotated[
        str,
        typer.Option(
            help=f"Of a network with n-grams, what predicts: {', '.join(PARTS)}.",
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
            help="Print columns with tabs between, under a header: log_prob, bits_per_char, "
            "perplexity, chars, unk, eos (1 or 0), text.",
        ),
    ] = False,
    sort: Annotated[
        bool,
        typer.Option("--sort", help="The most surprising texts first, by bits per character."),
    ] = False,
    fail_over: Annotated[
        float | None,
        typer.Option(
            metavar="BITS",
            help="Exit with code 3 if any text, or the sum, has more bits per character; all is "
            "printed nonetheless.  [default: never]",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
) -> None:
    """Say how probable each TEXT is, in nats and bits per character.

    Its log P is the sum over its characters, each given those before it. Unknown characters share
    the probability of <UNK>. In a pipe, a line a text in the order given: log P, bits per
    character, text and, if there are any, the number of unknown characters, with tabs between. On a
    terminal, several texts come as a table, the most probable first.
    """
    checkpoints, world = checkpoints or [], processes.world()
    texts, files = _apart(texts or [], files or [])
    _check_together(
        {
            "--per-char": per_char,
            "--total": total,
            "--context": context is not None,
            "--reset": reset is not None,
            "--streams": streams > 1,
            "--adapt": adapt,
            "--html": html is not None,
            "--svg": svg is not None,
            "--field": field is not None,
            "--lines": lines is True,
            "--whole": lines is False,
            "--split-on": split_on is not None,
            "--json": as_json,
            "--tsv": tsv,
            "--sort": sort,
            "--fail-over": fail_over is not None,
            "--labels": labels is not None,
            "--eos": eos is True,
            "--part": part != PARTS[0],
            "--file": bool(files),
            "TEXT": bool(texts),
        },
        several=len(checkpoints) > 1,
    )
    _check_pictures(html, svg, [*files, *checkpoints])
    if not world.speaks:
        if adapt or html or svg or len(checkpoints) > 1:
            return  # rank 0 does these by itself
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if fail_over is not None:
        check_float("fail_over", fail_over, 0, sys.float_info.max)
    if not texts and not files and labels is None:
        files = [world.together(_stdin, alone=True)]
    separator = LINES if field is not None else chosen_separator(lines, split_on)
    cut = LINES if separator is None else separator
    sources = Sources([*map(unescaped, texts)], files, cut, encoding, max_size, field)
    if len(checkpoints) > 1:
        classify_texts(
            checkpoints, sources.arriving(), labels, eos=eos, encoding=encoding, max_size=max_size,
            threads=threads, as_json=as_json,
        )  # fmt: skip
        return
    model = load_checkpoint(checkpoints[0] if checkpoints else None, part)
    if separator is None:
        sources = replace(sources, separator=model.separator)
    if streams > 1 and (sources.separator != WHOLE or not files):
        raise ConfigError("--streams is for whole files: give --whole and --file")
    from charrnn.cli.score_output import Printer, Watch

    as_json = as_json or (field is not None and not tsv)
    each = per_char and not total
    watch, tokens = Watch(fail_over), model.vocabulary.config
    printer = Printer(tokens, as_json, tsv, sort, each, watch)
    scorer = Scorer(model, eos, threads, world)
    if context is not None:
        contexts = _numbers("context", context)
        printer.sums("context", contexts, scorer.in_contexts(sources, contexts))
    elif reset is not None:
        sizes, given = _numbers("reset", reset), [*sources.read()]
        found = ((size, score) for size in sizes for _, score in scorer.in_parts(given, size))
        printer.sums("reset", sizes, found)
    elif adapt:
        printer.adapted(scorer.adapted(sources.read()), total)
    elif html or svg or (each and not as_json and world.broadcast(sys.stdout.isatty())):
        _print_surprise(scorer, sources, printer, html, svg)
    else:
        scored = _scored(scorer, sources, streams, each, printed=not (total or sort))
        printer.total(scored) if total else printer.each(scored)
    if world.speaks:
        watch.report(tokens.unit)
    if world.broadcast(watch.above):
        raise typer.Exit(_EXCEEDED)


def _apart(texts: list[str], files: list[Path]) -> tuple[list[str], list[Path]]:
    """The texts, and the files with standard input among them where '-' was given for a text.

    Raises:
        ConfigError: a text is the name of a file, or standard input is given twice.
    """
    for text in texts:
        if os.path.isfile(text):
            raise ConfigError(
                f"{text} is a file; did you mean --file {text}? To score the name itself, pass it "
                "on standard input"
            )
    files = [STDIN] * texts.count("-") + files
    if files.count(STDIN) > 1:
        raise ConfigError("standard input can be scored once only")
    return [text for text in texts if text != "-"], files


def _stdin() -> Path:
    """What is scored where nothing is given."""
    if sys.stdin.isatty():
        raise ConfigError("nothing to score: give a TEXT or --file FILE")
    return STDIN


def _check_together(given: dict[str, bool], several: bool) -> None:
    """Raise ConfigError where options do not go with each other, or with several models."""
    if several and any(given[option] for option in _ONE_MODEL):
        names = f"{', '.join(_ONE_MODEL[:-1])} and {_ONE_MODEL[-1]}"
        raise ConfigError(f"{names} go with one model")
    if given["--labels"] and not several:
        raise ConfigError("--labels goes with several models: give --checkpoint for each")
    for option, others in _GOES_WITHOUT.items():
        for other in others:
            if given[option] and given[other]:
                raise ConfigError(f"{option} and {other} cannot be combined")


def _check_pictures(html: Path | None, svg: Path | None, inputs: list[Path]) -> None:
    """Raise an error where a page or a picture may not be written, before anything is scored."""
    from charrnn.storage.files import PAGE, SVG, check

    for path, kind in ((html, PAGE), (svg, SVG)):
        if path is not None:
            check(path, kind, inputs)


def _scored(
    scorer: Scorer, sources: Sources, streams: int, each: bool, *, printed: bool
) -> "Iterator[Figures]":
    """Scores of all texts in the order given.

    Args:
        each: whether every character's is wanted.
        printed: whether they are printed as they come.
    """
    from charrnn.cli.progress import with_bar

    if each:
        return with_bar(scorer.each(sources.arriving()), sources, printed)
    texts, files = sources.apart()
    whole = scorer.whole(replace(sources, files=files), streams)
    return chain(with_bar(scorer.each(texts), sources, printed), whole)


def _numbers(name: str, text: str) -> list[int]:
    """The numbers of a list with commas."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"{setting(name)} must be whole numbers with commas, not {text!r}"
        ) from None
    for number in found:
        check_int(name, number, 1)
    return found


def _print_surprise(
    scorer: Scorer, sources: Sources, printer: "Printer", html: Path | None, svg: Path | None
) -> None:
    """Texts in the colours of their surprise, on a terminal and as the pictures asked for."""
    from charrnn.cli.score_per_char import show_surprise, write_pictures

    found: Iterable[tuple[Given, Surprise]]
    if html or svg:
        found = list(scorer.surprises(_limited(sources.read())))
        write_pictures([surprise for _, surprise in found], html, svg)
    else:
        found = scorer.surprises(sources.read())
    if printer.per_char and not printer.as_json and sys.stdout.isatty():
        show_surprise(_watched(found, printer.watch))
    else:
        printer.each((given, surprise.score) for given, surprise in found)


def _limited(texts: Iterable[Given]) -> Iterator[Given]:
    """The same texts; ConfigError where they are too long for a picture."""
    chars = 0
    for given in texts:
        chars += len(given.text)
        if chars > _MOST:
            raise ConfigError(
                f"--html and --svg are for at most {_MOST:,} characters: give a part of the texts"
            )
        yield given


def _watched(found: "Iterable[tuple[Given, Surprise]]", watch: "Watch") -> "Iterator[Surprise]":
    for _, surprise in found:
        watch.see(surprise.score)
        watch.limit(surprise.score.figures()["bits_per_char"])
        yield surprise
