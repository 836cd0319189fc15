"""`python -m tests.benchmarks [NAME]...`: run benchmarks and print a table of each."""

import argparse
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.benchmarks import rows
from tests.benchmarks.harness import Comparison, Side, compare, fastest, used_by_others, warning
from tests.benchmarks.side import Task


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, default=5, help="A B pairs of each comparison")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each A and each B")
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows with TEXT in them")
    parser.add_argument(
        "--one-thread", action="store_true", help="also hold both sides to one thread"
    )
    parser.add_argument("--lines", type=int, default=10_000, help="number of lines in scoring")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training in limit")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=Path("checkpoints/everyday.npz"),
        help="for parts and loops",
    )
    parser.add_argument("--text", default="stories", help="for ablation")
    parser.add_argument("--steps", type=int, default=600, help="of training in ablation")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    return options


def print_roof() -> float:
    """Print what the machine can do, and return the roof of all cores in flop a second."""
    found = {}
    for threads in (1, None):
        with Side("charrnn", {"kind": "roof", "threads": threads}) as side:
            found[threads] = max(side.rate(0.5) for _ in range(3))
            facts = side.facts
    print(f"NumPy {facts['numpy']}, {facts['blas']}")
    one, every = found[1] / 1e9, found[None] / 1e9
    print(f"roof: {one:.0f} GFLOP/s on one core, {every:.0f} on all {facts['threads']}", flush=True)
    return found[None]


def against_torch(options: argparse.Namespace, wanted: Iterable[rows.Row]) -> None:
    """Print rows against PyTorch, each side in a process of its own."""
    roof, told = print_roof(), False
    for name, task in _wanted(wanted, options):
        with (
            Side("charrnn", task) as ours,
            fastest("torch", rows.ways(task), options.seconds) as theirs,
        ):
            if not told:
                told = True
                print(
                    f"charrnn's threads: {ours.facts['threads']}; PyTorch {theirs.facts['torch']}"
                )
                print(f"{_header('charrnn', 'PyTorch')}   roof  PyTorch's way", flush=True)
            found = compare(ours, theirs, options.rounds, options.seconds)
            way = rows.chosen(theirs.task, theirs.facts["threads"])
            share = found.rate * ours.facts["flop"] / roof
            print(f"{name:<34}{found}  {share:4.0%}  {way}  {warning(found.others)}", flush=True)


def against_itself(
    options: argparse.Namespace, titles: tuple[str, str], wanted: Iterable[tuple[str, Task, Task]]
) -> None:
    """Print rows in which charrnn does two things, each in a process of its own."""
    print(_header(*titles))
    for name, first, second in wanted:
        if options.rows in name:
            with Side("charrnn", first) as ours, Side("charrnn", second) as theirs:
                found = compare(ours, theirs, options.rounds, options.seconds)
                print(f"{name:<34}{found}  {warning(found.others)}", flush=True)


def _header(ours: str, theirs: str) -> str:
    return f"{'characters a second':<34}{ours:>11} {theirs:>11}  ratio (min to max)"


def _wanted(found: Iterable[rows.Row], options: argparse.Namespace) -> Iterable[rows.Row]:
    """The rows that were asked for, those of one thread below each."""
    for name, task in found:
        if options.rows in name:
            yield name, task
            if options.one_thread:
                yield "  one thread each", task | {"threads": 1}


def training(options: argparse.Namespace) -> None:
    """Training against PyTorch."""
    against_torch(options, rows.TRAINING)


def recipe(options: argparse.Namespace) -> None:
    """Training with n-grams, dropout and weight decay, against the bare network."""
    against_itself(options, ("recipe", "bare"), rows.recipe())


def sampling(options: argparse.Namespace) -> None:
    """Sampling against PyTorch; one text also against its bare matrix products on one core."""
    against_torch(options, rows.sampling())
    single = [(name, task) for name, task in rows.sampling() if task["streams"] == 1]
    pairs = [(name, task, task | {"kind": "products"}) for name, task in single]
    against_itself(options, ("charrnn", "products"), pairs)


def parts(options: argparse.Namespace) -> None:
    """Predicting one text step by step: with n-grams, and with the mixture, against the network."""
    task = {"kind": "reading", "checkpoint": str(options.checkpoint), "text": "stories"}
    alone = task | {"part": "network"}
    pairs = [(part, task | {"part": part}, alone) for part in ("n-grams", "mixture")]
    against_itself(options, ("with", "network"), pairs)


def scoring(options: argparse.Namespace) -> None:
    """Scoring lines against PyTorch."""
    against_torch(options, rows.scoring(options.lines))


