"""`charrnn sample`: write new text from a model."""

from typing import TYPE_CHECKING, Annotated

import typer

from charrnn.cli.options import (
    AsJson,
    CheckpointPath,
    Encoding,
    Threads,
    as_line,
    load_checkpoint,
    printable,
)
from charrnn.config import SampleConfig

if TYPE_CHECKING:
    from charrnn.sampling import Sample


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
        typer.Option(help="Draw from the fewest characters that together are so probable."),
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
    encoding: Encoding = "utf-8",
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Write new text from a model, character by character.

    Without PROMPT the text begins as the model thinks that texts begin. It ends where the model
    ends it, at the stop text or at the length.
    """
    from secrets import randbelow

    from charrnn.corpus import read_text, strip_last_newline
    from charrnn.sampling import Sample, generate
    from charrnn.vocabulary import normalize

    config = SampleConfig(length, temperature, top_k, top_p, normalize(stop), allow_unk)
    prompt = strip_last_newline(read_text("-", encoding)) if prompt == "-" else normalize(prompt)
    seed = randbelow(2**32) if seed is None else seed
    model = load_checkpoint(checkpoint)
    del threads  # one core draws; the option is there as it is for every command
    samples = [Sample(prompt, seed + index) for index in range(num_samples)]
    stream = generate(model, samples, config)
    if num_samples == 1 and not as_json:
        print(printable(prompt), end="", flush=True)
        for _, text in stream:
            print(printable(text), end="", flush=True)
        print()
        return
    for _ in stream:
        pass
    for done in samples:
        if as_json:
            print(as_line(_fields(done)))
        else:
            print(printable(done.text))


def _fields(sample: "Sample") -> dict[str, object]:
    return {
        "text": sample.text,
        "prompt": sample.prompt,
        "log_prob": sample.log_prob,
        "stop": sample.stop,
        "seed": sample.seed,
    }
