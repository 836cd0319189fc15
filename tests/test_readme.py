"""The README keeps its word: its commands, what they print, and that nothing is left out of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from charrnn.resources import bundled_model
from tests.commands import MODEL_LINE, type_in

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCES = re.compile(r"```.*?```", re.DOTALL)
# What is run elsewhere: by CI word for word, or not at all, as it changes the user's shell.
NOT_RUN = ("python3 -m venv", "source ", "pip install", "curl", "charrnn --install-completion")
NEEDS = {"--plot": "matplotlib", "mpiexec": "mpi4py"}
MODELS = ("checkpoints/english", "dates", "model")
TEXTS = ("poems", "text", "tinyshakespeare")


@dataclass(frozen=True)
class Example:
    """Command lines of the README, and what it shows that the last one prints."""

    lines: tuple[str, ...]
    shown: str


def blocks() -> Iterator[Example]:
    """The shell blocks, each with the output that follows it."""
    for code, shown in re.findall(r"```sh\n(.*?)```(?:\s*```text\n(.*?)```)?", README, re.DOTALL):
        yield Example(tuple(line for line in code.splitlines() if line), shown)


def commands() -> list[str]:
    return [line for block in blocks() for line in block.lines]


def examples() -> list[Example]:
    """What is to be run: the blocks, and the commands within sentences."""
    spoken = re.findall(r"`(charrnn [^`]+)`", FENCES.sub("", README))
    found = [*blocks(), *(Example((" ".join(line.split()),), "") for line in spoken)]
    return [example for example in map(run_here, found) if example.lines]


def run_here(example: Example) -> Example:
    return Example(
        tuple(line for line in example.lines if not line.startswith(NOT_RUN)), example.shown
    )


def shortened(line: str) -> str:
    """The same command with a budget of a few steps."""
    if "charrnn train" not in line:
        return line
    line = re.sub(r"--minutes \S+", "--steps 200", line)
    line = re.sub(r"--steps (\d+)", lambda steps: f"--steps {int(steps[1]) // 100}", line)
    return line if "--steps" in line or "--cell ngram" in line else f"{line} --steps 2"


def make_folder(folder: Path) -> None:
    """What a reader has at hand: a few texts and models, and charrnn on the path."""
    program = folder / "bin" / "charrnn"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m charrnn "$@"\n')
    program.chmod(0o755)
    (folder / "checkpoints").mkdir()
    shutil.copytree(ROOT / "corpora", folder / "corpora")
    for name in MODELS:
        shutil.copy(bundled_model(), folder / f"{name}.npz")
    verses = (folder / "corpora" / "english.txt").read_text(encoding="utf-8")[:3000]
    for name in TEXTS:
        (folder / f"{name}.txt").write_text(verses.replace("\n", "\n\n"), encoding="utf-8")
    (folder / "dates.txt").write_text("March 27, 2019\t2019-03-27\n" * 30)
    (folder / "prompts.txt").write_text("March 28, 2019\t\n")


def printed_by(line: str, folder: Path) -> str:
    """What a command line prints on a terminal, with nothing to read from it."""
    places = (folder / "bin", Path(sys.executable).parent, os.environ["PATH"])
    path = os.pathsep.join(map(str, places))
    environment = {"PATH": path, "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    found = type_in(["bash", "-c", line], folder, environment, stdin=subprocess.DEVNULL)
    assert found.code == 0, found.out
    return MODEL_LINE.sub("", found.out).replace("\r\n", "\n")


def alike(shown: str, printed: str) -> bool:
    """Whether two lines say the same; `...` stands for the rest of a line, numbers may be near."""
    words, others = shown.split(), printed.split()
    if words[-1:] == ["..."]:
        words = words[:-1]
        others = others[: len(words)]
    return len(words) == len(others) and all(map(near, words, others))


def near(word: str, other: str) -> bool:
    if word.startswith(".../"):  # wherever charrnn is installed
        return other.endswith(word[3:])
    try:
        return float(word.strip(",")) == pytest.approx(float(other.strip(",")), rel=0.01)
    except ValueError:
        return word == other


def assert_shown(shown: str, printed: str) -> None:
    """Every line is there, in this order, and between them only what `...` leaves out."""
    rest, skipping = printed.splitlines(), False
    for line in shown.splitlines():
        if line == "...":
            skipping = True
            continue
        while skipping and rest and not alike(line, rest[0]):
            rest.pop(0)
        skipping = False
        assert rest, f"{line!r} is not in {printed!r}"
        assert alike(line, rest[0]), f"{line!r} is now {rest[0]!r}"
        rest.pop(0)
    assert skipping or not rest


def missing(example: Example) -> list[str]:
    """The packages that an example needs and that are not installed."""
    needed = [package for words, package in NEEDS.items() if words in example.lines[-1]]
    return [package for package in needed if not find_spec(package)]


def last_printed(example: Example, folder: Path) -> str:
    """What the last line of an example prints, after all those before it."""
    make_folder(folder)
    return [printed_by(shortened(line), folder) for line in example.lines][-1]


def parameters(item: pytest.Item) -> dict[str, Any]:
    """What a test is called with."""
    found: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return found


@pytest.fixture(scope="module")
def printed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Example], str]]:
    """What the examples that are to be tested print; two of them run at a time."""
    with ThreadPoolExecutor(2) as threads:
        started = {
            example: threads.submit(last_printed, example, tmp_path_factory.mktemp("reader"))
            for item in request.session.items
            if (example := parameters(item).get("example")) and not missing(example)
        }
        yield lambda example: started[example].result()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a shell and a terminal")
@pytest.mark.parametrize("example", examples(), ids=lambda example: example.lines[-1])
def test_every_example_runs_and_prints_what_is_shown(
    example: Example, printed: Callable[[Example], str]
) -> None:
    if names := missing(example):
        pytest.skip(f"needs {' and '.join(names)}")
    found = printed(example)
    own = "checkpoints/english.npz" in example.lines[-1]  # a model that the reader has trained
    if example.shown and not own and shortened(example.lines[-1]) == example.lines[-1]:
        assert_shown(example.shown, found)


def test_what_is_shown_is_compared_with_what_is_printed() -> None:
    assert_shown("a 1.001\n...\nlast 2 ...\n", "a 1.000\nb\nc\nlast 2 words\n")
    for shown in ("a 1.1\n", "a 1\nb\n", "...\nb\n", "b ...\n", ""):
        with pytest.raises(AssertionError):
            assert_shown(shown, "a 1.0\n")


def test_budgets_are_shortened() -> None:
    assert shortened("charrnn train x.txt") == "charrnn train x.txt --steps 2"
    assert shortened("charrnn train --minutes 5") == "charrnn train --steps 2"
    assert shortened("charrnn train --steps 400 -o x.npz") == "charrnn train --steps 4 -o x.npz"
    assert shortened("charrnn score train") == "charrnn score train"


def test_ci_runs_exactly_the_test_command() -> None:
    (command,) = [line for line in commands() if "pytest" in line]
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert command in map(str.strip, lines)


def test_the_workflow_runs_steps_of_ci_with_every_version_that_is_promised() -> None:
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    steps = re.findall(r"^(\w+)\(\) {", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M)
    called = re.findall(r"run: \.ci/run (.+)", workflow)
    assert {*" ".join(called).split()} == {*steps} - {"environment"}
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    versions = [line.split(" :: ")[-1] for line in classifiers if "Python :: 3." in line]
    assert f"python: {json.dumps(versions)}" in workflow


def test_one_command_sets_up_and_runs_the_main_job() -> None:
    assert any(
        line.startswith("python3 -m venv") and line.endswith("charrnn train") for line in commands()
    )


@pytest.mark.parametrize("command", ["train", "sample", "score", "inspect"])
def test_every_command_is_documented_with_its_options(command: str) -> None:
    assert f"charrnn {command}" in README
    text = subprocess.run(
        [sys.executable, "-m", "charrnn", command, "--help-all"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PATH": ""},
    ).stdout
    options = set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"}
    assert len(options) > 1
    missing = sorted(
        option for option in options if f"`{option}" not in README and option not in README
    )
    assert not missing


def test_the_example_for_python_runs(tmp_path: Path) -> None:
    (found,) = re.findall(r"```python\n(.*?)```\s*```text\n(.*?)```", README, re.DOTALL)
    code, shown = found
    assert "minutes=0.1" in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace("minutes=0.1", "steps=3")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert_shown(shown, done.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]


def test_the_documents_of_the_folders_exist() -> None:
    for folder in ("charrnn", "corpora", "checkpoints"):
        assert (ROOT / folder / "README.md").read_text(encoding="utf-8").startswith("# ")
        assert f"{folder}/README.md" in README


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).read_text(encoding="utf-8").startswith("<")
