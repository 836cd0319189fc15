"""Runs cases: makes each hostile file, reads and uses it as a user would, and sees what it costs.

A case is a seed and a number, which say all about it, so that it can be run again.
"""

import contextlib
import ctypes
import gc
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import typer

from charrnn.cli import app, main
from charrnn.errors import CharRNNError
from tests.fuzz.files import Content, Hostile
from tests.fuzz.mutations import Mutation, Rng

MEMORY_FACTOR, MEMORY_MORE = 4, 200_000_000  # bytes: so often the file, and so many more
_LONGEST_LINE = 500  # characters of an error, a path included
_PATIENCE = 10  # times the limit of time: what waits longer is stopped
_OBEYED = "\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROLS = re.compile(f"[\0-\x08\x0b-\x1f{_OBEYED}]")
_MODEL = f"(?:\x1b\\[2m)?model: [^\0-\x1f{_OBEYED}]*(?:\x1b\\[0m)?"  # the dim line that names it
_EXECUTED = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.",
    "pickle.",
    "ctypes.",
)
_WRITTEN = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.")


@dataclass(frozen=True)
class Kind:
    """A kind of file to attack."""

    base: Callable[[Rng], Content]  # a genuine file
    mutations: Sequence[Mutation]
    load: Callable[[Path], Any]  # raises CharRNNError
    commands: Sequence[Sequence[str]] = ()  # of charrnn, on what loads; -c PATH is added


class Defect(Exception):
    """What must not happen."""


class _Stopped(BaseException):
    """The patience is at an end."""


@dataclass
class Report:
    """What the cases came to."""

    loaded: Counter[str] = field(default_factory=Counter)  # by mutation
    refused: Counter[str] = field(default_factory=Counter)
    unusable: int = 0  # of those loaded: a command ends in an error
    slowest: tuple[float, int] = (0.0, -1)  # seconds of a step, and the case
    most_memory: tuple[int, int] = (-(1 << 62), -1)  # bytes above the limit, and the case
    defects: list[tuple[int, str, str]] = field(default_factory=list)  # case, mutation, what

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.loaded.total() + self.refused.total()

    def lines(self) -> Iterator[str]:
        """The closing figures."""
        for name in sorted(self.loaded.keys() | self.refused.keys()):
            yield f"{name:<30} {self.loaded[name]:>6} loaded {self.refused[name]:>6} refused"
        yield f"{self.cases} cases: {self.loaded.total()} loaded, {self.refused.total()} refused"
        yield f"{self.unusable} of those loaded predict nothing and say so"
        yield f"slowest: {self.slowest[0]:.2f} s (case {self.slowest[1]})"
        above, case = self.most_memory
        yield f"nearest to the limit of memory: {above / 1e6:+.0f} MB (case {case})"
        yield f"{len(self.defects)} defects"
        for case, name, what in self.defects:
            yield f"  case {case}, {name}: {what}"


def run(kind: Kind, seed: int, cases: Iterable[int], seconds: float) -> Report:
    """Run cases in a folder of their own, and report.

    Args:
        seconds: of the processor, that each step of a case may take.
    """
    report = Report()
    parsed_once = mock.patch("charrnn.cli.app", typer.main.get_command(app))  # it takes long
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), parsed_once:
        own = _warm_up(kind)
        gc.freeze()  # so that `_clear` collects what the cases leave, which is little
        for case in cases:
            _run_case(kind, seed, case, Watch(seconds, own), report)
        gc.unfreeze()
    return report


def hostile(kind: Kind, seed: int, case: int) -> tuple[str, Hostile]:
    """The name of the mutation and what it makes."""
    rng = np.random.default_rng([seed, case])
    mutation = kind.mutations[case % len(kind.mutations)]
    return mutation.__name__, mutation(kind.base(rng), rng)


def _warm_up(kind: Kind) -> int:
    """Use a genuine file, so that everything is imported; the bytes of memory that this takes."""
    path = Path("genuine.npz")
    path.write_bytes(kind.base(np.random.default_rng(0)).pack())
    kind.load(path)
    for command in kind.commands:
        _command(command, path)
    _clear()
    return _memory("VmRSS")


def _run_case(kind: Kind, seed: int, case: int, watch: "Watch", report: Report) -> None:
    name, made = hostile(kind, seed, case)
    path = Path("hostile.npz")
    if callable(made):
        made(path)
    else:
        path.write_bytes(made)
    limit = MEMORY_FACTOR * (path.stat().st_size if path.is_file() else 0) + MEMORY_MORE
    del made
    before, loaded = {*os.listdir()}, False
    try:
        with watch:
            loaded = _loads(kind, path)
        for command in kind.commands if loaded else kind.commands[:1]:
            with watch:
                report.unusable += _command(command, path) and loaded
        if {*os.listdir()} != before:
            raise Defect(f"left behind: {sorted({*os.listdir()} ^ before)}")
        if watch.memory > limit:
            raise Defect(f"{watch.memory >> 20} MB of memory, {limit >> 20} allowed")
    except Defect as defect:
        report.defects.append((case, name, str(defect)))
    (report.loaded if loaded else report.refused)[name] += 1
    report.slowest = max(report.slowest, (watch.slowest, case))
    report.most_memory = max(report.most_memory, (watch.memory - limit, case))
    _clear()


