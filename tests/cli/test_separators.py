"""Documents between separators, as `train`, `score` and `inspect` know them."""

from pathlib import Path

import pytest

from charrnn.storage import checkpoint
from tests.commands import TINY, Run

pytestmark = pytest.mark.figures

POEMS = "the sun\nis high\n\nthe moon\nis low\n\n\n\nthe end\n"
DOCUMENTS = ["the sun\nis high", "the moon\nis low", "the end"]


@pytest.fixture
def poems(run: Run, folder: Path) -> float:
    """A model of documents between blank lines, m.npz: the bits of its validation on poems.txt."""
    (folder / "poems.txt").write_text(POEMS)
    command = ("train", "poems.txt", "--split-on", r"\n\n", "--val", "poems.txt", *TINY)
    result = run(*command, "-o", "m.npz", "--json")
    assert "in 3 documents" in result.err
    bits: float = result.objects()[0]["val_bits_per_char"]
    return bits


def test_score_cuts_as_train_did(run: Run, poems: float) -> None:
    command = ("score", "-c", "m.npz", "--file", "poems.txt", "--json")
    found = run(*command).objects()
    assert [fields["text"] for fields in found] == DOCUMENTS
    assert all(fields["eos"] for fields in found)
    (total,) = run(*command, "--total").objects()
    assert total["chars"] == sum(map(len, DOCUMENTS)) + 3
    assert total["bits_per_char"] == pytest.approx(poems, abs=1e-5)
    assert run("score", "hello", "-c", "m.npz", "--json").objects()[0]["eos"]


def test_score_cuts_as_it_is_told(run: Run, poems: float) -> None:
    def texts(*options: str) -> list[str]:
        result = run("score", "-c", "m.npz", "--file", "poems.txt", "--json", *options)
        return [fields["text"] for fields in result.objects()]

    assert texts("--lines") == POEMS.removesuffix("\n").split("\n")
    assert texts("--split-on", r"\n") == texts("--lines")
    assert texts("--whole") == ["poems.txt"]
    assert texts("--split-on", "the ")[1:] == ["moon\nis low\n\n\n\n", "end"]
    (fields,) = run(
        "score", "-c", "m.npz", "--file", "poems.txt", "--json", "--whole", "--streams", "2"
    ).objects()
    assert fields["chars"] == len(POEMS)  # its last newline is left out, its end counts


def test_inspect_says_where_documents_were_cut(run: Run, poems: float) -> None:
    (fields,) = run("inspect", "-c", "m.npz", "--json").objects()
    assert (fields["lines"], fields["separator"]) == (False, "\n\n")
    assert r"documents   files cut at '\n\n'" in run("inspect", "-c", "m.npz").out


@pytest.mark.parametrize(
    ("typed", "separator"),
    [
        (r"\n\n", "\n\n"),
        ("\n", "\n"),
        (r"\r\n\r", "\n\n"),
        (r"a\tb", "a\tb"),
        (r"\\n", r"\n"),
        (r"\d", r"\d"),
        ("e\u0301", "é"),
        ("<end>", "<end>"),
    ],
)
def test_the_text_to_cut_at_is_as_the_corpus_is(
    run: Run, folder: Path, typed: str, separator: str
) -> None:
    (folder / "text.txt").write_text(f"one{separator}two", encoding="utf-8")
    run("train", "text.txt", "--split-on", typed, *TINY, "-o", "m.npz")
    loaded = checkpoint.load("m.npz")
    assert loaded.separator == separator
    assert loaded.training["corpus"]["documents"] == 2
