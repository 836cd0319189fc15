"""One side of a comparison in its own process: `python -m tests.benchmarks.side PROGRAM TASK`.

PROGRAM is charrnn, torch or plain, TASK a JSON object. When it is ready, the process prints a JSON
object of facts. Then it answers each line of standard input, a number of seconds, with the units of
work that it does in a second.

Nothing here imports charrnn, NumPy or PyTorch: what PyTorch's process loads is PyTorch alone.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

Task = dict[str, Any]
Facts = dict[str, Any]
Step = Callable[[], float]  # does some work, and says how many units it was

CHARS = 200  # drawn from each stream in a step of sampling


def line_lengths(count: int) -> list[int]:
    """The lengths of lines to score: 10 to 199, equally often."""
    return [10 + index % 190 for index in range(count)]


def rate(step: Step, seconds: float) -> float:
    """Units a second, over as many steps as fit into `seconds`, one at least."""
    start, units, spent = time.perf_counter(), 0.0, 0.0
    while spent < seconds or not units:
        units += step()
        spent = time.perf_counter() - start
    return units / spent


def main(program: str, task: Task) -> None:
    """Prepare the work once, then do it for as long as asked."""
    if program == "charrnn":  # as its command line begins
        import_module("charrnn.parallel.threads").use_one_blas_thread()
    with import_module(f"tests.benchmarks.{program}_side").prepared(task) as (step, facts):
        print(json.dumps(facts), flush=True)
        for line in sys.stdin:
            print(rate(step, float(line)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
