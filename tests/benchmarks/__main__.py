"""`python -m tests.benchmarks [NAME]...`: run benchmarks and print a table of each."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from charrnn.parallel import threads

AVX2 = {
    "OPENBLAS_CORETYPE": "Haswell",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, default=5, help="A B pairs of each comparison")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each A and each B")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training in limit")
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("checkpoints/everyday.npz"), help="for ngrams"
    )
    parser.add_argument(
        "--instructions",
        choices=["native", "avx2", "as-is"],
        default="native",
        help="what charrnn's BLAS and PyTorch may both use; as-is leaves the environment alone",
    )
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    return options


def prepare(instructions: str) -> None:
    """Settle what has to be settled before NumPy and PyTorch are imported."""
    if instructions != "as-is":
        for name in AVX2:
            os.environ.pop(name, None)
    if instructions == "avx2":
        os.environ.update(AVX2)
    threads.use_one_blas_thread()


def training(options: argparse.Namespace) -> None:
    """Training steps against PyTorch, and the share of the roof."""
    from charrnn.parallel.threads import Workers
    from tests.benchmarks import harness, training

    with Workers() as workers:
        roof = harness.roof(workers, 2)
        print(f"roof: {roof / 1e9:.0f} GFLOP/s on two cores, sgemm of 2048 cubed")
        found = training.against_torch(workers, options.rounds, options.seconds)
        for name, ratio, rate in found:
            print(f"{name:<30} {ratio} of PyTorch, {rate / roof:4.0%} of the roof", flush=True)


def plain(options: argparse.Namespace) -> None:
    """Training against a plain NumPy loop."""
    from charrnn.parallel.threads import Workers
    from tests.benchmarks import training

    with Workers() as workers:
        for name, ratio in training.against_plain_loop(workers, options.rounds, options.seconds):
            print(f"{name:<40} {ratio} of a plain NumPy loop", flush=True)


def sampling(options: argparse.Namespace) -> None:
    """Sampling against PyTorch, and against the bare matrix products."""
    from charrnn.parallel.threads import Workers
    from tests.benchmarks import inference

    with Workers() as workers:
        found = inference.sampling(workers, options.rounds, options.seconds)
        for name, ratio, bare in found:
            print(f"{name:<26} {ratio} of PyTorch; products alone {bare}", flush=True)


def ngrams(options: argparse.Namespace) -> None:
    """Sampling one text: what the n-gram model beside a network costs."""
    from charrnn.parallel.threads import Workers
    from tests.benchmarks import inference

    with Workers() as workers:
        ratio = inference.beside_ngrams(
            options.checkpoint, workers, options.rounds, options.seconds
        )
    print(f"{options.checkpoint.stem}: {ratio} of the time of the network alone", flush=True)


def scoring(options: argparse.Namespace) -> None:
    """Scoring lines against PyTorch."""
    from charrnn.parallel.threads import Workers
    from tests.benchmarks import harness, inference

    with Workers() as workers:
        roof = harness.roof(workers, 2)
        for name, ratio, rate in inference.scoring(workers, options.rounds, options.seconds):
            print(f"{name:<26} {ratio} of PyTorch, {rate / roof:4.0%} of the roof", flush=True)


def large_file(options: argparse.Namespace) -> None:
    """Scoring large files with the bundled model, in one stream and in eight."""
    from tests.benchmarks import processes

    for megabytes, streams in ((1, 1), (4, 1), (4, 8), (50, 8)):
        seconds, peak = processes.score_a_large_file(megabytes, "--streams", str(streams))
        print(
            f"{megabytes} MB, {streams} streams: {seconds:.0f} s, peak {peak >> 20} MB", flush=True
        )


def busy(options: argparse.Namespace) -> None:
    """Training beside a process that keeps a core busy, by the rate of one thread there."""
    from statistics import median

    from tests.benchmarks import processes

    found = processes.beside_a_busy_process(options.rounds, options.seconds)
    print(f"two threads by one: {median(found):.2f} (min {min(found):.2f}, max {max(found):.2f})")


def command(options: argparse.Namespace) -> None:
    """`charrnn train` from start to end, by the rate of its loop; `charrnn --help`."""
    from tests.benchmarks import processes

    loop, whole = processes.whole_command()
    print(f"charrnn train: {whole / loop:.1%} of the loop's rate from start to end")
    print(f"charrnn --help: {processes.help_after_typer():.3f} s more than importing Typer")


def memory(options: argparse.Namespace) -> None:
    """Peak memory of training."""
    from tests.benchmarks import processes

    for name, ours, theirs in processes.training_memory():
        print(f"{name}: {ours >> 20} MB, PyTorch {theirs >> 20} MB", flush=True)


def growth(options: argparse.Namespace) -> None:
    """How the throughput of training depends on each size."""
    from charrnn.parallel.threads import Workers
    from tests.benchmarks import growth

    with Workers() as workers:
        for line in growth.table(workers, options.seconds):
            print(line, flush=True)


def scaling(options: argparse.Namespace) -> None:
    """Training by processes of MPI: two of them measured, more of them modelled."""
    from tests.benchmarks import scaling

    for line in (*scaling.measured(options.seconds), *scaling.modelled(options.seconds)):
        print(line, flush=True)


def limit(options: argparse.Namespace) -> None:
    """How near training comes to the entropy rate of a known source, in bits a letter."""
    import numpy as np

    from tests.benchmarks.known_source import Source
    from tests.benchmarks.processes import validation_bits

    rng = np.random.default_rng(0)
    source = Source.drawn(rng)
    rate = source.entropy_rate
    print(f"entropy rate {rate:.4f}")
    for k, bits in enumerate(source.entropies_given(8)):
        print(f"entropy given the last {k} letters {bits:.4f}, {bits - rate:+.4f}")
    text = source.text(10_000_000, rng)
    for training in ("--cell ngram", f"--minutes {options.minutes:g}"):
        arguments = f"{training} --val-fraction 0.02"
        bits = validation_bits(text, *arguments.split())
        print(f"charrnn train FILE {arguments}: {bits:.4f}, {bits - rate:+.4f}", flush=True)


BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {
    function.__name__: function
    for function in (
        training, plain, sampling, ngrams, scoring, large_file, busy, command, memory, growth,
        scaling, limit,
    )
}  # fmt: skip


if __name__ == "__main__":
    wanted = parse()
    prepare(wanted.instructions)
    for name in wanted.names or BENCHMARKS:
        print(f"\n{name}: {BENCHMARKS[name].__doc__}", flush=True)
        BENCHMARKS[name](wanted)
