"""What the commands share: options, what a shell completes, and how JSON and texts are printed."""

import contextlib
import json
import math
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn.config import check_choice
from charrnn.errors import ConfigError, setting
from charrnn.resources import (
    BUNDLED_MODELS,
    bundled_corpora,
    bundled_model,
    model_names,
    trained_models,
)
from charrnn.text.compression import is_text_file

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint

STARTED = time.perf_counter()
PARTS = ("all", "unmixed", "network", "ngram")
_DIRECTIONS = (0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))  # and line ends
# Control characters that JSON leaves as they are, escaped.
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x61C, *_DIRECTIONS)}
_ESCAPE = re.compile(r"\\(?:[ntr\\]|u[0-9a-fA-F]{4})")
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\"}


def corpora(incomplete: str) -> list[str]:
    """Complete a corpus: bundled ones, and texts in the folder typed so far."""
    folder, texts = os.path.dirname(incomplete), []
    with contextlib.suppress(OSError):
        texts = [name for name in os.listdir(folder or ".") if is_text_file(name)]
    return [*bundled_corpora(), *(os.path.join(folder, name) for name in sorted(texts))]


def models(incomplete: str) -> list[str]:
    """Complete a model: short names, and files in the folder typed so far."""
    folder = os.path.dirname(incomplete)
    files = (os.path.join(folder, path.name) for path in trained_models(Path(folder)))
    return [*model_names(), *sorted(files)]


def one_of(choices: Sequence[str]) -> Callable[[], list[str]]:
    """Return a function that completes an option with these choices."""
    return lambda: list(choices)


CheckpointPath = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        "-c",
        help="Model: a name or .npz file.  [default: the newest in ./checkpoints, else everyday]",
        autocompletion=models,
        show_default=False,
        readable=False,  # whatever reads it says why it cannot
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="CPU cores to use; results stay the same.  [default: all]",
        min=1,
        max=1024,
        show_default=False,
    ),
]
Encoding = Annotated[str, typer.Option(help="Encoding of text files, e.g. cp949.")]
MaxSize = Annotated[
    int | None,
    typer.Option(
        metavar="MB",
        help="Largest file to read, in MB after unpacking.  [default: no limit; compressed files: "
        "32 MB or 20 times their size]",
        min=1,
        show_default=False,
    ),
]
SplitOn = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Split files at TEXT, e.g. '\\n\\n' for blank lines.  [default: see --lines]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


class Terminated(BaseException):
    """SIGTERM: ends a command as Ctrl-C does, with its own exit code."""


def load_checkpoint(path: Path | None, part: str = PARTS[0]) -> "Checkpoint":
    """Load the model that `--checkpoint` names, else the newest or bundled one, or a part of it."""
    from charrnn.mixing.mixed import Mixed
    from charrnn.ngrams.residual import ResidualRNN
    from charrnn.storage import checkpoint

    check_choice("part", part, PARTS)
    chosen = checkpoint.locate(path)
    found = checkpoint.load(chosen)
    if sys.stderr.isatty():
        _say_which(chosen, found)
    if part == PARTS[0]:
        return found
    base = found.model.base if isinstance(found.model, Mixed) else found.model
    if not isinstance(base, ResidualRNN):
        raise ConfigError(f"{setting('part')} {part} needs a network with n-grams")
    return replace(found, model=base if part == "unmixed" else getattr(base, part))


def _say_which(path: Path, loaded: "Checkpoint") -> None:
    """Name the model in use, in a dim line on stderr."""
    from charrnn.render.display import dim, message, visible
    from charrnn.storage.listing import described

    is_bundled = path in map(bundled_model, BUNDLED_MODELS)
    name = path.stem if is_bundled else str(path)
    model = described(loaded.model.config, loaded.training)
    message(dim(visible(f"model: {name} ({model})")))


def given(context: typer.Context) -> dict[str, Any]:
    """Return the parameters that were set on the command line, by name."""
    return {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def typed(context: typer.Context) -> set[str]:
    """Return what was set to another value than its default, as typed: --option or ARGUMENT."""
    found = set()
    set_by_hand = given(context)
    for parameter in context.command.get_params(context):
        value = set_by_hand.get(parameter.name or "")
        if value is None or value == parameter.get_default(context):
            continue
        if parameter.param_type_name == "argument":
            found.add(str(parameter.metavar))
        else:
            found.add((parameter.secondary_opts if value is False else parameter.opts)[0])
    return found


def refuse_together(typed: Collection[str], apart: Mapping[str, Iterable[str]]) -> None:
    """Raise ConfigError if an option was set together with one that it excludes."""
    for option, others in apart.items():
        for other in others:
            if option in typed and other in typed:
                raise ConfigError(f"{option} and {other} cannot be combined")


def chosen_separator(
    lines: bool | None, split_on: str | None, field: str | None = None
) -> str | None:
    """Return the separator of documents that the options ask for; see `separator`."""
    from charrnn.text.sources import separator

    return separator(lines, None if split_on is None else unescaped(split_on), field)


def unescaped(typed: str) -> str:
    """Replace the escapes \\n, \\t, \\r, \\\\ and \\uXXXX in a typed text by their characters.

    Two \\uXXXX may be a surrogate pair, as in JSON. Any other backslash is one. Lines end as in
    texts that are read: a \\r is a newline too.
    """
    text = _ESCAPE.sub(lambda found: _ESCAPES.get(found[0]) or chr(int(found[0][2:], 16)), typed)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return re.sub("\r\n?", "\n", text)


def as_text(typed: str) -> str:
    """Replace the escapes of a typed text and normalize it as the text of a file."""
    from charrnn.text.unicode import normalize

    return normalize(unescaped(typed))


def refuse_file_name(text: str, option: str) -> None:
    """Raise ConfigError if a text on the command line is the name of a file.

    Args:
        option: reads texts from a file; --checkpoint, which reads models, is suggested for .npz.
    """
    if os.path.isfile(text):
        option = "--checkpoint" if text.endswith(".npz") else option
        raise ConfigError(
            f"{text} is a file; did you mean {option} {shlex.quote(text)}? To use the name itself "
            "as the text, pass it on standard input"
        )


def as_line(value: Any) -> str:
    """Return one line of JSON; numbers that are not finite become null, as JSON lacks them.

    Control characters are escaped, so that none reaches a terminal.
    """
    line = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return line.translate(_CONTROLS)


def as_row(*columns: str) -> str:
    """Join columns with tabs; an empty last one is left out."""
    return "\t".join(columns if columns[-1] else columns[:-1])


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printable(text: str) -> str:
    """Return the text for stdout: plain in a pipe, with controls spelled out on a terminal."""
    if not sys.stdout.isatty():
        return text
    from charrnn.render.display import visible

    return visible(text)
