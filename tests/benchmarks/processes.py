"""What has to be measured in processes of its own: memory, start-up, and a busy neighbour."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from charrnn.config import TrainConfig

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


def peak_memory_of(pid: int) -> int:
    """Peak resident bytes of a process and of those that it has started, where there is a /proc."""
    folder = Path("/proc", str(pid))
    peak = re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text())
    children = [
        int(child) for file in folder.glob("task/*/children") for child in file.read_text().split()
    ]
    return (int(peak[1]) << 10 if peak else 0) + sum(map(peak_memory_of, children))


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
