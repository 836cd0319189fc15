"""What has to be measured in processes of its own: memory, start-up, and a busy neighbour."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from charrnn.config import TrainConfig
from charrnn.parallel.threads import Workers
from tests.benchmarks.harness import rate
from tests.benchmarks.workload import configured, our_step

# The peak of this process alone; what getrusage tells may be that of the process it came from.
_PEAK = "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"


def _seconds(*command: str) -> float:
    """Wall-clock time of a command, the median of seven runs."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def help_after_typer() -> float:
    """Seconds that `charrnn --help` takes beyond the import of Typer."""
    ours = _seconds(sys.executable, "-m", "charrnn", "--help")
    return ours - _seconds(sys.executable, "-c", "import typer")


def peak_memory(code: str) -> int:
    """Peak resident bytes of a Python process that runs `code`, where there is a /proc."""
    program = f"import re\n{code}\n{_PEAK}"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return int(done.stdout.splitlines()[-1]) << 10


def training_memory() -> Iterator[tuple[str, int, int]]:
    """(what, bytes of charrnn, bytes of PyTorch) of a few training steps, import included."""
    for num_layers, hidden_size, batch_size in ((2, 256, 50), (2, 512, 64)):
        shape = f"*configured('lstm', {num_layers}, {hidden_size}, {batch_size}, {batch_size})"
        ours = (
            "from charrnn.parallel.threads import Workers, use_one_blas_thread\n"
            "use_one_blas_thread()\n"
            "from tests.benchmarks.workload import configured, our_step\n"
            f"step = our_step({shape}, Workers())\n"
        )
        theirs = (
            "from tests.benchmarks.peers import torch_step\n"
            "from tests.benchmarks.workload import configured\n"
            f"step = torch_step({shape}, 1.0)\n"
        )
        run = "for _ in range(5): step()"
        name = f"lstm {num_layers}x{hidden_size}, batch {batch_size}, seq {batch_size}"
        yield name, peak_memory(ours + run), peak_memory(theirs + run)


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Another process that keeps one of the cores busy, bound to it where the system can."""
    bind = "import os; hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, {%d})\n"
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    process = subprocess.Popen([sys.executable, "-c", bind % core + "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def beside_a_busy_process(rounds: int, seconds: float) -> list[float]:
    """The rate of lstm 2x256, batch 64 on all threads by that on one, a core being busy."""
    model, train = configured("lstm", 2, 256, 64, 64)
    with Workers() as many, Workers(1) as one, busy_core():
        steps = our_step(model, train, many), our_step(model, train, one)
        for step in steps:
            rate(step, seconds / 2)
        pairs = [[rate(step, seconds) for step in steps] for _ in range(rounds)]
    return [single / threaded for threaded, single in pairs]


def whole_command() -> tuple[float, float]:
    """Characters a second of the loop of `charrnn train`, and of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "charrnn", "train", "--json", "-q"]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "-o", f"{folder}/model.npz"], check=True, capture_output=True, text=True
        )
        seconds = time.perf_counter() - start
    result = json.loads(done.stdout)
    chars = result["steps"] * TrainConfig.batch_size * TrainConfig.seq_len
    return result["chars_per_sec"], chars / seconds


def validation_bits(text: str, *options: str) -> float:
    """Bits per character on the part of a text that `charrnn train` holds out."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "text.txt")
        file.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "charrnn", "train", str(file), "--json", "-q", *options]
        done = subprocess.run(
            [*command, "-o", f"{folder}/model.npz"], check=True, stdout=subprocess.PIPE
        )
    found: float = json.loads(done.stdout)["val_bits_per_char"]
    return found


def score_a_large_file(megabytes: int, *options: str) -> tuple[float, int]:
    """Seconds and peak bytes of scoring a whole file of random words."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "text.txt")
        file.write_text(_words(megabytes << 20), encoding="utf-8")
        arguments = ["charrnn", "score", "--file", str(file), "--whole", "--total", *options]
        code = f"import sys; sys.argv = {arguments}\nfrom charrnn.cli import main; main()"
        start = time.perf_counter()
        peak = peak_memory(code)
        return time.perf_counter() - start, peak


def _words(size: int) -> str:
    rng = np.random.default_rng(0)
    words = ["".join(map(chr, rng.integers(97, 123, length))) for length in rng.integers(2, 9, 999)]
    text = " ".join(words[index] for index in rng.integers(len(words), size=size // 6))
    return (text + " ")[:size]
