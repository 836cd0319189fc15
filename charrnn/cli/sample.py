"""`charrnn sample`: write new text from a model."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charrnn.cli.options import (
    AsJson,
    CheckpointPath,
    Encoding,
    MaxSize,
    Threads,
    as_text,
    corpora,
    given,
    load_checkpoint,
    refuse_file_name,
    refuse_together,
    typed,
)
from charrnn.cli.sample_drawing import Copies, Drawing, Drawn, draw, parse_temperatures
from charrnn.cli.sample_output import (
    Layout,
    print_json,
    print_next,
    print_texts,
    say_unknown,
    several_lines,
    stream,
)
from charrnn.cli.score_input import Sources, blocks
from charrnn.config import LINES, MAX_SEED, SampleConfig
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.parallel.threads import Workers
    from charrnn.storage.checkpoint import Checkpoint

_FOR_BEST = 64  # samples that --best chooses from
_GOES_WITHOUT = {
    "--interactive": (
        "--prompts", "--next", "--num-samples", "--best", "--beam", "--novel", "--json", "--adapt",
    ),
    "--adapt": ("--prompts",),
    "--prompts": ("PROMPT", "--next", "--num-samples", "--best"),
    "--next": (
        "--length", "--temperature", "--top-k", "--top-p", "--num-samples", "--best", "--beam",
        "--stop", "--allow-unk", "--seed", "--novel",
    ),
    "--beam": ("--temperature", "--top-k", "--top-p", "--num-samples", "--seed"),
}  # fmt: skip


def sample(
    context: typer.Context,
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT",
            help="Beginning of the text; '-' reads it from stdin.  [default: none]",
            show_default=False,
        ),
    ] = "",
    checkpoint: CheckpointPath = None,
    length: Annotated[
        int, typer.Option("--length", "-n", help="Maximum length of the text, in characters.")
    ] = SampleConfig.length,
    temperature: Annotated[
        str,
        typer.Option(
            "--temperature",
            "-t",
            metavar="T",
            help="Sampling temperature: lower is safer; 1: the model's distribution, 0: greedy.",
        ),
    ] = f"{SampleConfig.temperature:g}",
    top_k: Annotated[
        int | None,
        typer.Option(
            help="Sample from the k most probable tokens only.  [default: all]", show_default=False
        ),
    ] = SampleConfig.top_k,
    top_p: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="Nucleus sampling: keep the smallest set of tokens with total probability P.",
        ),
    ] = SampleConfig.top_p,
    num_samples: Annotated[
        int | None,
        typer.Option(
            help=f"Number of samples.  [default: 1; with --best: {_FOR_BEST}]",
            min=1,
            max=100_000,
            show_default=False,
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Print only the K most probable samples, best first.  [default: all, in order]",
            min=1,
            max=100_000,
            show_default=False,
        ),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Beam search with N candidates, instead of sampling.  [default: sample]",
            min=1,
            max=1000,
            show_default=False,
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="End before TEXT; can be repeated.  [default: none]",
            show_default=False,
        ),
    ] = None,
    allow_unk: Annotated[
        bool, typer.Option("--allow-unk", help="Also sample <UNK>, printed as U+FFFD.")
    ] = SampleConfig.allow_unk,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed.  [default: random]",
            min=0,
            max=MAX_SEED,
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Continue each line of a file ('-': stdin); prints JSON Lines.  [default: none]",
            show_default=False,
        ),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Let the model learn from PROMPT first (dynamic evaluation)."),
    ] = False,
    next_character: Annotated[
        bool, typer.Option("--next", help="Show the most probable next characters instead.")
    ] = False,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", "-i", help="Write together with the model, prompt by prompt."
        ),
    ] = False,
    novel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CORPUS",
            help="Mark text copied from this corpus; can be repeated.  [default: none]",
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

    Without PROMPT, the model invents the beginning. The text ends where the model ends it, at a
    --stop text or at --length. \\n, \\t, \\r, \\\\ and \\uXXXX are escapes in PROMPT, in --stop and
    in the lines of --prompts. Put -- before a prompt that begins with '-'.

    --temperature 0.5,1 shows samples at several temperatures. Sample j uses seed + j.

    --best ranks samples by the log-probability of everything sampled, which favours short texts.
    --beam 1 is temperature 0. --novel also marks a text that is a whole document of its corpus.
    """
    from secrets import randbelow

    from charrnn.cli.sample_session import Session
    from charrnn.parallel.threads import Workers

    _check_together(typed(context))
    stops = [*map(as_text, stop or [])]
    config = SampleConfig(length, top_k=top_k, top_p=top_p, stop=stops, allow_unk=allow_unk)
    drawing = _drawing(config, temperature, num_samples, best, beam)
    seed = randbelow(2**32) if seed is None else seed
    start = _start(prompt, interactive, encoding, max_size)
    model = _load(checkpoint, start if adapt else None)
    say_unknown(model, [start])
    copies = _read_copies(novel, novel_min, model, encoding, max_size)
    if interactive:
        Session(model, drawing, seed, start).run(encoding)
    elif next_character:
        print_next(model, start, as_json)
    elif drawing.is_single and prompts is None and copies is None and not as_json:
        stream(model, start, seed, *drawing.configs())
    else:
        with Workers(threads) as workers:
            many = Many(model, drawing, copies, workers)
            if prompts is None and not as_json:
                layout = Layout(best is not None, copies is not None, several_lines(model, [start]))
                print_texts(drawing.temperatures, many.groups([start], seed), layout)
            else:
                lines = prompts and Sources([], [prompts], LINES, encoding, max_size)
                drawn = many.of_lines(lines, seed) if lines else many.of(start, seed)
                print_json(drawn, "temperature" in given(context), ranked=best is not None)


