"""Two programs timed in turn, so that what else the machine does meets both alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from charrnn.parallel.threads import Workers

Step = Callable[[], object]

_ROOF = 2048  # rows and columns of the product that measures the roof


@dataclass(frozen=True)
class Ratio:
    """How many times faster the first of two programs is, round by round."""

    rounds: list[float]
    seconds: float  # of one call of the first program, the median

    @property
    def median(self) -> float:
        """Of all rounds."""
        return statistics.median(self.rounds)

    def __str__(self) -> str:
        low, high = min(self.rounds), max(self.rounds)
        return f"{self.median:5.2f}x  (min {low:.2f}, max {high:.2f})"


def rate(step: Step, seconds: float) -> float:
    """Seconds of one call, over as many calls as fit into `seconds`."""
    start, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds or not calls:
        step()
        calls += 1
    return spent / calls


def compare(ours: Step, theirs: Step, rounds: int, seconds: float) -> Ratio:
    """Time A B A B ..., each for `seconds` a round, after a round to warm up."""
    for step in (ours, theirs):
        rate(step, seconds / 2)
    pairs = [(rate(ours, seconds), rate(theirs, seconds)) for _ in range(rounds)]
    return Ratio([b / a for a, b in pairs], statistics.median(a for a, _ in pairs))


def roof(workers: Workers, threads: int) -> float:
    """Flop a second of one float32 product of 2048³, its columns shared out among the threads."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, _ROOF, _ROOF)).astype(np.float32)
    parts = [part.copy() for part in np.array_split(b, threads, axis=1)]

    def product() -> None:
        workers.map(lambda part: a @ part, parts)

    return 2 * _ROOF**3 / min(rate(product, 0.5) for _ in range(3))
