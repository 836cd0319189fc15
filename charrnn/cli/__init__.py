"""The command line: each command parses, calls and renders; one boundary turns errors into lines.

Nothing here imports NumPy before a command runs, so that help and usage errors come at once.
"""

import os
import signal
import sys

import typer

from charrnn import blas
from charrnn.cli import inspect, sample, score, train
from charrnn.cli.options import Terminated
from charrnn.errors import CharRNNError

app = typer.Typer(
    name="charrnn",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (train.train, sample.sample, score.score, inspect.inspect):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"charrnn {version('charrnn')}")
        raise typer.Exit


@app.callback()
def charrnn(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
    ),
) -> None:
    """A character-level language model: learn from a text, write new text, score sentences.

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 an error, 2 wrong usage,
    130 and 143 interrupted.
    """


def main() -> int:
    """Run a command and return its exit code: the one place where errors become lines."""
    blas.prepare()
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = app(prog_name="charrnn", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:  # from the parser: wrong usage
        return _fail(f"{error.format_message()} (charrnn --help tells more)", error.exit_code)
    except CharRNNError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("out of memory; try a smaller --batch-size, --hidden-size or --seq-len", 1)
    except (BrokenPipeError, SystemExit):  # whoever read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _fail(f"{error.strerror}: {error.filename or 'output'}", 1)


def _fail(text: str, code: int) -> int:
    print("error: " + " ".join(text.split()), file=sys.stderr)
    return code


def _terminate(signum: int, frame: object) -> None:
    raise Terminated
