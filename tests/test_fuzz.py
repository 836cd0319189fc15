"""Hostile files by the thousand, and the harness that makes them: it sees what goes wrong."""

import os
import pickle
import re
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

if os.name != "posix":
    pytest.skip("the harness needs signals and pipes", allow_module_level=True)

from charrnn.errors import CheckpointError
from tests.commands import finish, start
from tests.fuzz import harness, mutations
from tests.fuzz.checkpoints import CHECKPOINTS, training
from tests.fuzz.files import Content

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


PATIENT = "--seconds 20"  # whatever else the machine does
COMMANDS = (
    f"checkpoints --cases 500 {PATIENT}",
    f"checkpoints --first 500 --cases 500 {PATIENT}",
    f"runs --cases 150 {PATIENT}",
    "options --cases 80",
)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Callable[[str], str]]:
    """What the harness says, all at once, each in a process whose memory it measures."""
    started = {
        command: start(*command.split(), module=("-m", "tests.fuzz"), cwd=ROOT)
        for command in COMMANDS
    }

    def finished(command: str) -> str:
        done = finish(started[command], 900)
        assert done.code == 0, done.out + done.err
        return done.out

    yield finished
    for process in started.values():
        process.kill()
        process.communicate()  # which closes its pipes


def test_a_thousand_hostile_checkpoints_do_no_harm(fuzzed: Callable[[str], str]) -> None:
    for command in COMMANDS[:2]:
        figures = re.search(r"500 cases: (\d+) loaded, (\d+) refused", fuzzed(command))
        assert figures
        assert min(map(int, figures.groups())) > 25


def test_hostile_runs_to_resume_do_no_harm(fuzzed: Callable[[str], str]) -> None:
    assert re.search(r"150 cases: \d\d+ loaded, \d\d+ refused", fuzzed(COMMANDS[2]))


def test_options_from_all_over_their_ranges_end_well_or_in_one_line(
    fuzzed: Callable[[str], str],
) -> None:
    assert "0 defects" in fuzzed(COMMANDS[3])


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    for case in range(0, len(CHECKPOINTS.mutations), 5):
        name, made = harness.hostile(CHECKPOINTS, 7, case)
        assert name == CHECKPOINTS.mutations[case].__name__
        assert callable(made) or harness.hostile(CHECKPOINTS, 7, case)[1] == made


# Loaders that do what no loader may do


def fails(path: Path) -> None:
    raise KeyError(path)


def says_much(path: Path) -> None:
    raise CheckpointError("two\nlines")


def writes(path: Path) -> None:
    path.with_suffix(".other").write_text("x")


def removes(path: Path) -> None:
    path.unlink()


def executes(path: Path) -> None:
    pickle.loads(pickle.dumps(mutations.Touch()))


def starts(path: Path) -> None:
    subprocess.run(["true"], check=False)


def warns(path: Path) -> None:
    warnings.warn("overflow", RuntimeWarning, stacklevel=1)


def computes(path: Path) -> None:
    end = time.process_time() + 0.6
    while time.process_time() < end:
        pass


def waits(path: Path) -> None:
    time.sleep(60)


def hoards(path: Path) -> None:
    np.ones(60_000_000)


def as_it_is(content: Content, rng: np.random.Generator) -> bytes:
    return content.pack()


@pytest.mark.parametrize(
    ("load", "seconds", "words"),
    [
        (fails, 20, "KeyError"),
        (says_much, 20, "no short line"),
        (writes, 20, "it did open"),
        (removes, 20, "it did os.remove"),
        (executes, 20, "it did pickle"),
        (starts, 20, "it did subprocess"),
        (warns, 20, "RuntimeWarning"),
        (computes, 0.5, "of the processor"),
        (waits, 0.2, "does not end"),
        (hoards, 20, "MB of memory"),
    ],
)
def test_the_harness_sees_harm(load: Callable[[Path], None], seconds: float, words: str) -> None:
    calls = []

    def harmful(path: Path) -> None:
        calls.append(path)
        if len(calls) > 1:  # the first file is a genuine one
            load(path)

    kind = harness.Kind(CHECKPOINTS.base, [as_it_is], harmful)
    ((case, name, what),) = harness.run(kind, 0, [3], seconds).defects
    assert (case, name) == (3, "as_it_is")
    assert words in what


def test_genuine_files_work(monkeypatch: pytest.MonkeyPatch) -> None:
    warm_up = harness._warm_up  # what it measures is of all tests before this one too
    monkeypatch.setattr(harness, "_warm_up", lambda kind: 0 * warm_up(kind))
    kind = harness.Kind(CHECKPOINTS.base, [as_it_is], CHECKPOINTS.load, CHECKPOINTS.commands)
    report = harness.run(kind, 0, range(20), seconds=20)
    assert report.loaded.total() == 20
    assert report.unusable == 0
    assert not report.defects


def test_the_harness_sees_what_a_terminal_would_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charrnn.render.display.visible", lambda text: text)
    kind = harness.Kind(CHECKPOINTS.base, [training], CHECKPOINTS.load, [("inspect",)])
    defects = harness.run(kind, 0, range(30), seconds=20).defects
    assert any("control character" in what for _, _, what in defects)
