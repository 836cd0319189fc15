"""Every two options of `charrnn score`: both do something, or one line says what does not go."""

import io
import itertools
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import charrnn
from charrnn import cli
from charrnn.errors import CharRNNError
from charrnn.ids import EOS
from charrnn.storage import checkpoint

TEXT = "hello held\nhello; the old\nwe held the door, well\nzzz\n"
OPTIONS = {  # and what is typed
    "TEXT": ("he held", "the z"),
    "-": ("-",),
    "--file": ("--file", "text.txt"),
    "several -c": ("-c", "other.npz"),
    "--field": ("--field", "text"),
    "--lines": ("--lines",),
    "--whole": ("--whole",),
    "--split-on": ("--split-on", ";"),
    "--eos": ("--eos",),
    "--no-eos": ("--no-eos",),
    "--given": ("--given", "he "),
    "--per-char": ("--per-char",),
    "--per-word": ("--per-word",),
    "--html": ("--html", "x.html"),
    "--svg": ("--svg", "x.svg"),
    "--total": ("--total",),
    "--streams": ("--streams", "2"),
    "--adapt": ("--adapt",),
    "--part": ("--part", "network"),
    "--json": ("--json",),
    "--tsv": ("--tsv",),
    "--sort": ("--sort",),
    "--fail-over": ("--fail-over", "0.1"),
}
DEFAULTS = {"-", "--lines", "--eos"}  # alone they change nothing
SCORE = typer.main.get_command(cli.app).commands["score"]  # type: ignore[attr-defined]
# Pairs of which one alone says as much.
SAYS_AS_MUCH = {
    ("TEXT", "--whole"), ("TEXT", "--split-on"),  # which say how files are cut
    ("--field", "--json"),  # the first is meant by the second
    ("--per-char", "--total"), ("--per-word", "--total"),  # a sum
    ("--whole", "--streams"),  # which are faster
    ("--whole", "--sort"), ("--split-on", "--sort"),  # of one text
}  # fmt: skip

Outcome = tuple[int, str, str, dict[str, str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that has all parts, and another one, under which texts end sooner."""
    folder = tmp_path_factory.mktemp("models")
    found = charrnn.train(TEXT * 9, lines=True, steps=1, hidden_size=4, ngram=2, threads=1)
    found.save(folder / "model.npz")
    found.checkpoint.model.arrays["head.weight"][EOS, 0] += 1  # its bias
    found.save(folder / "other.npz")
    return folder


@pytest.fixture
def outcome(
    models: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """A function that scores with some options: exit code, stdout, stderr and files."""
    for model in models.iterdir():
        (folder / model.name).symlink_to(model)
    lines = [f'{{"text": "{line}"}}\n' for line in TEXT.splitlines()]
    (folder / "text.txt").write_text("".join(lines[1:]))
    (folder / "stdin").write_text("".join(lines))
    monkeypatch.setattr(checkpoint, "load", cache(checkpoint.load))
    inputs = {*folder.iterdir()}

    def run(*names: str) -> Outcome:
        arguments = ["-c", "model.npz", "--threads", "1"]
        arguments += itertools.chain.from_iterable(OPTIONS[name] for name in names)
        stdin = io.BytesIO((folder / "stdin").read_bytes())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
        code, said = 0, ""
        try:
            with SCORE.make_context("score", arguments) as context:
                SCORE.invoke(context)
        except typer.Exit as error:
            code = error.exit_code
        except CharRNNError as error:
            code, said = error.exit_code, str(error)
        found = capsys.readouterr()
        files = {path.name: path.read_text() for path in {*folder.iterdir()} - inputs}
        for name in files:
            (folder / name).unlink()
        return code, found.out, found.err + said, files

    return run


@pytest.mark.slow
def test_every_two_options_do_something_or_are_refused(outcome: Any) -> None:
    alone = {name: outcome(name) for name in OPTIONS}
    silent, refused = set(), 0
    for pair in itertools.combinations(OPTIONS, 2):
        found = outcome(*pair)
        code, out, said, files = found
        assert code in (0, 2, 3), pair
        if code == 2:
            assert (out, files) == ("", {}), pair
            assert said, pair
            assert "\n" not in said
            refused += 1
        elif found in (alone[pair[0]], alone[pair[1]]) and not DEFAULTS & {*pair}:
            silent.add(pair)
    assert silent <= SAYS_AS_MUCH
    assert refused > 50
