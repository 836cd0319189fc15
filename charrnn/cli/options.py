"""What the commands share: options, and how JSON and texts are printed."""

import json
import math
import os
import re
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn.cli.completion import models
from charrnn.config import LINES, WHOLE, check_choice
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint

STARTED = time.perf_counter()
PARTS = ("all", "network", "ngram")
_DIRECTIONS = (0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))  # and line ends
# Control characters that JSON leaves as they are, escaped.
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x61C, *_DIRECTIONS)}
_ESCAPE = re.compile(r"\\(?:[ntr\\]|u[0-9a-fA-F]{4})")
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\"}

CheckpointPath = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        "-c",
        help="The model, an .npz file.  [default: the newest in ./checkpoints, else the bundled]",
        autocompletion=models,
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
MaxSize = Annotated[
    int | None,
    typer.Option(
        metavar="MB",
        help="The most that a text file may hold, a compressed one unpacked.  [default: 32 or 20 "
        "times its own size where it is compressed, else any]",
        min=1,
        show_default=False,
    ),
]
SplitOn = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Cut files at this text instead, such as '\\n\\n', blank lines.  "
        "[default: see --lines]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


class Terminated(BaseException):
    """SIGTERM, which ends a command as Ctrl-C does, with an exit code of its own."""


def load_checkpoint(path: Path | None, part: str = PARTS[0]) -> "Checkpoint":
    """The model that `--checkpoint` names, or the one to use without it; or a part of it."""
    from charrnn.ngrams.residual import ResidualRNN
    from charrnn.storage import checkpoint

    check_choice("part", part, PARTS)
    chosen = checkpoint.find(path)
    found = checkpoint.load(chosen)
    if path is None and sys.stderr.isatty():
        _say_which(chosen)
    if part == PARTS[0]:
        return found
    if not isinstance(found.model, ResidualRNN):
        raise ConfigError(f"part {part} is of a network with n-grams, which this model is not")
    return replace(found, model=getattr(found.model, part))


def _say_which(model: Path) -> None:
    """Say which model is used where none was named."""
    from charrnn.render.display import message, visible
    from charrnn.resources import bundled_model

    bundled = model == bundled_model()
    shown = f"{model.stem}, which is bundled" if bundled else f"{model}, the newest one here"
    message(visible(f"model: {shown}; -c chooses another"))


def given(context: typer.Context) -> dict[str, Any]:
    """The options, by name, that were set on the command line."""
    return {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def chosen_separator(lines: bool | None, split_on: str | None) -> str | None:
    """Where the options say that files are cut into documents, None where they do not say.

    Raises:
        ConfigError: they contradict each other, or the text to cut at is empty.
        CorpusError: that text is not valid Unicode.
    """
    if split_on is None:
        return None if lines is None else LINES if lines else WHOLE
    if lines is not None:
        raise ConfigError("--split-on cannot be combined with --lines or --whole")
    if not split_on:
        raise ConfigError("split_on must be a text to cut at; --whole cuts nowhere")
    from charrnn.text.unicode import normalize

    return normalize(unescaped(split_on))


def unescaped(typed: str) -> str:
    """A text as it was typed, with the characters that \\n, \\t, \\r, \\\\ and \\uXXXX stand for.

    Any other backslash is one. Lines end as in texts that are read: a \\r is a newline too.
    """
    text = _ESCAPE.sub(lambda found: _ESCAPES.get(found[0]) or chr(int(found[0][2:], 16)), typed)
    return re.sub("\r\n?", "\n", text)


def refuse_file_name(text: str, option: str) -> None:
    """Raise ConfigError if a text on the command line is the name of a file.

    Args:
        option: the one that reads texts from a file; --checkpoint reads a model.
    """
    if os.path.isfile(text):
        option = "--checkpoint" if text.endswith(".npz") else option
        raise ConfigError(
            f"{text} is a file; did you mean {option} {shlex.quote(text)}? To use the name itself, "
            "pass it on standard input"
        )


def as_line(value: Any) -> str:
    """One line of JSON; a number that is not finite becomes null, as JSON has no word for it.

    Control characters are escaped, so that none can drive a terminal.
    """
    line = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return line.translate(_CONTROLS)


def as_row(*columns: str) -> str:
    """Columns with tabs between; a last one that is empty is left out."""
    return "\t".join(columns if columns[-1] else columns[:-1])


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
    from charrnn.render.display import visible

    return visible(text)
