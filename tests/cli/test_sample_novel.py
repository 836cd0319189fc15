"""`charrnn sample --novel-only`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli.sample_drawing import Copies
from charrnn.cli.sample_novel import known_documents
from charrnn.config import LINES
from charrnn.errors import CorpusError
from charrnn.text.corpus import read_corpus
from tests.commands import TINY, Run, assert_one_line
from tests.conftest import MakeCheckpoint, documents_of

NAMES = "anna\nanne\nhanna\n"


def test_no_text_is_a_whole_line_of_the_corpus(run: Run, trained: Path, folder: Path) -> None:
    command = ("sample", "h", "-c", trained, "--seed", "1", "--num-samples", "30", "-n", "7")
    plain = [item["text"] for item in run(*command, "--json").objects()]
    (folder / "novel.txt").write_text("\n".join(plain[::3]))
    only = (*command, "--novel", "novel.txt", "--novel-only")
    found = run(*only, "--json").objects()
    assert {*plain[::3]}.isdisjoint(item["text"] for item in found)
    assert [item["seed"] for item in found] == [*range(1, 31)]
    same = [new["text"] == old for new, old in zip(found, plain, strict=True)]
    assert same == [old not in plain[::3] for old in plain]
    best = run(*only, "--best", "3", "--json").objects()
    assert {*plain[::3]}.isdisjoint(item["text"] for item in best)


def test_a_single_text_is_drawn_again_too(run: Run, trained: Path, folder: Path) -> None:
    command = ("sample", "h", "-c", trained, "--seed", "1", "-n", "7")
    text = run(*command).out
    (folder / "novel.txt").write_text(text)
    shown = run(*command, "--novel", "novel.txt", "--novel-only").out
    assert shown.splitlines()[0] != text.strip("\n")
    greedy = run(*command[:4], "-t", "0", "-n", "3").out
    (folder / "novel.txt").write_text(greedy)
    result = run(*command[:4], "-t", "0", "-n", "3", "--novel", "novel.txt", "--novel-only")
    assert_one_line(result, 1, "--temperature 0 writes nothing else")


def test_the_training_text_is_compared_with_unless_another_is_named(run: Run, folder: Path) -> None:
    (folder / "names.txt").write_text(NAMES * 40)
    model = ("-c", "names.npz", "--novel-only", "--num-samples", "20", "-n", "2", "--seed", "1")
    assert run("train", "names.txt", "--lines", *TINY, "-o", "names.npz", "-q").code == 0
    result = run("sample", "ann", *model)
    assert result.code == 0
    assert not {*result.out.split()} & {*NAMES.split()}
    (folder / "names.txt").write_text(NAMES)
    changed = "the model was trained on another text than names is now; --novel names the text"
    assert_one_line(run("sample", "ann", *model), 1, changed)
    (folder / "names.txt").unlink()
    assert_one_line(run("sample", "ann", *model), 1, "no such file: names.txt")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("charrnn train names.txt --lines -o x", True),
        ("charrnn train -o x names.txt", False),
        ("charrnn train - --lines", False),
        ("charrnn.train(..., steps=3)", False),
        ("charrnn train 'names.txt", False),
        ("", False),
    ],
)
def test_the_command_says_where_the_training_text_is(
    folder: Path, make_checkpoint: MakeCheckpoint, command: str, found: bool
) -> None:
    (folder / "names.txt").write_text(NAMES)
    sha256 = read_corpus(["names.txt"], separator=LINES).sha256
    training: dict[str, Any] = {"command": command, "corpus": {"sha256": sha256}}
    model = replace(make_checkpoint(), training=training)
    if found:
        assert known_documents(model, None, "utf-8", None) == {*NAMES.split()}
    else:
        with pytest.raises(CorpusError, match="--novel names the text to compare with"):
            known_documents(model, None, "utf-8", None)


def test_a_named_corpus_goes_first(make_checkpoint: MakeCheckpoint) -> None:
    copies = Copies.of(documents_of(["ab", "c"]), 3)
    assert known_documents(make_checkpoint(), copies, "utf-8", None) == {"ab", "c"}
