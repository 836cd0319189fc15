"""How training scales over processes: measured for two of them, modelled for more.

Letters: N ranks, B streams of all of them, P parameters.

A step takes the gradient of B / N streams, and one Allreduce of P numbers. By the best algorithms
(Thakur et al. 2005) that takes 2·log2(N) messages one after another and moves 2·(N - 1)/N·4·P
bytes out of each rank and as many in. Three collectives of a few bytes come on top: the loss, and
what rank 0 and the signals say. Nothing overlaps, as the gradient of the lowest layer, which is all
of it in a network of one layer, is there only when the step is over.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charrnn.config import ModelConfig
from charrnn.network.parameters import Parameters
from charrnn.parallel.processes import World, world
from charrnn.parallel.threads import Workers, one_blas_thread
from tests.benchmarks import rows
from tests.benchmarks.charrnn_side import training
from tests.benchmarks.harness import Side
from tests.benchmarks.side import Step, Task

MODELS = {"lstm 1x256": (1, 256), "lstm 2x1024": (2, 1024)}
STREAMS = 32  # a rank, where the batch grows with the ranks
BATCH = 256  # of all ranks, where it does not
RANKS = (2, 4, 8, 16, 32, 64, 128, 256)
_SMALL = 3  # collectives of a few bytes in a step


@dataclass(frozen=True)
class Network:
    """What carries messages: seconds that one takes at least, and bytes a second."""

    name: str
    latency: float
    bandwidth: float

    def allreduce(self, ranks: int, num_bytes: float) -> float:
        """Seconds of an Allreduce."""
        moved = 2 * (ranks - 1) / ranks * num_bytes
        return 2 * math.log2(ranks) * self.latency + moved / self.bandwidth

    def step(self, ranks: int, num_bytes: float) -> float:
        """Seconds of all that the ranks tell each other in a step."""
        return self.allreduce(ranks, num_bytes) + _SMALL * self.allreduce(ranks, 16)


# 10 Gb/s through the kernel, and 100 Gb/s (HDR100) past it.
NETWORKS = (
    Network("Ethernet", 30e-6, 1.1e9),
    Network("InfiniBand", 2e-6, 11e9),
)


def task_of(name: str, batch_size: int) -> Task:
    """The training of a model in chunks of 64 steps."""
    return rows.training(rows.model("lstm", *MODELS[name]), batch_size, 64)[1]


def alone(name: str, batch_size: int, threads: int, seconds: float) -> float:
    """Seconds of a step of one process."""
    task = task_of(name, batch_size) | {"threads": threads}
    with Side("charrnn", task) as side:
        side.rate(seconds / 4)
        return float(batch_size * task["seq_len"] / side.rate(seconds))


def as_ranks(seconds: float) -> dict[str, float]:
    """What ranks measure together: a step of each model, and Allreduce of its parameters."""
    ranks, found = world(), {}
    with one_blas_thread(), Workers(1, ranks) as workers:
        for name in MODELS:
            step, _ = training(task_of(name, STREAMS * ranks.size), workers)
            found[name] = _rate_of_all(step, seconds, ranks)
            found[f"{name} sum"] = _rate_of_all(_sum(_num_bytes(name), ranks), seconds, ranks)
    found["small sum"] = _rate_of_all(_sum(16, ranks), seconds / 4, ranks)
    return found


def _sum(num_bytes: int, ranks: World) -> Step:
    array = np.zeros(num_bytes // 4, np.float32)

    def step() -> float:
        ranks.sum(array)
        return num_bytes

    return step


def _rate_of_all(step: Step, seconds: float, ranks: World) -> float:
    """Seconds of a step, with as many calls at every rank."""
    step()
    calls = ranks.broadcast(math.ceil(seconds / max(rate_of(step, 1), 1e-6)))
    return rate_of(step, calls)


def rate_of(step: Step, calls: int) -> float:
    """Seconds of one of so many calls."""
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - start) / calls


def _num_bytes(name: str) -> int:
    return Parameters(ModelConfig(**rows.model("lstm", *MODELS[name]))).flat.nbytes


def of_two_ranks(seconds: float) -> dict[str, float]:
    """What two ranks on this machine measure."""
    beside = Path(sys.executable).with_name("mpiexec")
    launcher = str(beside) if beside.exists() else "mpiexec"
    command = [launcher, "-n", "2", sys.executable, "-m", __name__, str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(seconds: float) -> Iterator[str]:
    """Two ranks of one thread each against one process, and against what the model says."""
    pair = of_two_ranks(seconds)
    for name in MODELS:
        small, large = pair["small sum"], pair[f"{name} sum"]
        here = Network("this machine", small / 2, _num_bytes(name) / max(large - small, 1e-9))
        one = alone(name, STREAMS, 1, seconds)
        threads = alone(name, 2 * STREAMS, 2, seconds)
        expected = one + here.step(2, _num_bytes(name))
        yield (
            f"{name}, {STREAMS} streams a rank: one rank {one * 1e3:.1f} ms, two "
            f"{pair[name] * 1e3:.1f} ms (efficiency {one / pair[name]:.0%}; expected "
            f"{expected * 1e3:.1f} ms, {one / expected:.0%}), two threads of one process "
            f"{threads * 1e3:.1f} ms; Allreduce of {_num_bytes(name) / 1e6:.1f} MB "
            f"{large * 1e3:.2f} ms, of 16 bytes {small * 1e6:.0f} us"
        )


def modelled(seconds: float) -> Iterator[str]:
    """The efficiency to be expected, by the number of ranks; what a step moves out of each."""
    yield f"{'ranks':<42}" + "".join(f"{N:>6}" for N in RANKS)
    for name in MODELS:
        P = _num_bytes(name)
        times = {
            B: alone(name, B, 1, seconds) for B in {*(BATCH // N for N in RANKS), STREAMS, BATCH}
        }
        moved = "".join(f"{2 * (N - 1) / N * P / 1e6:6.1f}" for N in RANKS)
        yield f"{name + ', MB a step':<42}{moved}"
        for network in NETWORKS:
            said = {N: network.step(N, P) for N in RANKS}
            grown = [times[STREAMS] / (times[STREAMS] + said[N]) for N in RANKS]
            shared = [times[BATCH] / N / (times[BATCH // N] + said[N]) for N in RANKS]
            for title, found in ((f"{STREAMS} a rank", grown), (f"{BATCH} in all", shared)):
                cells = "".join(f"{efficiency:6.0%}" for efficiency in found)
                yield f"{name + ', ' + network.name + ', ' + title:<42}{cells}"


if __name__ == "__main__":
    figures = as_ranks(float(sys.argv[1]))
    if world().speaks:
        print(json.dumps(figures))
