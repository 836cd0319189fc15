"""`charrnn score`: how probable texts are."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn.cli.classify import classify_texts
from charrnn.cli.completion import models, one_of
from charrnn.cli.options import (
    BLOCK,
    PARTS,
    AsJson,
    Encoding,
    MaxSize,
    SplitOn,
    Threads,
    as_line,
    chosen_separator,
    load_checkpoint,
    printable,
)
from charrnn.config import LINES, WHOLE, VocabularyConfig, check_int
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.checkpoint import Checkpoint
    from charrnn.scoring import Score, Tally

    Figures = tuple[str, Score | Tally]  # with the name of the text

_ROWS = 1000  # that a table has at most
_PER_CHAR = "Score every character, or word: its log P in nats, then in bits."


def score(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="Texts to score.  [default: stdin]", show_default=False
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
    threads: Threads = None,
) -> None:
    """Say how probable each TEXT is, in nats and bits per character.

    Its log P is the sum over its characters, each given those before it. In a pipe, a line a text
    in the order given: log P, bits per character, text, with tabs between. On a terminal, several
    texts come as a table, the most probable first.
    """
    checkpoints = checkpoints or []
    several = len(checkpoints) > 1
    if labels is not None and not several:
        raise ConfigError("--labels goes with several models: give --checkpoint for each")
    sums = total or context is not None or reset is not None
    if several and (per_char or sums or streams > 1 or adapt):
        raise ConfigError(
            "--per-char, --total, --context, --reset, --streams and --adapt go with one model"
        )
    if not texts and not files and labels is None:
        if sys.stdin.isatty():
            raise ConfigError("nothing to score: give a TEXT or --file FILE")
        files = [Path("-")]
    separator = chosen_separator(lines, split_on)
    if several:
        separator = LINES if separator is None else separator
        named = _texts(texts or [], files or [], separator, encoding, max_size)
        classify_texts(
            checkpoints,
            [text for _, text in named],
            labels,
            eos=eos,
            encoding=encoding,
            max_size=max_size,
            threads=threads,
            as_json=as_json,
        )
        return
    model = load_checkpoint(checkpoints[0] if checkpoints else None, part)
    separator = model.separator if separator is None else separator
    if streams > 1 and (separator != WHOLE or per_char or context or reset):
        raise ConfigError("--streams is for whole files, without --per-char, --context and --reset")
    if context is not None:
        everything = list(_texts(texts or [], files or [], separator, encoding, max_size))
        for n in _numbers("context", context):
            _print_total(_scored(model, iter(everything), eos, threads, n), as_json, {"context": n})
        return
    if reset is not None:
        everything = list(_texts(texts or [], files or [], separator, encoding, max_size))
        for n in _numbers("reset", reset):
            parts = ((name, part) for name, text in everything for part in _parts(text, n))
            _print_total(_scored(model, parts, False, threads), as_json, {"reset": n})
        return
    if adapt:
        if per_char or streams > 1:
            raise ConfigError("--adapt goes without --per-char and --streams")
        named = _texts(texts or [], files or [], separator, encoding, max_size)
        _print_adapted(_adapted(model, named, eos), total, as_json)
        return
    if per_char and not total:
        scores = _scored(
            model, _texts(texts or [], files or [], separator, encoding, max_size), eos, threads
        )
        _print_each(scores, model.vocabulary.config, as_json)
        return
    scored: Iterator[Figures]
    if separator != WHOLE:
        scored = _scored(
            model, _texts(texts or [], files or [], separator, encoding, max_size), eos, threads
        )
    else:  # whole files, however long
        scored = chain(
            _scored(model, _texts(texts or [], [], separator, encoding, max_size), eos, threads),
            _scored_files(model, files or [], eos, encoding, max_size, streams, threads),
        )
    if total:
        _print_total(scored, as_json)
    elif as_json:
        for name, score in scored:
            print(as_line(_fields(name, score, model.vocabulary.config)))
    else:
        first = list(islice(scored, _ROWS + 1)) if sys.stdout.isatty() else []
        if 0 < len(first) <= _ROWS:
            _show(first)
        else:
            _print_lines(chain(first, scored))


def _texts(
    texts: Sequence[str],
    files: Sequence[Path],
    separator: str,
    encoding: str,
    max_size: int | None,
) -> Iterator[tuple[str, str]]:
    """(name, text) of everything to score; a text is its own name, a whole file has the file's."""
    from charrnn.corpus import read_documents
    from charrnn.reading import read_text, split_lines, strip_last_newline

    for text in texts:
        yield text, text
    for file in files:
        if separator == LINES:  # the empty ones too
            for line in split_lines(read_text(file, encoding, max_size)):
                yield line, line
        elif separator != WHOLE:
            for document in read_documents(file, separator, encoding, max_size):
                yield document, document
        else:
            yield str(file), strip_last_newline(read_text(file, encoding, max_size))


def _scored(
    model: "Checkpoint",
    named: Iterator[tuple[str, str]],
    eos: bool | None,
    threads: int | None,
    context: int | None = None,
) -> Iterator[tuple[str, "Score"]]:
    """Names and scores in the order given; a block of texts is scored side by side."""
    from charrnn.parallel import Workers
    from charrnn.scoring import score

    with Workers(threads) as workers:
        while block := list(islice(named, BLOCK)):
            texts = [text for _, text in block]
            found = score(model, texts, eos=eos, context=context, workers=workers)
            yield from zip((name for name, _ in block), found, strict=True)


