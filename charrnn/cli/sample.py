"""`charrnn sample`: write new text from a model."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charrnn.cli import sample_options as option
from charrnn.cli.options import (
    AsJson,
    CheckpointPath,
    Encoding,
    MaxSize,
    Threads,
    as_text,
    given,
    load_checkpoint,
    refuse_file_name,
    refuse_together,
    typed,
)
from charrnn.cli.sample_choices import print_choices, read_choices
from charrnn.cli.sample_drawing import Copies, Drawing, Drawn, draw, parse_temperatures
from charrnn.cli.sample_novel import known_documents
from charrnn.cli.sample_output import (
    Layout,
    print_json,
    print_next,
    print_texts,
    say_unknown,
    several_lines,
)
from charrnn.cli.score_input import Sources, blocks
from charrnn.config import LINES, SampleConfig
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.parallel.threads import Workers
    from charrnn.storage.checkpoint import Checkpoint

_SHAPE = ("--temperature", "--top-k", "--top-p", "--min-p")
_ENDS = ("--length", "--stop", "--keep-stop")
_WRITES = (
    *_ENDS,
    "--ban",
    "--no-repeat",
    "--regex",
    "--allow-unk",
)  # whether drawn or searched for
_DRAWS = (
    *_SHAPE,
    *_WRITES,
    "--num-samples",
    "--best",
    "--beam",
    "--seed",
    "--novel",
    "--novel-only",
)
_GOES_WITHOUT = {
    "--interactive": (
        "--prompts", "--next", "--num-samples", "--best", "--beam", "--novel", "--novel-only",
        "--json", "--adapt",
    ),
    "--adapt": ("--prompts",),
    "--prompts": ("PROMPT", "--next", "--num-samples", "--best"),
    "--next": _DRAWS,
    "--choices": (*_DRAWS, "--prompts", "--next", "--interactive"),
    "--beam": (*_SHAPE, "--num-samples", "--seed", "--novel-only"),
    "--colour": (
        "--prompts", "--next", "--choices", "--num-samples", "--best", "--beam", "--novel",
        "--novel-only", "--json",
    ),
    "--regex": ("--stop", "--keep-stop", "--no-repeat"),
}  # fmt: skip
_NEEDS = {"--novel-min": "--novel CORPUS", "--keep-stop": "--stop TEXT"}


def sample(
    context: typer.Context,
    prompt: option.Prompt = "",
    checkpoint: CheckpointPath = None,
    length: option.Length = SampleConfig.length,
    temperature: option.Temperature = f"{SampleConfig.temperature:g}",
    top_k: option.TopK = SampleConfig.top_k,
    top_p: option.TopP = SampleConfig.top_p,
    min_p: option.MinP = SampleConfig.min_p,
    num_samples: option.NumSamples = None,
    best: option.Best = None,
    beam: option.Beam = None,
    stop: option.Stop = None,
    keep_stop: option.KeepStop = SampleConfig.keep_stop,
    ban: option.Ban = SampleConfig.ban,
    no_repeat: option.NoRepeat = SampleConfig.no_repeat,
    regex: option.Regex = SampleConfig.regex,
    allow_unk: option.AllowUnk = SampleConfig.allow_unk,
    seed: option.Seed = None,
    prompts: option.Prompts = None,
    adapt: option.Adapt = False,
    next_character: option.Next = False,
    choices: option.Choices = None,
    interactive: option.Interactive = False,
    novel: option.Novel = None,
    novel_min: option.NovelMin = 20,
    novel_only: option.NovelOnly = False,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    colour: option.Colour = False,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Write new text from a model, character by character.

    Without PROMPT, the model invents the beginning. The text ends where the model ends it, at a
    --stop text or at --length. \\n, \\t, \\r, \\\\ and \\uXXXX are escapes in PROMPT, --stop,
    --ban and the lines of --prompts and --choices. Put -- before a prompt that begins with '-'.

    --regex takes Python's syntax, without backreferences, look-around and anchors. The whole
    continuation matches, also with --best and --beam. --no-repeat includes the prompt.

    --temperature 0.5,1 shows samples at several temperatures. Sample j uses seed + j.

    --best ranks samples by the log-probability of everything sampled, which favours short texts.
    --beam 1 is temperature 0. --novel also marks a text that is a whole document of its corpus.
    --novel-only tries up to 100 times; its corpus is that of --novel, or the training text.
    """
    from charrnn.cli.sample_session import Session
    from charrnn.parallel.threads import Workers

    _check_together(typed(context), [prompt, str(prompts), str(choices), *(novel or [])])
    drawing = _drawing(context.params)
    seed = _random_seed() if seed is None else seed
    start = _start(prompt, interactive, encoding, max_size)
    model = _load(checkpoint, start, adapt)
    copies = _read_copies(novel, novel_min, model, encoding, max_size)
    if novel_only:
        drawing = replace(drawing, avoid=known_documents(model, copies))
    session = Session(model, drawing, seed, start, colour)
    if interactive:
        session.run(encoding)
    elif next_character:
        print_next(model, start, as_json)
    elif choices is not None:
        texts = read_choices(choices, encoding, max_size)
        with Workers(threads) as workers:
            print_choices(model, start, texts, as_json, workers)
    elif drawing.is_single and prompts is None and copies is None and not as_json:
        session.draw()
    else:
        lines = None if prompts is None else Sources([], [prompts], LINES, encoding, max_size)
        with Workers(threads) as workers:
            Many(model, drawing, copies, workers).print(lines or start, seed, given(context))


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

    def print(self, prompts: str | Sources, seed: int, given: Collection[str]) -> None:
        """Print the samples of a prompt, or those of each line of a file as JSON.

        Args:
            given: the options that were set.
        """
        ranked, marked = self.drawing.best is not None, self.copies is not None
        if isinstance(prompts, Sources):
            print_json(self.of_lines(prompts, seed), "temperature" in given, ranked=ranked)
        elif "as_json" in given:
            print_json(self.of(prompts, seed), "temperature" in given, ranked=ranked)
        else:
            layout = Layout(ranked, marked, several_lines(self.model, [prompts]))
            print_texts(self.drawing.temperatures, self.groups([prompts], seed), layout)

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


