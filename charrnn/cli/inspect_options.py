"""The options of `charrnn inspect`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charrnn.cli.options import models, one_of


def _option(help: str, *names: str, **details: Any) -> Any:
    """An option that is not set unless it is given."""
    default = "" if "[default" in help else "  [default: none]"
    return typer.Option(*names, help=f"{help}{default}", show_default=False, **details)


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="Model: a name or an .npz file; for --neuron, a text file comes last.  [default: "
        "see --checkpoint]",
        autocompletion=models,
        show_default=False,
    ),
]
Checkpoints = Annotated[
    list[Path] | None,
    _option(
        "Model, as MODEL; --plot takes several.  [default: the newest in ./checkpoints, else "
        "everyday]",
        "--checkpoint",
        "-c",
        metavar="<path>",
        autocompletion=models,
        readable=False,
    ),
]
Everything = Annotated[bool, typer.Option("--list", help="List the models and corpora at hand.")]
Plot = Annotated[
    Path | None,
    _option("Draw learning curves to an .svg or .png file; needs matplotlib.", metavar="<path>"),
]
Over = Annotated[
    str,
    typer.Option(
        help="Horizontal axis of --plot: steps or time.",
        autocompletion=one_of(("steps", "time")),
    ),
]
Neuron = Annotated[
    str | None,
    _option("Colour a text by the activation of this unit.", metavar="[LAYER.]UNIT"),
]
Neurons = Annotated[
    str | None,
    _option("Find units that track quotes, brackets, words or lines.", metavar="FILE"),
]
Memory = Annotated[
    str | None,
    _option("Show how far back the model remembers on a text.", metavar="FILE"),
]
Context = Annotated[
    str | None,
    _option(
        "Numbers of tokens that --memory shows the model.  [default: 1,2,4,8,16,32,64]",
        metavar="N[,N]...",
    ),
]
Reset = Annotated[
    str | None,
    _option(
        "Characters after which --memory resets the state instead.  [default: never]",
        metavar="N[,N]...",
    ),
]
Html = Annotated[
    Path | None, _option("Write --neuron or --neurons to a web page.", metavar="<path>")
]
GradientFlow = Annotated[
    Path | None,
    _option("Show how far the gradient flows back on a text.", metavar="<path>", readable=False),
]
