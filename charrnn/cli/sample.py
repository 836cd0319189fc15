"""`charrnn sample`: write new text from a model."""

from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charrnn.cli.completion import corpora
from charrnn.cli.options import (
    AsJson,
    CheckpointPath,
    Encoding,
    MaxSize,
    Threads,
    given,
    load_checkpoint,
    refuse_file_name,
    unescaped,
)
from charrnn.cli.sample_drawing import MAX_SEED, Copies, Drawing, draw, parse_temperatures
from charrnn.cli.sample_output import (
    Layout,
    print_json,
    print_next,
    print_texts,
    say_unknown,
    several_lines,
    stream,
)
from charrnn.config import SampleConfig
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint

_FOR_BEST = 64  # samples that --best chooses from
_ALONE = {  # what an option does not go with
    "interactive": (
        "prompts", "next_character", "num_samples", "best", "beam", "novel", "as_json",
    ),
    "prompts": ("prompt", "next_character", "num_samples", "best"),
    "next_character": (
        "length", "temperature", "top_k", "top_p", "num_samples", "best", "beam", "stop",
        "allow_unk", "seed", "novel",
    ),
    "beam": ("temperature", "top_k", "top_p", "num_samples", "seed"),
}  # fmt: skip
_NAMES = {"prompt": "PROMPT", "next_character": "--next", "as_json": "--json"}


