"""`charrnn inspect`: what is in a checkpoint."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn.cli.options import AsJson, CheckpointPath, Encoding, MaxSize, as_line
from charrnn.config import LINES
from charrnn.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from charrnn.checkpoint import Checkpoint

_DISTANCE, _POSITIONS = 100, 256  # characters a gradient is followed back, and from how many places


def inspect(
    checkpoint: CheckpointPath = None,
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
    from charrnn import checkpoint as checkpoints
    from charrnn.display import gradient_flow_bars, inspection

    path = checkpoints.find(checkpoint)
    loaded = checkpoints.load(path)
    if gradient_flow is not None:
        fields = {"checkpoint": str(path)} | _flow(loaded, gradient_flow, encoding, max_size)
    else:
        fields = {
            "checkpoint": str(path),
            "model": asdict(loaded.model.config),
            "parameters": loaded.model.size,
            "arrays": {name: list(array.shape) for name, array in loaded.model.arrays.items()},
            "lines": loaded.separator == LINES,
            "separator": loaded.separator,
            "tokens": asdict(loaded.vocabulary.config),
            "vocabulary": list(loaded.vocabulary.tokens),
            "training": loaded.training,
        }
    if as_json:
        print(as_line(fields))
    elif gradient_flow is not None:
        gradient_flow_bars(fields)
    else:
        inspection(fields)


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
