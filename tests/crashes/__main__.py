"""Run with `python -m tests.crashes`: kills, two trainers, readers; exit code 1 at any defect."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.crashes.points import check_points
from tests.crashes.processes import check_kills, check_readers, check_two_trainers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="at random moments")
    parser.add_argument("--steps", type=int, default=300, help="of a run that is killed")
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--saves", type=int, default=100, help="while others read")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    all_defects: list[str] = []

    def report(text: str, defects: Sequence[str]) -> None:
        print(f"{text}: {len(defects)} defects", flush=True)
        all_defects.extend(defects)

    with tempfile.TemporaryDirectory() as folder:
        kills, defects = check_points(Path(folder))
        report(f"{kills} kills at every call that changes the disk", defects)
    with tempfile.TemporaryDirectory() as folder:
        kills, defects = check_kills(Path(folder), args.kills, args.seed, args.steps)
        report(f"{kills} kills at random moments", defects)
    with tempfile.TemporaryDirectory() as folder:
        report("two trainers on one output", check_two_trainers(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        drawn, defects = check_readers(Path(folder), args.readers, args.saves)
        report(f"{drawn} samples, while a trainer saved {args.saves} times", defects)
    for defect in all_defects:
        print(defect)
    return bool(all_defects)


sys.exit(main())
