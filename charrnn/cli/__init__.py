"""The command line: each command parses, calls and renders; one boundary turns errors into lines.

Nothing here imports NumPy before a command runs, so that help and usage errors come at once.
"""

import io
import os
import signal
import sys
import traceback
from typing import Any

import typer

from charrnn.cli import classify, export, inspect, sample, score, train
from charrnn.cli.help import Command, Group
from charrnn.cli.options import Terminated
from charrnn.cli.usage import ALIASES, problem
from charrnn.errors import CharRNNError, UnfinishedError
from charrnn.parallel import processes, threads

_SHARED = ("train", "score")  # what the processes of MPI do together

app = typer.Typer(
    name="charrnn",
    cls=Group,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (
    *(train.train, sample.sample, score.score, classify.classify),
    *(inspect.inspect, export.export),
):
    app.command(cls=Command)(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"charrnn {version('charrnn')}")
        raise typer.Exit


@app.callback()
def charrnn(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
    ),
) -> None:
    """A character-level language model; COMMAND --help lists its options."""
    if context.invoked_subcommand not in _SHARED and not processes.world().speaks:
        raise typer.Exit  # rank 0 does it by itself


def main() -> int:
    """Run a command and return its exit code: the one place where errors become lines."""
    threads.use_one_blas_thread()
    _prepare_streams()
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _terminate)
        code = app(prog_name="charrnn", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as error:  # a shell has got its completion
        if not isinstance(error.__context__, BrokenPipeError):
            return error.code if isinstance(error.code, int) else 0
        return _fail(*_failure(error.__context__))
    except BaseException as error:
        return _fail(*_failure(error))


def _failure(error: BaseException) -> tuple[str, int]:
    """The message for an error, empty where none is needed, and the exit code."""
    match error:
        case typer.TyperException():  # from the parser: wrong usage
            context = getattr(error, "ctx", None)
            named = [word for word in sys.argv[1:2] if word in ALIASES]
            command = context.command_path if context else " ".join(["charrnn", *named])
            return f"{problem(error, sys.argv[1:])} (see {command} --help)", error.exit_code
        case CharRNNError():
            text = error.with_options(_option)
            if isinstance(error, UnfinishedError):
                text += "; --resume continues it"
            return text, error.exit_code
        case KeyboardInterrupt():
            return "", 130
        case Terminated():
            return "", 143
        case MemoryError():
            return "out of memory; try smaller sizes, or fewer samples", 1
        case ImportError():
            reason = str(error).split("Original error was:")[-1].strip().split("\n")[0]
            return f"cannot load a library: {reason}", 1
        case BrokenPipeError():  # whoever read the output has gone
            _discard_output()
            return "", 141
        case FileNotFoundError(filename=None):
            return "the current folder no longer exists; change to another one", 1
        case OSError():
            _discard_output()
            what = f"use {error.filename}" if error.filename else "write to standard output"
            return f"cannot {what}: {error.strerror}", 1
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"
    return f"a bug in charrnn, please report it: {error!r} at {where}", 1


def _option(field: str) -> str:
    """Return the option that sets a field."""
    return "--lines or --whole" if field == "lines" else "--" + field.replace("_", "-")


def _prepare_streams() -> None:
    """Set output to UTF-8 whatever the locale, and closed streams to the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    buffer = getattr(sys.stderr, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # python -u has no buffer between
    if type(raw) is io.FileIO:
        lossy = io.BufferedWriter(_Messages(raw.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(lossy, "utf-8", "backslashreplace", line_buffering=True)


class _Messages(io.FileIO):
    """A stream that drops what cannot be written: a full disk ends no work for a message."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            raise
        except OSError:
            return memoryview(data).nbytes


def _discard_output() -> None:
    """Drop what stdout still buffers, which Python would write again on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: int) -> int:
    from charrnn.render.display import error

    def say() -> None:
        if text:
            error(text)

    try:
        world = processes.world()
    except CharRNNError:  # which may be what is to be said
        world = processes.ALONE
    world.fail(say, code)
    return code


def _terminate(signum: int, frame: object) -> None:
    raise Terminated
