"""The options of `charrnn sample`, most of them by the fields that they set."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charrnn.cli.options import corpora
from charrnn.config import MAX_SEED

FOR_BEST = 64  # samples that --best chooses from


def _unset(help: str, default: str = "none", **options: Any) -> Any:
    """An option whose default is not a value."""
    return typer.Option(help=f"{help}  [default: {default}]", show_default=False, **options)


Prompt = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT",
        help="Beginning of the text; '-' reads it from stdin.  [default: none]",
        show_default=False,
    ),
]
Length = Annotated[
    int, typer.Option("--length", "-n", help="Maximum length of the text, in characters.")
]
Temperature = Annotated[
    str,
    typer.Option(
        "--temperature",
        "-t",
        metavar="T",
        help="Sampling temperature: lower is safer; 1: the model's distribution, 0: greedy.",
    ),
]
TopK = Annotated[int | None, _unset("Sample from the k most probable tokens only.", "all")]
TopP = Annotated[
    float,
    typer.Option(
        metavar="P",
        help="Nucleus sampling: keep the smallest set of tokens with total probability P.",
    ),
]
MinP = Annotated[
    float,
    typer.Option(
        metavar="P", help="Keep tokens at least P times as probable as the most probable one."
    ),
]
NumSamples = Annotated[
    int | None,
    _unset("Number of samples.", f"1; with --best: {FOR_BEST}", min=1, max=100_000),
]
Best = Annotated[
    int | None,
    _unset(
        "Print only the K most probable samples, best first.",
        "all, in order",
        metavar="K",
        min=1,
        max=100_000,
    ),
]
Beam = Annotated[
    int | None,
    _unset(
        "Beam search with N candidates, instead of sampling.",
        "sample",
        metavar="N",
        min=1,
        max=1000,
    ),
]
Stop = Annotated[list[str] | None, _unset("End before TEXT; can be repeated.", metavar="TEXT")]
KeepStop = Annotated[bool, typer.Option("--keep-stop", help="End after the stop text instead.")]
Ban = Annotated[str, _unset("Characters never to write.", metavar="CHARACTERS")]
NoRepeat = Annotated[
    int | None,
    _unset("Write no stretch of N characters twice.", metavar="N", min=1),
]
Regex = Annotated[
    str | None,
    _unset("Regular expression that the continuation matches.", metavar="PATTERN"),
]
AllowUnk = Annotated[
    bool, typer.Option("--allow-unk", help="Also sample <UNK>, printed as U+FFFD.")
]
Seed = Annotated[int | None, _unset("Random seed.", "random", min=0, max=MAX_SEED)]
Prompts = Annotated[
    Path | None,
    _unset("Continue each line of a file ('-': stdin); prints JSON Lines.", readable=False),
]
Adapt = Annotated[
    bool,
    typer.Option("--adapt", help="Let the model learn from PROMPT first (dynamic evaluation)."),
]
Next = Annotated[
    bool, typer.Option("--next", help="Show the most probable next characters instead.")
]
Choices = Annotated[
    Path | None,
    _unset("Rank the lines of a file ('-': stdin) as continuations of PROMPT.", readable=False),
]
Interactive = Annotated[
    bool,
    typer.Option("--interactive", "-i", help="Write together with the model, prompt by prompt."),
]
Novel = Annotated[
    list[str] | None,
    _unset(
        "Mark text copied from this corpus; can be repeated.",
        metavar="CORPUS",
        autocompletion=corpora,
    ),
]
NovelOnly = Annotated[
    bool,
    typer.Option("--novel-only", help="Draw again what is a whole document of the corpus."),
]
Colour = Annotated[
    bool,
    typer.Option("--colour", help="Colour the text by its surprise while it is written."),
]
NovelMin = Annotated[
    int,
    typer.Option(metavar="N", help="Shortest copied stretch to report, in characters.", min=1),
]