def _check_together(options: Collection[str], inputs: Sequence[str]) -> None:
    refuse_together(options, _GOES_WITHOUT)
    if inputs.count("-") > 1:
        raise ConfigError("standard input can be read only once; give '-' once")
    for name, needed in _NEEDS.items():
        if name in options and needed.split()[0] not in options:
            raise ConfigError(f"{name} needs {needed}")


def _config(options: Mapping[str, Any]) -> SampleConfig:
    """Return the settings of sampling, but for the temperature."""
    names = SampleConfig.__dataclass_fields__.keys() - {"temperature"}
    found = {name: options[name] for name in names}
    stops = [*map(as_text, options["stop"] or [])]
    return SampleConfig(**found | {"stop": stops, "ban": as_text(options["ban"])})


def _drawing(options: Mapping[str, Any]) -> Drawing:
    """Return how to draw samples; --best draws more than it prints."""
    best, beam = options["best"], options["beam"]
    count = options["num_samples"] or (max(best, option.FOR_BEST) if best else 1)
    if best is not None and best > (beam or count):
        raise ConfigError(
            f"--best must be at most {beam or count}, the number of candidates, not {best}; raise "
            f"{'--beam' if beam else '--num-samples'}"
        )
    temperatures = parse_temperatures(options["temperature"])
    if options["colour"] and len(temperatures) > 1:
        raise ConfigError("--colour needs a single --temperature")
    return Drawing(_config(options), temperatures, count, best, beam)


def _start(prompt: str, interactive: bool, encoding: str, max_size: int | None) -> str:
    """Return the text to continue, in NFC: PROMPT or standard input."""
    from charrnn.text.reading import read_text, strip_last_newline

    if prompt != "-":
        refuse_file_name(prompt, "--prompts")
        return as_text(prompt)
    if interactive:
        raise ConfigError("--interactive reads its prompts from stdin; PROMPT cannot be '-'")
    return strip_last_newline(read_text("-", encoding, max_size))


def _random_seed() -> int:
    from secrets import randbelow

    return randbelow(2**32)


def _load(path: Path | None, start: str, adapt: bool) -> "Checkpoint":
    """Load the model that --checkpoint names, adapted to the prompt if asked for."""
    from charrnn.inference.adaptation import learned_from

    model = load_checkpoint(path)
    if adapt:
        model = learned_from(model, start)
    say_unknown(model, [start])
    return model


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
