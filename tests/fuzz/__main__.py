"""`python -m tests.fuzz KIND`: attack charrnn and print what came of it."""

import argparse
from pathlib import Path

from charrnn.parallel import threads

KINDS = ("checkpoints", "runs", "corpora", "options")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kind", choices=KINDS, help="hostile files, or options at random")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    of_files = parser.add_argument_group("checkpoints and runs")
    of_files.add_argument("--first", type=int, default=0, help="number of the first case")
    of_files.add_argument("--case", type=int, help="run this one alone")
    of_files.add_argument("--keep", type=Path, help="write the file of --case here")
    of_files.add_argument("--seconds", type=float, default=2.0, help="that a step may take")
    return parser.parse_args()


def run() -> int:
    """Run the cases; 1 if there is a defect."""
    options = parse()
    threads.use_one_blas_thread()
    if options.kind in ("checkpoints", "runs"):
        return _files(options)
    if options.kind == "corpora":
        from tests.fuzz.corpora import main

        return min(1, main(options.cases, options.seed))
    from tests.fuzz.options import defects

    found = [f"{case}\n  {what}" for case, what in defects(options.seed, options.cases)]
    print(*found, f"{options.cases} command lines and what follows: {len(found)} defects", sep="\n")
    return min(1, len(found))


def _files(options: argparse.Namespace) -> int:
    from tests.fuzz import harness
    from tests.fuzz.checkpoints import CHECKPOINTS
    from tests.fuzz.runs import RUNS

    kind = {"checkpoints": CHECKPOINTS, "runs": RUNS}[options.kind]
    if options.keep is not None and options.case is not None:
        _, made = harness.hostile(kind, options.seed, options.case)
        made(options.keep) if callable(made) else options.keep.write_bytes(made)
    first, stop = options.first, options.first + options.cases
    cases = range(first, stop) if options.case is None else [options.case]
    report = harness.run(kind, options.seed, cases, options.seconds)
    print(*report.lines(), sep="\n")
    return 1 if report.defects else 0


if __name__ == "__main__":
    raise SystemExit(run())
