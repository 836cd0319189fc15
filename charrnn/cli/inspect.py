"""`charrnn inspect`: what is in a checkpoint."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn.cli.options import AsJson, Encoding, MaxSize, as_line
from charrnn.config import LINES
from charrnn.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from charrnn.checkpoint import Checkpoint

_DISTANCE, _POSITIONS = 100, 256  # characters a gradient is followed back, and from how many places


def inspect(
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            "-c",
            metavar="<path>",
            help="The model, an .npz file; with --plot, several.  [default: the newest in "
            "./checkpoints, else the bundled]",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>",
            help="Draw the training and the validation curve of each model, an .svg or .png file; "
            "needs matplotlib.  [default: none]",
            show_default=False,
        ),
    ] = None,
    over: Annotated[
        str, typer.Option(help="What --plot draws them over: steps or time.")
    ] = "steps",
    gradient_flow: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>",
            help="Show on a text how far the gradient of a loss flows back: the median norm of its "
            "derivative by the state k characters before.  [default: none]",
            show_default=False,
        ),
    ] = None,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in a checkpoint.

    Its configuration, its size, its vocabulary and its training history.
    """
    from charrnn import checkpoint
    from charrnn.inspection import show_checkpoint, show_gradient_flow

    if plot is not None:
        _plot(checkpoints or [], plot, over, as_json)
        return
    if len(checkpoints or []) > 1:
        raise ConfigError("several models go with --plot alone: give one --checkpoint")
    path = checkpoint.find(checkpoints[0] if checkpoints else None)
    loaded = checkpoint.load(path)
    fields: dict[str, Any] = {"checkpoint": str(path)}
    fields |= _contents(loaded) if gradient_flow is None else {}
    if gradient_flow is not None:
        fields |= _flow(loaded, gradient_flow, encoding, max_size)
    if as_json:
        print(as_line(fields))
    elif gradient_flow is not None:
        show_gradient_flow(fields)
    else:
        show_checkpoint(fields)


def _contents(loaded: "Checkpoint") -> dict[str, Any]:
    return {
        "model": asdict(loaded.model.config),
        "parameters": loaded.model.size,
        "arrays": {name: list(array.shape) for name, array in loaded.model.arrays.items()},
        "lines": loaded.separator == LINES,
        "separator": loaded.separator,
        "tokens": asdict(loaded.vocabulary.config),
        "vocabulary": list(loaded.vocabulary.tokens),
        "training": loaded.training,
    }


def _plot(checkpoints: Sequence[Path], picture: Path, over: str, as_json: bool) -> None:
    """Draw the curves of models, each under its file's name, or its path where two have one."""
    from charrnn.checkpoint import find, load
    from charrnn.display import message, visible
    from charrnn.history import history
    from charrnn.plot import plot

    paths = [find(path) for path in checkpoints] or [find()]
    stems = [path.stem for path in paths]
    runs = {}
    for path, stem in zip(paths, stems, strict=True):
        name = stem if stems.count(stem) == 1 else str(path)
        runs[visible(name)] = history(load(path).training)
    plot(runs, picture, over)
    if as_json:
        print(as_line({"plot": str(picture), "checkpoints": [str(path) for path in paths]}))
    else:
        message(f"written to {visible(str(picture))}")


def _flow(loaded: "Checkpoint", file: Path, encoding: str, max_size: int | None) -> dict[str, Any]:
    """Distances, and the median norms of the gradient by h and, where there is one, by C."""
    import numpy as np

    from charrnn.checkpoint import check_finite
    from charrnn.gradient_flow import gradient_flow
    from charrnn.ngram import NGram
    from charrnn.reading import read_text

    config = loaded.model.config
    if isinstance(loaded.model, NGram):
        raise ConfigError("an ngram has no gradient; --gradient-flow is for the others")
    if config.feedback == "target":
        raise ConfigError("with --feedback target no step depends on another: no gradient flows")
    tokens = loaded.vocabulary.encode(read_text(file, encoding, max_size))
    try:
        flow = gradient_flow(loaded.model, tokens, _DISTANCE, _POSITIONS, np.random.default_rng(0))
    except ValueError as error:
        raise CorpusError(f"{file}: {error}") from None
    check_finite(float(flow.sum()))
    names = ("o",) if config.cell == "jordan" else ("h", "C")
    norms = {name: row.tolist() for name, row in zip(names, flow, strict=False)}
    return {"distance": list(range(1, _DISTANCE + 1)), **norms}
