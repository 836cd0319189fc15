"""Sides in processes of their own, timed in turn, so that what else the machine does meets both."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.benchmarks.side import Facts, Task

_PAUSE = 0.05  # seconds for threads of the other side that still spin
_BUSY = 0.1  # share of the cores that others may use
_LOOK = 0.2  # seconds of each round in which nothing is measured, to see what others do


class Side:
    """A program in a process of its own, which works only while its rate is asked for.

    Args:
        program: charrnn, torch or plain.
        task: what it does.
    """

    def __init__(self, program: str, task: Task) -> None:
        self.task = task
        command = [sys.executable, "-m", f"{__package__}.side", program, json.dumps(task)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @cached_property
    def facts(self) -> Facts:
        """What it says of itself when it is ready."""
        found: Facts = self._answer()
        return found

    def rate(self, seconds: float) -> float:
        """Units a second, mostly characters, over about so many seconds."""
        assert self._process.stdin is not None
        time.sleep(_PAUSE)
        print(seconds, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return json.loads(line)
        self._process.communicate()
        raise SystemExit(f"a side has ended: {self.task}")

    def __enter__(self) -> "Side":
        assert self.facts  # nothing is measured while this side starts
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()  # closes its standard input, which ends it


@dataclass(frozen=True)
class Comparison:
    """The rates of two sides, round by round."""

    ours: Sequence[float]
    theirs: Sequence[float]
    others: float = 0.0  # the share of the cores that other processes used meanwhile

    @property
    def ratios(self) -> list[float]:
        """How many times faster the first side is."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def rate(self) -> float:
        """That of the first side, the median."""
        return statistics.median(self.ours)

    def __str__(self) -> str:
        ratios = self.ratios
        return (
            f"{self.rate:>11,.0f} {statistics.median(self.theirs):>11,.0f} "
            f"{statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def compare(ours: Side, theirs: Side, rounds: int, seconds: float) -> Comparison:
    """Time A B A B ..., each for `seconds` a round, after a round to warm up."""
    for side in (ours, theirs):
        side.rate(seconds / 2)
    first, second, others = [], [], []
    for _ in range(rounds):
        first.append(ours.rate(seconds))
        second.append(theirs.rate(seconds))
        time.sleep(_PAUSE)
        others.append(used_by_others(_LOOK))
    return Comparison(first, second, statistics.mean(others))


def fastest(program: str, tasks: Iterable[Task], seconds: float) -> Side:
    """The fastest of several ways to do the same, as measured twice in turn; the others end."""
    sides = [Side(program, task) for task in tasks]
    for side in sides:
        side.__enter__()
    for side in sides:
        side.rate(seconds / 4)
    rounds = [[side.rate(seconds / 2) for side in sides] for _ in range(2)]
    best = max(zip(map(max, *rounds), sides, strict=True), key=lambda pair: pair[0])[1]
    for side in sides:
        if side is not best:
            side.__exit__()
    return best


def used_by_others(seconds: float) -> float:
    """The share of the cores that other processes use, over the next `seconds`."""
    if not (stat := Path("/proc/stat")).exists():
        return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
    before = _jiffies(stat.read_text())
    time.sleep(seconds)
    idle, total = (b - a for a, b in zip(before, _jiffies(stat.read_text()), strict=True))
    return 1 - idle / total if total else 0.0


def warning(share: float) -> str:
    """What to print where others use so much of the cores; nothing if it is little."""
    return f"WARNING: the machine is busy: others use {share:.0%} of it" if share > _BUSY else ""


def _jiffies(stat: str) -> tuple[int, int]:
    """Idle ticks and all ticks since the machine started, from the text of /proc/stat."""
    numbers = [int(number) for number in stat.split("\n", 1)[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)  # idle and waiting for a disk
