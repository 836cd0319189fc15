"""`charrnn export`: a model as a web page that works by itself."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from charrnn.cli.options import AsJson, CheckpointPath, as_line, load_checkpoint
from charrnn.errors import ConfigError

_STDOUT = Path("-")


def export(
    checkpoint: CheckpointPath = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="<path>",
            help="Page to write; '-' is stdout.  [default: MODEL.html]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model to a web page that works offline.

    The page is one file that fetches nothing; any browser since 2023 opens it. One tab writes: text
    appears in the colours of its surprise, and a click on a character shows what else might stand
    there, and branches. The other tab scores texts.
    """
    from charrnn.storage.checkpoint import locate
    from charrnn.storage.files import PAGE, check

    source = locate(checkpoint)
    to_stdout = output == _STDOUT
    target = Path(f"{source.stem}.html") if output is None else output
    if to_stdout and as_json:
        raise ConfigError("--output - and --json cannot be combined")
    if to_stdout and sys.stdout.isatty():
        raise ConfigError("a terminal shows no page; name a file with --output, or use a pipe")
    if not to_stdout:
        check(target, PAGE, [source])
    loaded = load_checkpoint(source)
    from charrnn.render.export import page

    data = page(loaded, source.stem).encode()
    if to_stdout:
        sys.stdout.buffer.write(data)
    else:
        _write(target, data, source, as_json)


def _write(target: Path, data: bytes, source: Path, as_json: bool) -> None:
    from charrnn.render.display import message, visible
    from charrnn.storage.files import PAGE, atomic_write

    with atomic_write(target, PAGE) as file:
        file.write(data)
    if as_json:
        print(as_line({"checkpoint": str(source), "page": str(target), "bytes": len(data)}))
    else:
        size = f"{len(data) / 1e6:.1f} MB"
        message(f"written to {visible(str(target))} ({size}); open it in a browser")
