"""The options of `charrnn score` and `charrnn classify`, by the fields that they set."""

from pathlib import Path
from typing import Annotated

import typer

from charrnn.cli.options import PARTS, models, one_of

Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help="Texts; '-' reads them from stdin.  [default: stdin]",
        show_default=False,
    ),
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="<path>",
        help="Model: a name or .npz file; repeat it to compare.  [default: the newest in "
        "./checkpoints, else everyday]",
        autocompletion=models,
        show_default=False,
        readable=False,
    ),
]
Candidates = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="<path>",
        help="Model: a name or .npz file; repeat it for each.",
        autocompletion=models,
        show_default=False,
        readable=False,
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="<path>",
        help="File of texts; '-' is stdin; can be repeated.",
        show_default=False,
        readable=False,
    ),
]
Field = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Field of JSON Lines, CSV or TSV to score; adds the scores.  [default: none]",
        show_default=False,
    ),
]
Lines = Annotated[
    bool | None,
    typer.Option(
        "--lines/--whole",
        help="Score each line, or each file, as a text.  [default: as in training]",
        show_default=False,
    ),
]
LinesUnlessWhole = Annotated[
    bool | None,
    typer.Option(
        "--lines/--whole",
        help="Take each line, or each file, as a text.  [default: --lines]",
        show_default=False,
    ),
]
Prefix = Annotated[
    str,
    typer.Option(
        "--given",
        metavar="PREFIX",
        help="Score each text as the continuation of PREFIX.  [default: none]",
        show_default=False,
    ),
]
Eos = Annotated[
    bool | None,
    typer.Option(
        "--eos/--no-eos",
        help="Count the end of a text, or not.  [default: --eos, except for models of whole files]",
        show_default=False,
    ),
]
PerChar = Annotated[
    bool,
    typer.Option("--per-char", help="Show every character, in colour on a terminal."),
]
PerWord = Annotated[
    bool,
    typer.Option("--per-word", help="Show every word: its bits, entropy and rank."),
]
Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write the coloured texts to a web page.  [default: none]",
        show_default=False,
    ),
]
Svg = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write the coloured texts to an SVG picture.  [default: none]",
        show_default=False,
    ),
]
Total = Annotated[bool, typer.Option("--total", help="Print one total over all texts.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Print the accuracy on a file of lines TEXT, tab, model name.  [default: none]",
        show_default=False,
        readable=False,
    ),
]
Streams = Annotated[
    int,
    typer.Option(
        help="Parts of a whole file to score in parallel: faster, nearly the same result.",
        min=1,
        max=4096,
    ),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="Also score with dynamic evaluation: the model learns as it reads.",
    ),
]
Part = Annotated[
    str,
    typer.Option(
        help=f"Part of the model to use: {', '.join(PARTS)}.",
        autocompletion=one_of(PARTS),
    ),
]
Tsv = Annotated[
    bool,
    typer.Option("--tsv", help="Print tab-separated columns under a header."),
]
Sort = Annotated[bool, typer.Option("--sort", help="Print the most surprising texts first.")]
FailOver = Annotated[
    float | None,
    typer.Option(
        metavar="BITS",
        help="Exit with code 3 if a text or total is above BITS per character.  [default: never]",
        show_default=False,
    ),
]
