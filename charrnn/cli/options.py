"""What the commands share: options, and how JSON and texts are printed."""

import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charrnn.checkpoint import Checkpoint

STARTED = time.monotonic()
BLOCK = 4096  # texts scored at a time

CheckpointPath = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        "-c",
        help="The model, an .npz file.  [default: the newest in ./checkpoints, else the bundled]",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Cores to use at most; changes no result.  [default: all]",
        min=1,
        max=1024,
        show_default=False,
    ),
]
Encoding = Annotated[str, typer.Option(help="Encoding of text files, such as cp949 or utf-16.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


class Terminated(BaseException):
    """SIGTERM, which ends a command as Ctrl-C does, with an exit code of its own."""


def load_checkpoint(path: Path | None) -> "Checkpoint":
    """The model that `--checkpoint` names, or the one to use without it."""
    from charrnn import checkpoint

    return checkpoint.load(checkpoint.find(path))


def as_line(value: Any) -> str:
    """One line of JSON; a number that is not finite becomes null, as JSON has no word for it."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printable(text: str) -> str:
    """The text for stdout: plain in a pipe, with control characters spelled out on a terminal."""
    if not sys.stdout.isatty():
        return text
    from charrnn.display import visible

    return visible(text)
