"""The README keeps its word: its commands, and that nothing is left out of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The lines of the README's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def test_ci_runs_exactly_the_test_command() -> None:
    (command,) = [line for line in commands() if "pytest" in line]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_one_command_sets_up_and_runs_the_main_job() -> None:
    assert any(
        line.startswith("python3 -m venv") and line.endswith("charrnn train") for line in commands()
    )


@pytest.mark.parametrize("command", ["train", "sample", "score", "inspect"])
def test_every_command_is_documented_with_its_options(command: str) -> None:
    assert f"charrnn {command}" in README
    text = subprocess.run(
        [sys.executable, "-m", "charrnn", command, "--help"],
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
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert "minutes=0.1" in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace("minutes=0.1", "steps=3")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]


def test_the_documents_of_the_folders_exist() -> None:
    for folder in ("charrnn", "corpora", "checkpoints"):
        assert (ROOT / folder / "README.md").read_text(encoding="utf-8").startswith("# ")
        assert f"{folder}/README.md" in README