@dataclass(frozen=True)
class Many:
    """Draw samples of several prompts in parallel.

    Args:
        copies: finds copied text to mark; None means no marks.
    """

    model: "Checkpoint"
    drawing: Drawing
    copies: Copies | None
    workers: "Workers"

    def groups(self, prompts: Sequence[str], seed: int) -> list[Iterator[Drawn]]:
        """Return the samples of all prompts, one group per temperature; sample j uses seed + j."""
        groups = draw(self.model, prompts, seed, self.drawing, self.workers)
        return groups if self.copies is None else [*map(self.copies.marked, groups)]

    def of(self, prompt: str, seed: int) -> Iterator[Drawn]:
        """Yield the samples of one prompt, temperature by temperature."""
        return chain.from_iterable(self.groups([prompt], seed))

    def of_lines(self, sources: Sources, seed: int) -> Iterator[Drawn]:
        """Yield the samples of lines as they arrive, prompt by prompt."""
        arriving = (
            given and replace(given, text=as_text(given.text)) for given in sources.arriving()
        )
        told: set[str] = set()
        for block in blocks(arriving):
            prompts = [given.text for given in block]
            say_unknown(self.model, prompts, told)
            yield from chain.from_iterable(zip(*self.groups(prompts, seed), strict=True))
            seed += len(prompts)


def _check_together(options: Collection[str]) -> None:
    refuse_together(options, _GOES_WITHOUT)
    if "--novel-min" in options and "--novel" not in options:
        raise ConfigError("--novel-min needs --novel CORPUS")


def _drawing(
    config: SampleConfig,
    temperatures: str,
    num_samples: int | None,
    best: int | None,
    beam: int | None,
) -> Drawing:
    """Return how to draw samples; --best draws more than it prints."""
    count = num_samples or (max(best, _FOR_BEST) if best else 1)
    if best is not None and best > (beam or count):
        raise ConfigError(
            f"--best must be at most {beam or count}, the number of candidates, not {best}; raise "
            f"{'--beam' if beam else '--num-samples'}"
        )
    return Drawing(config, parse_temperatures(temperatures), count, best, beam)


def _start(prompt: str, interactive: bool, encoding: str, max_size: int | None) -> str:
    """Return the text to continue, in NFC: PROMPT or standard input."""
    from charrnn.text.reading import read_text, strip_last_newline

    if prompt != "-":
        refuse_file_name(prompt, "--prompts")
        return as_text(prompt)
    if interactive:
        raise ConfigError("--interactive reads its prompts from stdin; PROMPT cannot be '-'")
    return strip_last_newline(read_text("-", encoding, max_size))


def _load(path: Path | None, text: str | None) -> "Checkpoint":
    """Load the model that --checkpoint names, adapted to a text if one is given."""
    from charrnn.inference.adaptation import learned_from

    model = load_checkpoint(path)
    return model if text is None else learned_from(model, text)


def _read_copies(
    sources: list[str] | None,
    min_chars: int,
    model: "Checkpoint",
    encoding: str,
    max_size: int | None,
) -> Copies | None:
    """Read the texts that --novel names, split into documents like the model's text."""
    if not sources:
        return None
    from charrnn.text.corpus import read_corpus

    separator = model.separator
    corpus = read_corpus(sources, separator=separator, encoding=encoding, max_size=max_size)
    return Copies.of(corpus.documents, min_chars)
