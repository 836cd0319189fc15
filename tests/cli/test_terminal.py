"""No text drives the terminal that it is shown on; a pipe gets it as it is."""

import json
import re
from pathlib import Path

import pytest

from tests.commands import call, on_a_terminal, posix

NASTY = "\x1b[2J\x9b31m\x07\u202e[bold]x[/]\x7f"  # clears, colours, rings, turns around
FORBIDDEN = {*NASTY} - {*"[bold]x/2J31m"}
SIZES = ("--hidden-size", "4", "--steps", "3", "--ngram", "0", "--threads", "1")

pytestmark = [posix, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a nasty text under a nasty name, and files to use it on."""
    folder = tmp_path_factory.mktemp("nasty")
    (folder / f"{NASTY.replace('/', '')}.txt").write_text(f"{NASTY}\n" * 20)
    (folder / "text.txt").write_text(f"{NASTY}\n")
    (folder / "labels.tsv").write_text(f"{NASTY}\tm\n{NASTY}\t{NASTY}\n")
    for output in ("m.npz", f"{NASTY.replace('/', '')}.npz", f"checkpoints/{NAME}.npz"):
        call("train", "--lines", *SIZES, "-o", output, "text.txt", cwd=folder)
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


NAME = NASTY.replace("/", "")
COMMANDS = {
    "sample": ["sample", NASTY, "--seed", "1"],
    "samples": ["sample", NASTY, "--num-samples", "2"],
    "sample --temperature": ["sample", NASTY, "--temperature", "0.5,1"],
    "sample --best": ["sample", NASTY, "--best", "2", "--num-samples", "3"],
    "sample --beam": ["sample", NASTY, "--beam", "2", "--length", "20"],
    "sample --novel": ["sample", NASTY, "--novel", "text.txt", "--novel-min", "1"],
    "sample --json": ["sample", NASTY, "--json"],
    "sample --next": ["sample", NASTY, "--next"],
    "sample --next --json": ["sample", NASTY, "--next", "--json"],
    "sample --prompts": ["sample", "--prompts", "text.txt"],
    "score": ["score", NASTY],
    "score, several": ["score", NASTY, "a"],
    "score --json": ["score", NASTY, "--json"],
    "score --per-char": ["score", NASTY, "--per-char"],
    "score --per-char --json": ["score", NASTY, "--per-char", "--json"],
    "score --file": ["score", "--file", f"{NAME}.txt", "--whole"],
    "score --file --json": ["score", "--file", f"{NAME}.txt", "--whole", "--json"],
    "score --adapt": ["score", NASTY, "--adapt"],
    "score, models": ["score", NASTY, "-c", f"{NAME}.npz"],
    "score, models --json": ["score", NASTY, "-c", f"{NAME}.npz", "--json"],
    "classify": ["classify", NASTY, "-c", f"{NAME}.npz"],
    "classify --json": ["classify", NASTY, "-c", f"{NAME}.npz", "--json"],
    "classify --labels": ["classify", "--labels", "labels.tsv", "-c", f"{NAME}.npz"],
    "inspect": ["inspect"],
    "inspect --json": ["inspect", "--json"],
    "inspect --neuron": ["inspect", "--neuron", "0", f"{NAME}.txt"],
    "inspect --neuron --json": ["inspect", "--neuron", "0", f"{NAME}.txt", "--json"],
}
ALONE = {
    "train": ["train", f"{NAME}.txt", "--sample-every", "1", *SIZES],
    "train --json": ["train", f"{NAME}.txt", "--json", *SIZES],
    "train --dry-run": ["train", f"{NAME}.txt", "--dry-run", *SIZES],
    "train of no file": ["train", f"no{NAME}\n"],
    "train of two": ["train", "text.txt", f"no{NAME}"],
    "train --val": ["train", "text.txt", "--val", f"no{NAME}"],
    "train --output": ["train", "text.txt", "-o", f"text.txt/{NASTY}.npz", *SIZES],
    "train --log": ["train", "text.txt", "--log", NASTY, *SIZES],
    "train --cell": ["train", "text.txt", "--cell", NASTY],
    "train --encoding": ["train", "text.txt", "--encoding", NASTY],
    "inspect of nasty": ["inspect", "-c", f"{NAME}.npz"],
    "inspect of no file": ["inspect", "-c", NASTY],
    "inspect --neuron of no file": ["inspect", "--neuron", "0", f"no{NAME}"],
    "inspect --list": ["inspect", "--list"],
    "inspect --list --json": ["inspect", "--list", "--json"],
    "export": ["export", "-c", f"{NAME}.npz", "-o", f"{NAME}.html"],
    "export to no page": ["export", "-c", "m.npz", "-o", NASTY],
    "inspect of no model": ["inspect", "-c", f"{NAME}.txt"],
    "an option": ["train", f"--{NASTY}"],
    "a command": [NASTY],
}


ALL = {name: [*command, "-c", "m.npz"] for name, command in COMMANDS.items()} | ALONE
IN_PARTS = {
    "sample --next",
    "sample --next --json",
    "score --per-char",
    "inspect",
    "inspect --json",
    "inspect --neuron",
    "inspect --neuron --json",
}
ONE_AFTER_ANOTHER = """
import json, sys
from charrnn.cli import main
for name, command in json.loads(sys.argv[1]).items():
    print(f"<<{name}>>", flush=True)
    sys.argv = ["charrnn", *command]
    main()
"""


@pytest.fixture(scope="module")
def shown(folder: Path) -> dict[str, str]:
    """What each command shows on a terminal, line ends and spaces left out."""
    script = ("-c", ONE_AFTER_ANOTHER, json.dumps(ALL))
    written = on_a_terminal(*script, module=(), cwd=folder, TERM="dumb")
    parts = re.findall(r"<<(.*?)>>\r\n(.*?)(?=<<|$)", written, re.DOTALL)
    return {name: re.sub(r"[\r\n ]", "", text) for name, text in parts}


@pytest.mark.parametrize("name", ALL)
def test_no_command_shows_a_terminal_what_it_obeys(shown: dict[str, str], name: str) -> None:
    text = shown[name].replace(r"\u001b", r"\x1b")
    assert r"\x1b" in text
    assert not FORBIDDEN & {*text}
    assert "[bold]" in text or name in IN_PARTS


def test_a_model_of_controls_writes_them_to_a_pipe_and_spells_them_on_a_terminal() -> None:
    for option in ("--length=200", "--num-samples=20"):
        command = ["sample", "\x1b", "-c", "m.npz", "--seed", "4", option]
        plain = call(*command)
        assert plain.count("\x1b") > plain.count("\n")  # of the model
        shown = on_a_terminal(*command)
        assert shown.count(r"\x1b") == plain.count("\x1b")
        assert not FORBIDDEN & {*shown}


def test_a_pipe_gets_what_a_text_is() -> None:
    (scored,) = call("score", NASTY, "-c", "m.npz").splitlines()
    assert scored.split("\t")[2] == NASTY
    found = json.loads(call("score", NASTY, "-c", "m.npz", "--json"))
    assert found["text"] == NASTY
    asked = call("score", NASTY, "-c", "m.npz", "--per-char")
    assert [line[0] for line in asked.split("\n")[: len(NASTY)]] == [*NASTY]
    label = call("score", NASTY, "-c", "m.npz", "-c", f"{NAME}.npz")
    assert label.split("\t")[2] == f"{NASTY}\n"


def test_more_texts_than_a_table_holds_are_lines(folder: Path) -> None:
    (folder / "many.txt").write_text(f"{NASTY}\n" * 1001)
    shown = on_a_terminal("score", "--file", "many.txt", "-c", "m.npz").splitlines()
    assert len(shown) == 1001
    assert all(line.endswith(r"\x1b[2J\x9b31m\x07\u202e[bold]x[/]\x7f") for line in shown)


def test_a_terminal_gets_no_control_characters(trained: Path) -> None:
    for command in (["sample", "h\x1b[2J", "--length", "0"], ["score", "h\x1b[2J", "--per-char"]):
        shown = on_a_terminal(*command, "-c", trained, NO_COLOR="1")
        assert "\x1b" not in shown
        assert r"\x1b" in shown