def busy(options: argparse.Namespace) -> None:
    """Training beside a process that keeps a core busy, against an idle machine."""
    from tests.benchmarks.processes import busy_core

    name, task = rows.training(rows.model("lstm", 2, 256))
    print(_header("busy", "idle"))
    for program, way in (("charrnn", task), ("torch", task | {"onednn": True})):
        with Side(program, way) as side:
            side.rate(options.seconds / 2)
            beside, idle = [], []
            for _ in range(options.rounds):
                idle.append(side.rate(options.seconds))
                with busy_core():
                    beside.append(side.rate(options.seconds))
        print(f"{f'{program}, {name}':<34}{Comparison(beside, idle)}", flush=True)


def plain(options: argparse.Namespace) -> None:
    """Training against a plain NumPy loop, of one stream and of as many."""
    print(_header("charrnn", "loop"))
    name, task = rows.training(rows.model("rnn", 1, 256))
    for streams in (1, task["batch_size"]):
        loop = task | {"batch_size": streams}
        with Side("charrnn", task) as ours, Side("plain", loop) as theirs:
            found = compare(ours, theirs, options.rounds, options.seconds)
            print(f"{f'{name}, its streams: {streams}':<34}{found}", flush=True)


def growth(options: argparse.Namespace) -> None:
    """How the throughput of training depends on each size."""
    for name, task in rows.growth():
        with Side("charrnn", task) as side:
            side.rate(options.seconds / 2)
            rate = statistics.median(side.rate(options.seconds) for _ in range(options.rounds))
            flop = rate * side.facts["flop"] / 1e9
            print(f"{name:<20} {rate:>9,.0f} characters/s, {flop:6.1f} GFLOP/s", flush=True)


def memory(options: argparse.Namespace) -> None:
    """Peak memory of training."""
    from tests.benchmarks.processes import peak_memory_of

    for name, task in rows.TRAINING:
        if options.rows in name:
            peaks = []
            for program, way in (("charrnn", task), ("torch", task | {"onednn": True})):
                with Side(program, way) as side:
                    side.rate(options.seconds)
                    peaks.append(peak_memory_of(side.pid) >> 20)
            print(f"{name:<34}{peaks[0]:>6} MB, PyTorch {peaks[1]} MB", flush=True)


def command(options: argparse.Namespace) -> None:
    """`charrnn train` from start to end, by the rate of its loop; `charrnn --help`."""
    from tests.benchmarks import processes

    loop, whole = processes.whole_command()
    print(f"charrnn train: {whole / loop:.1%} of the loop's rate from start to end")
    print(f"charrnn --help: {processes.help_after_typer():.3f} s more than importing Typer")


def large_file(options: argparse.Namespace) -> None:
    """Scoring large files with the bundled model, in one stream and in eight."""
    from tests.benchmarks import processes

    for megabytes, streams in ((1, 1), (4, 1), (4, 8), (50, 8)):
        seconds, peak = processes.score_a_large_file(megabytes, "--streams", str(streams))
        print(
            f"{megabytes} MB, {streams} streams: {seconds:.0f} s, peak {peak >> 20} MB", flush=True
        )


def scaling(options: argparse.Namespace) -> None:
    """Training by processes of MPI: two of them measured, more of them modelled."""
    from tests.benchmarks import scaling

    for line in (*scaling.measured(options.seconds), *scaling.modelled(options.seconds)):
        print(line, flush=True)


def ablation(options: argparse.Namespace) -> None:
    """What parts of a mixture are worth: bits per character of --text without each, two seeds."""
    from tests.benchmarks.ablation import ablation as without

    seeds = [without(options.text, options.steps, seed) for seed in (0, 1)]
    for parts in zip(*seeds, strict=True):
        figures = "  ".join(f"{bits:.4f}" for _, bits in parts)
        print(f"{options.text}, without {parts[0][0]}: {figures}", flush=True)


def loops(options: argparse.Namespace) -> None:
    """How much of drawn text repeats itself, with what --checkpoint remembers and without."""
    from tests.benchmarks.loops import repeated

    print("temperature  mixture  without memory")
    for temperature in (0.3, 0.5, 0.8, 1.0):
        found, without = repeated(options.checkpoint, temperature)
        print(f"{temperature:>11}  {found:>7.1%}  {without:>14.1%}", flush=True)


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
        training, recipe, sampling, parts, scoring, busy, plain, growth, memory, command,
        large_file, scaling, ablation, loops, limit,
    )
}  # fmt: skip


if __name__ == "__main__":
    wanted = parse()
    for name in wanted.names or BENCHMARKS:
        print(f"\n{name}: {BENCHMARKS[name].__doc__}", flush=True)
        if said := warning(used_by_others(1.0)):
            print(said, flush=True)
        BENCHMARKS[name](wanted)
