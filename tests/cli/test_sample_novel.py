"""`charrnn sample --novel-only`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli.sample_drawing import Copies
from charrnn.cli.sample_novel import known_documents
from charrnn.config import LINES
from charrnn.errors import CorpusError
from charrnn.storage.checkpoint import load
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
    changed = "or --novel CORPUS: names is not the text that the model was trained on"
    assert_one_line(run("sample", "ann", *model), 1, changed)
    (folder / "names.txt").unlink()
    assert_one_line(run("sample", "ann", *model), 1, "no such file: names.txt")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("charrnn train names.txt --lines -o x", True),
        ("charrnn train -o x --lines names.txt", True),
        ("charrnn train - --lines", False),
        ("charrnn.train(..., steps=3)", False),
        ("charrnn train 'names.txt", False),
        ("charrnn train --no-such-option names.txt", False),
        ("charrnn train", False),
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
        assert known_documents(model, None) == {*NAMES.split()}
    else:
        with pytest.raises(CorpusError, match=r"^--novel-only needs the training text, or"):
            known_documents(model, None)


@pytest.mark.parametrize(
    ("options", "known"),
    [
        (("pets.csv", "--field", "name"), {"anna", "anne\nhanna"}),
        (("notes", "--glob", "*.md", "--lines"), {"anna", "hanna"}),
        (("--lines", "--encoding", "cp949", "cp949.txt"), {"안나", "한나"}),
    ],
)
def test_the_training_text_is_read_as_in_training(
    run: Run, folder: Path, options: tuple[str, ...], known: set[str]
) -> None:
    (folder / "pets.csv").write_text('name,id\nanna,1\n"anne\nhanna",2\n')
    (folder / "notes").mkdir()
    (folder / "notes" / "a.md").write_text("anna\nhanna\n")
    (folder / "cp949.txt").write_text("안나\n한나\n", encoding="cp949")
    assert run("train", *options, *TINY, "-o", "m.npz", "-q").code == 0
    assert known_documents(load(folder / "m.npz"), None) == known


def test_a_named_corpus_goes_first(make_checkpoint: MakeCheckpoint) -> None:
    copies = Copies.of(documents_of(["ab", "c"]), 3)
    assert known_documents(make_checkpoint(), copies) == {"ab", "c"}