def sample(
    context: typer.Context,
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT",
            help="How the text begins; '-' reads it from stdin. Put -- before a text that begins "
            "with '-'.  [default: nothing]",
            show_default=False,
        ),
    ] = "",
    checkpoint: CheckpointPath = None,
    length: Annotated[
        int, typer.Option("--length", "-n", help="Characters to draw at most.")
    ] = SampleConfig.length,
    temperature: Annotated[
        str,
        typer.Option(
            "--temperature",
            "-t",
            metavar="T[,T]...",
            help="Below 1 safer, above 1 wilder, 0 the likeliest; several are compared.",
        ),
    ] = f"{SampleConfig.temperature:g}",
    top_k: Annotated[
        int | None,
        typer.Option(help="Draw from the k likeliest only.  [default: all]", show_default=False),
    ] = SampleConfig.top_k,
    top_p: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="Nucleus sampling: draw from the smallest set of tokens with total probability P.",
        ),
    ] = SampleConfig.top_p,
    num_samples: Annotated[
        int | None,
        typer.Option(
            help=f"Samples to draw side by side.  [default: 1, with --best {_FOR_BEST}]",
            min=1,
            max=100_000,
            show_default=False,
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Print the K most probable of the samples only, each text once, best first, by "
            "log P of all that was drawn, a stop text included.  [default: all, in order]",
            min=1,
            max=100_000,
            show_default=False,
        ),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Search for the most probable text instead of drawing, by the N best beginnings; "
            "1 is temperature 0.  [default: draw]",
            min=1,
            max=1000,
            show_default=False,
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="End before this text, such as '\\nUser:'. Can be repeated.  [default: none]",
            show_default=False,
        ),
    ] = None,
    allow_unk: Annotated[
        bool, typer.Option("--allow-unk", help="Draw <UNK> too, printed as U+FFFD.")
    ] = SampleConfig.allow_unk,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed; sample j uses seed + j.  [default: random]",
            min=0,
            max=MAX_SEED,
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Continue each line of a file, '-' for stdin, as JSON Lines.  [default: none]",
            show_default=False,
        ),
    ] = None,
    next_character: Annotated[
        bool, typer.Option("--next", help="Show what may follow PROMPT instead of drawing.")
    ] = False,
    interactive: Annotated[
        bool,
        typer.Option("--interactive", "-i", help="Continue one typed start after another."),
    ] = False,
    novel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CORPUS",
            help="Mark and list what is copied from this text, the longest first: a file, a "
            "folder or a bundled corpus; also whole documents, however short. Can be repeated.  "
            "[default: none]",
            autocompletion=corpora,
            show_default=False,
        ),
    ] = None,
    novel_min: Annotated[
        int,
        typer.Option(metavar="N", help="Shortest copied stretch to report, in characters.", min=1),
    ] = 20,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Write new text from a model, character by character.

    Without a prompt, the model invents the beginning. The text ends where the model ends it, at a
    stop text or at the length.
    """
    from secrets import randbelow

    from charrnn.inference.sampling import Sample
    from charrnn.text.unicode import normalize

    options = given(context)
    _refuse_together(options)
    stops = [normalize(unescaped(text)) for text in stop or []]
    config = SampleConfig(length, top_k=top_k, top_p=top_p, stop=stops, allow_unk=allow_unk)
    count = _num_samples(num_samples, best, beam)
    drawing = Drawing(config, parse_temperatures(temperature), count, best, beam)
    seed = randbelow(2**32) if seed is None else seed
    starts = _starts(prompt, prompts, interactive, encoding, max_size)
    model = load_checkpoint(checkpoint)
    say_unknown(model, starts)
    copies = _read_copies(novel, novel_min, model, encoding, max_size)
    if interactive:
        from charrnn.cli.sample_session import Session

        Session(model, drawing, seed, starts[0]).run(encoding)
    elif next_character:
        print_next(model, starts[0], as_json)
    elif drawing.is_single and prompts is None and copies is None and not as_json:
        stream(model, Sample(starts[0], seed), *drawing.configs())
    else:
        from charrnn.parallel.threads import Workers

        with Workers(threads) as workers:
            groups = [
                draw(model, starts, seed, drawing, each, workers) for each in drawing.configs()
            ]
            if copies is not None:
                groups = [*map(copies.marked, groups)]
            if prompts is None and not as_json:
                apart = several_lines(model, starts)
                layout = Layout(best is not None, marked=copies is not None, apart=apart)
                print_texts(drawing.temperatures, groups, layout)
            else:
                in_order = groups if prompts is None else zip(*groups, strict=True)
                drawn = chain.from_iterable(in_order)
                print_json(drawn, "temperature" in options, ranked=best is not None)


def _refuse_together(options: Collection[str]) -> None:
    for name, others in _ALONE.items():
        for other in others:
            if name in options and other in options:
                raise ConfigError(f"{_option(name)} and {_option(other)} cannot be combined")
    if "novel_min" in options and "novel" not in options:
        raise ConfigError("--novel-min needs --novel CORPUS")


def _option(name: str) -> str:
    return _NAMES.get(name, "--" + name.replace("_", "-"))


def _num_samples(num_samples: int | None, best: int | None, beam: int | None) -> int:
    """How many samples to draw of a prompt."""
    count = num_samples or (max(best, _FOR_BEST) if best else 1)
    if best is not None and best > (beam or count):
        raise ConfigError(
            f"best must be at most {beam or count}, as many as --beam or --num-samples, not {best}"
        )
    return count


def _starts(
    prompt: str, prompts: Path | None, interactive: bool, encoding: str, max_size: int | None
) -> list[str]:
    """What to continue, in NFC: PROMPT, or the lines of a file."""
    from charrnn.text.reading import read_text, split_lines, strip_last_newline
    from charrnn.text.unicode import normalize

    if prompts is not None:
        return split_lines(read_text(prompts, encoding, max_size))
    if prompt != "-":
        refuse_file_name(prompt, "--prompts")
        return [normalize(unescaped(prompt))]
    if interactive:
        raise ConfigError("--interactive reads what is typed; give it no PROMPT '-'")
    return [strip_last_newline(read_text("-", encoding, max_size))]


def _read_copies(
    sources: list[str] | None,
    min_chars: int,
    model: "Checkpoint",
    encoding: str,
    max_size: int | None,
) -> Copies | None:
    """What may be copied from the texts that --novel names, cut as the model's text was."""
    if not sources:
        return None
    from charrnn.text.corpus import read_corpus

    separator = model.separator
    corpus = read_corpus(sources, separator=separator, encoding=encoding, max_size=max_size)
    return Copies.of(corpus.documents, min_chars)
