"""The documents keep their word: commands, what they print, links, options."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.documents import (
    DOCUMENTS,
    ROOT,
    Example,
    assert_shown,
    blocks,
    examples,
    missing,
    read,
    renewed,
    session,
    shortened,
)

Printed = dict[Example, str | AssertionError]
GUIDE = "charrnn/cli/README.md"
EVERYWHERE = [*map(str, sorted(path.relative_to(ROOT) for path in ROOT.glob("charrnn/**/*.md")))]
MOST_LINES = {"README.md": 220, "charrnn/README.md": 150}


def commands() -> list[str]:
    """All command lines of the README's blocks."""
    return [line for block in blocks("README.md") for line in block.lines]


def parameters(item: pytest.Item) -> dict[str, Any]:
    """What a test is called with."""
    found: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return found


@pytest.fixture(scope="module")
def printed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Example], str | AssertionError]]:
    """What the examples of the documents that are to be tested print; two sessions at a time."""
    chosen = dict[str, list[Example]]()
    for item in request.session.items:
        if example := parameters(item).get("example"):
            chosen.setdefault(example.document, []).append(example)
    with ThreadPoolExecutor(2) as threads:
        started: dict[str, Future[Printed]] = {
            document: threads.submit(
                session, document, tmp_path_factory.mktemp("reader"), wanted=wanted
            )
            for document, wanted in sorted(chosen.items())
        }
        yield lambda example: started[example.document].result()[example]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a shell and a terminal")
@pytest.mark.parametrize(
    "example", [each for name in DOCUMENTS for each in examples(name)], ids=str
)
def test_every_example_runs_and_prints_what_is_shown(
    example: Example, printed: Callable[[Example], str | AssertionError]
) -> None:
    if names := missing(example):
        pytest.skip(f"needs {' and '.join(names)}")
    found = printed(example)
    if isinstance(found, AssertionError):
        raise found
    if example.compared:
        assert_shown(example.shown, found)


def test_what_is_shown_is_compared_with_what_is_printed() -> None:
    assert_shown("a 1.001\n...\nlast 2 ...\n", "a 1.000\nb\nc\nlast 2 words\n")
    assert_shown("a 1.1\n", "a 1.0\n")
    for shown in ("a 1.2\n", "a 1\nb\n", "...\nb\n", "b ...\n", ""):
        with pytest.raises(AssertionError):
            assert_shown(shown, "a 1.0\n")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("old\n", "one 1\ntwo 2 2\nthree 3\nfour 4\n"),
        ("", "one 1\ntwo 2 2\nthree 3\nfour 4\n"),
        ("a\n...\n", "one 1\n...\n"),
        ("...\na\nb\n", "...\nthree 3\nfour 4\n"),
        ("...\ntwo 0 ...\n...\nfour 0\n", "...\ntwo 2 ...\n...\nfour 4\n"),
        ("a\n...\nthree\n...\n", "one 1\n...\nthree 3\n...\n"),
    ],
)
def test_outputs_are_renewed_in_their_shape(shown: str, expected: str) -> None:
    printed = "one 1\ntwo 2 2\nthree 3\nfour 4\n"
    assert renewed(shown, printed) == expected
    assert_shown(expected, printed)


def test_budgets_are_shortened() -> None:
    few = "--steps {} --evaluations 1".format
    assert shortened("charrnn train x.txt") == f"charrnn train x.txt {few(2)}"
    assert shortened("charrnn train --minutes 5") == f"charrnn train {few(2)}"
    assert shortened("charrnn train --steps 400 -o x.npz") == f"charrnn train {few(4)} -o x.npz"
    assert shortened("charrnn score train") == "charrnn score train"


def test_ci_runs_exactly_the_test_command() -> None:
    (command,) = [line for line in commands() if "pytest" in line]
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert command in map(str.strip, lines)


def test_the_workflow_runs_steps_of_ci_with_every_version_that_is_promised() -> None:
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    steps = re.findall(r"^(\w+)\(\) {", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M)
    called = re.findall(r"run: \.ci/run (.+)", workflow)
    assert {*" ".join(called).split()} == {*steps} - {"environment", "loaded"}
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    versions = [line.split(" :: ")[-1] for line in classifiers if "Python :: 3." in line]
    assert f"python: {json.dumps(versions)}" in workflow


def test_one_command_sets_up_and_runs_the_main_job() -> None:
    assert any(
        line.startswith("python3 -m venv") and line.endswith("charrnn train") for line in commands()
    )


def options(command: str) -> set[str]:
    """The options of a command."""
    text = subprocess.run(
        [sys.executable, "-m", "charrnn", command, "--help-all"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PATH": ""},
    ).stdout
    return set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"}


@pytest.mark.parametrize("command", ["train", "sample", "score", "classify", "inspect", "export"])
def test_every_option_is_in_the_guide(command: str) -> None:
    assert f"charrnn {command}" in read("README.md")
    found = options(command)
    assert len(found) > 1
    assert found - set(re.findall(r"--[a-z][a-z-]+", read(GUIDE))) == set()


@pytest.mark.parametrize("document", MOST_LINES)
def test_what_one_reads_first_is_short(document: str) -> None:
    assert len(read(document).splitlines()) <= MOST_LINES[document]


@pytest.mark.parametrize("document", ["README.md", *EVERYWHERE])
def test_every_link_leads_somewhere(document: str) -> None:
    text = read(document)
    assert text.startswith("# ")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    folder = (ROOT / document).parent
    assert {link for link in links if "://" not in link and not (folder / link).exists()} == set()


@pytest.mark.parametrize("document", EVERYWHERE)
def test_every_document_is_reached_from_the_map(document: str) -> None:
    found = {Path(link) for link in re.findall(r"\]\(([^)]+)\)", read("charrnn/README.md"))}
    assert Path(document).relative_to("charrnn") in found | {Path("README.md")}


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", read("README.md"))
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).read_text(encoding="utf-8").startswith("<")