def _clear() -> None:
    """Remove what a case has left, in memory too."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # where the C library is another one
        ctypes.CDLL(None).malloc_trim(0)
    for path in Path.cwd().iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _loads(kind: Kind, path: Path) -> bool:
    """Whether the file loads; if not, the reason has to be one short line."""
    try:
        kind.load(path)
    except CharRNNError as error:
        _check_line(str(error))
        return False
    except Exception as error:
        raise _unexpected(error) from None
    return True


def _unexpected(error: Exception) -> Defect:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Defect(f"{error!r:.200} at {os.path.basename(place.filename)}:{place.lineno}")


def _check_line(line: str) -> None:
    if "\n" in line or len(line) > _LONGEST_LINE:
        raise Defect(f"an error that is no short line: {line[:100]!r}")


class _Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        """What arrives there, encoded as `charrnn.cli` has it done."""
        return self.getvalue().encode(errors="backslashreplace").decode()


def _command(command: Sequence[str], path: Path) -> bool:
    """Run a command of charrnn on a terminal; whether it ends in one line of error."""
    argv = ["charrnn", *command, "-c", str(path)]
    out, err = _Terminal(), _Terminal()
    try:
        with (
            mock.patch.object(sys, "argv", argv),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main()
    except Exception as error:
        raise _unexpected(error) from None
    name, text = command[0], out.shown()
    said = re.sub(f"(?m)^(?:warning: .*|{_MODEL})\n", "", err.shown())
    if code not in (0, 1) or (code == 0) != (said == ""):
        raise Defect(f"{name} ends with {code} and says {said[:200]!r}")
    if code == 1:
        _check_line(said.removesuffix("\n"))
        if not said.startswith("error: ") or "a bug in charrnn" in said or "memory" in said:
            raise Defect(f"{name} says {said[:300]!r}")
    if found := _CONTROLS.search(text + said):
        raise Defect(f"{name} prints the control character {found[0]!r}")
    if code == 0 and "--json" in command:
        for line in text.splitlines():
            json.loads(line, parse_constant=_no_number)
    elif code == 0 and name in ("score", "sample") and re.search(r"\b(nan|inf)\b", text):
        raise Defect(f"{name} prints a number that is not finite: {text[:100]!r}")
    return code == 1


def _no_number(constant: str) -> None:
    raise Defect(f"{constant} in JSON")


class Watch:
    """Watches the steps of a case: time, memory, and what is executed, written or warned of.

    Args:
        seconds: of the processor, that a step may take.
        own: bytes of memory that charrnn takes before a file is read. What this process has in
            memory from other cases does not count.

    Raises:
        Defect: on leaving a step that took too long, or did what no file may make it do.
    """

    def __init__(self, seconds: float, own: int) -> None:
        self.seconds, self.own, self.slowest, self.memory = seconds, own, 0.0, 0
        self._events: list[str] = []

    def __enter__(self) -> "Watch":
        _forget_peak()
        self._before = _memory("VmRSS")
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("error")
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE * self.seconds)
        _audit(self._events)
        self._started = time.process_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        taken = time.process_time() - self._started
        signal.setitimer(signal.ITIMER_REAL, 0)
        _audit(None)
        self._warnings.__exit__(None, None, None)
        self.memory = max(self.memory, _memory("VmHWM") - self._before + self.own)
        self.slowest = max(self.slowest, taken)
        if kind is _Stopped:
            raise Defect("it does not end") from None
        if self._events:
            raise Defect(f"it did {self._events[0]}")
        if kind is None and taken > self.seconds:
            raise Defect(f"{taken:.1f} s of the processor")


def _stop(signum: int, frame: object) -> None:
    raise _Stopped


_watched: list[list[str]] = []  # the events of the step that runs, if one does


def _audit(events: list[str] | None) -> None:
    """Note into a list what Python does from now on that no file may make it do."""
    if not _audited:
        sys.addaudithook(_hook)  # for ever
        _audited.append(True)
    _watched[:] = [] if events is None else [events]


_audited: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    writes = event == "open" and bool({*str(arguments[1])} & {*"wax+"})
    flags = arguments[2] if event == "open" else 0
    if (
        event == "open"
        and isinstance(flags, int)
        and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        writes = True
    if writes or event.startswith((*_EXECUTED, *_WRITTEN)):
        _watched[0].append(f"{event} {str(arguments)[:100]}")


def _forget_peak() -> None:
    """Let the peak of memory start afresh, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str) -> int:
    """Bytes in memory now (VmRSS), or at most since the peak was forgotten (VmHWM).

    Where the system does not tell, the peak of all cases together stands for both.
    """
    with contextlib.suppress(OSError):
        found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
