"""`charrnn sample`: write new text from a model."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charrnn.cli.options import (
    AsJson,
    CheckpointPath,
    Encoding,
    MaxSize,
    Threads,
    as_line,
    load_checkpoint,
    printable,
)
from charrnn.config import SampleConfig
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.checkpoint import Checkpoint
    from charrnn.sampling import Sample

_SIDE_BY_SIDE = 256  # prompts of a file continued together
_LIKELIEST = 20  # characters that --next shows
_LONGEST = 40  # characters of a word that it shows
_BAR = 50  # columns of a probability of one


def sample(
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT",
            help="How the text begins; '-' reads stdin.  [default: nothing]",
            show_default=False,
        ),
    ] = "",
    checkpoint: CheckpointPath = None,
    length: Annotated[
        int, typer.Option("--length", "-n", help="Characters to draw at most.")
    ] = SampleConfig.length,
    temperature: Annotated[
        float,
        typer.Option("--temperature", "-t", help="Below 1 safer, above 1 wilder, 0 the likeliest."),
    ] = SampleConfig.temperature,
    top_k: Annotated[
        int | None,
        typer.Option(help="Draw from the k likeliest only.  [default: all]", show_default=False),
    ] = SampleConfig.top_k,
    top_p: Annotated[
        float,
        typer.Option(help="Draw from the fewest tokens that together are so probable."),
    ] = SampleConfig.top_p,
    num_samples: Annotated[
        int, typer.Option(help="Samples to draw side by side.", min=1, max=100_000)
    ] = 1,
    stop: Annotated[
        str, typer.Option(help="End before this text.  [default: none]", show_default=False)
    ] = SampleConfig.stop,
    allow_unk: Annotated[
        bool, typer.Option("--allow-unk", help="Draw <UNK> too, printed as U+FFFD.")
    ] = SampleConfig.allow_unk,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of the draws; sample j has seed + j.  [default: random]",
            min=0,
            max=2**62,
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
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Write new text from a model, character by character.

    Without PROMPT the text begins as the model thinks that texts begin. It ends where the model
    ends it, at the stop text or at the length.
    """
    from secrets import randbelow

    from charrnn.reading import read_text, split_lines, strip_last_newline
    from charrnn.sampling import Sample, generate
    from charrnn.vocabulary import normalize

    config = SampleConfig(length, temperature, top_k, top_p, normalize(stop), allow_unk)
    if prompt == "-":
        prompt = strip_last_newline(read_text("-", encoding, max_size))
    else:
        prompt = normalize(prompt)
    seed = randbelow(2**32) if seed is None else seed
    if prompts is not None and (prompt or next_character or num_samples > 1):
        raise ConfigError("--prompts goes without PROMPT, --next and --num-samples")
    model = load_checkpoint(checkpoint)
    if next_character:
        _show_next(model, prompt, as_json)
    elif prompts is not None:
        for first, lines in _blocks(split_lines(read_text(prompts, encoding, max_size))):
            samples = [Sample(line, seed + first + index) for index, line in enumerate(lines)]
            _print_whole(model, samples, config, threads, as_json=True)
    elif num_samples > 1 or as_json:
        samples = [Sample(prompt, seed + index) for index in range(num_samples)]
        _print_whole(model, samples, config, threads, as_json)
    else:
        for _, text in generate(model, [Sample(prompt, seed)], config):
            print(printable(text), end="", flush=True)
        print()


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Lines to continue side by side, each block with the number of its first line."""
    for first in range(0, len(lines), _SIDE_BY_SIDE):
        yield first, lines[first : first + _SIDE_BY_SIDE]


def _print_whole(
    model: "Checkpoint",
    samples: Sequence["Sample"],
    config: SampleConfig,
    threads: int | None,
    as_json: bool,
) -> None:
    """Draw samples side by side and print them in order."""
    from charrnn.parallel import Workers
    from charrnn.sampling import complete

    with Workers(threads) as workers:
        complete(model, samples, config, workers)
    for done in samples:
        print(as_line(_fields(done)) if as_json else printable(done.text))


def _show_next(model: "Checkpoint", prompt: str, as_json: bool) -> None:
    from charrnn.display import spelled_out
    from charrnn.sampling import next_tokens

    found = next_tokens(model, prompt)
    if as_json:
        unit = "char" if model.vocabulary.config.tokens == "char" else "token"
        following = [
            {unit: token, "prob": math.exp(log_prob), "log_prob": log_prob}
            for token, log_prob in found
        ]
        print(as_line({"prompt": prompt, "next": following}))
        return
    names = [printable(spelled_out(token[:_LONGEST])) for token, _ in found[:_LIKELIEST]]
    width = max(map(len, names))
    for name, (_, log_prob) in zip(names, found, strict=False):
        prob = math.exp(log_prob)
        print(f"{name:<{width}} {prob:.4f} {'█' * round(prob * _BAR)}".rstrip())


def _fields(sample: "Sample") -> dict[str, object]:
    return {
        "text": sample.text,
        "prompt": sample.prompt,
        "log_prob": sample.log_prob,
        "stop": sample.stop,
        "seed": sample.seed,
    }