def _scored_files(
    model: "Checkpoint",
    files: Sequence[Path],
    eos: bool | None,
    encoding: str,
    max_size: int | None,
    streams: int,
    threads: int | None,
) -> Iterator[tuple[str, "Tally"]]:
    """Names and figures of whole files."""
    from charrnn.corpus import read_documents
    from charrnn.parallel import Workers
    from charrnn.reading import read_pieces, strip_pieces
    from charrnn.scoring import score_in_streams, score_pieces

    with Workers(threads) as workers:
        for file in files:
            if streams > 1:
                documents = read_documents(file, WHOLE, encoding, max_size)
                found = score_in_streams(model, documents, streams, eos=eos, workers=workers)
            else:
                found = score_pieces(
                    model, strip_pieces(read_pieces(file, encoding, max_size)), eos=eos
                )
            yield str(file), found


def _adapted(
    model: "Checkpoint", named: Iterable[tuple[str, str]], eos: bool | None
) -> Iterator[tuple[str, "Tally", "Tally"]]:
    """Names and figures of texts: of the model as it is, and as it learns from each of them."""
    from charrnn.scoring import score_pieces
    from charrnn.vocabulary import normalize

    for name, text in named:
        static, adapted = (
            score_pieces(model, [normalize(text)], eos=eos, adapt=adapt) for adapt in (False, True)
        )
        yield name, static, adapted


def _fields(name: str, score: "Score | Tally", tokens: VocabularyConfig) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "text": name,
        "log_prob": score.log_prob,
        "prob": math.exp(score.log_prob),
        **score.figures(),
        "chars": score.chars,
        "unk": score.unk,
        "eos": score.eos,
    }
    if tokens.unit != "character":
        fields["tokens"] = score.num_tokens
    return fields


def _each(score: "Score", tokens: VocabularyConfig) -> dict[str, Any]:
    """What --per-char adds: characters where the tokens are, and tokens where they are others."""
    fields: dict[str, Any] = {}
    if tokens.tokens == "char":
        fields["per_char"] = [
            {"char": char, "log_prob": log_prob} for char, log_prob in score.per_char
        ]
    if tokens.unit != "character":
        fields["per_token"] = [
            {"token": token, "log_prob": log_prob} for token, log_prob in score.per_token
        ]
    return fields


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _numbers(name: str, text: str) -> list[int]:
    """The numbers of a list with commas."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{name} must be whole numbers with commas, not {text!r}") from None
    for number in found:
        check_int(name, number, 1)
    return found


def _parts(text: str, size: int) -> list[str]:
    """The text cut after every so many characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def _print_total(
    scored: Iterable["Figures"], as_json: bool, heading: dict[str, int] | None = None
) -> None:
    """One object, or a line a figure; with a heading, all on one line."""
    from charrnn.scoring import Total

    total = Total()
    for _, score in scored:
        total.add([score])
    fields = (heading or {}) | total.fields()
    if heading and not as_json:
        bits = _number(fields["bits_per_char"])
        print("\t".join(f"{name} {number}" for name, number in heading.items()), bits, sep="\t")
    else:
        _print_figures(fields, as_json)


def _print_figures(fields: dict[str, Any], as_json: bool) -> None:
    """One object, or a line a figure."""
    if as_json:
        print(as_line(fields))
        return
    for name, value in fields.items():
        print(f"{name}\t{_number(value)}")


def _print_adapted(
    scored: Iterable[tuple[str, "Tally", "Tally"]], total: bool, as_json: bool
) -> None:
    """An object or a line a text, or one for all; the figures while learning beside the static."""
    from charrnn.display import spelled_out
    from charrnn.scoring import Total

    static, adapted = Total(), Total()
    for name, score, learned in scored:
        static.add([score])
        adapted.add([learned])
        bits, learned_bits = (each.figures()["bits_per_char"] for each in (score, learned))
        if total:
            continue
        if as_json:
            fields = {"text": name, "log_prob": score.log_prob, "bits_per_char": bits}
            fields |= {"adapted_log_prob": learned.log_prob, "adapted_bits_per_char": learned_bits}
            print(as_line(fields | {"chars": score.chars, "unk": score.unk, "eos": score.eos}))
        else:
            shown = f"{score.log_prob:.6f}\t{_number(bits)}\t{_number(learned_bits)}"
            print(f"{shown}\t{printable(spelled_out(name))}")
    if total:
        sums, learned_sums = static.fields(), adapted.fields()
        for name in ("log_prob", "bits_per_char", "perplexity"):
            sums[f"adapted_{name}"] = learned_sums[name]
        _print_figures(sums, as_json)


def _print_each(
    scored: Iterable[tuple[str, "Score"]], tokens: VocabularyConfig, as_json: bool
) -> None:
    """An object a text; or a line a character, or a word, and an empty one after each text."""
    from charrnn.display import spelled_out

    for text, score in scored:
        if as_json:
            print(as_line(_fields(text, score, tokens) | _each(score, tokens)))
            continue
        for name, log_prob in score.per_char if tokens.tokens == "char" else score.per_token:
            shown = printable(spelled_out(name))
            print(f"{shown}\t{log_prob:.6f}\t{-log_prob / math.log(2):.3f}")
        print()


def _print_lines(scored: Iterable["Figures"]) -> None:
    """A line a text, for other programs, and where there are too many for a table."""
    from charrnn.display import spelled_out

    for name, score in scored:
        bits = _number(score.figures()["bits_per_char"])
        print(f"{score.log_prob:.6f}\t{bits}\t{printable(spelled_out(name))}")


def _show(scored: list["Figures"]) -> None:
    """Scores for people."""
    from charrnn.display import score_details, score_table

    if len(scored) == 1:
        score_details(*scored[0])
    else:
        score_table(scored)
