from collections.abc import Sequence
from pathlib import Path

import pytest

from charrnn.config import LINES, WHOLE
from charrnn.errors import ConfigError, CorpusError
from charrnn.text.corpus import Corpus, read_corpus
from charrnn.text.sources import Source, names_of, read_source, separator, split_source


def same(found: Corpus, other: Corpus) -> bool:
    return (list(found.documents), found.chars, found.sha256, found.separator) == (
        list(other.documents),
        other.chars,
        other.sha256,
        other.separator,
    )


@pytest.mark.parametrize(
    "text",
    ["a", "ab\ncd\n", "\ufeffa\r\nb\rc\r\n\r\n", "e\u0301\n\n\n", "a\n\nb\nc\n\n\nd", "가" * 9],
)
@pytest.mark.parametrize("cut", [WHOLE, LINES, "\n\n", "b\n"])
def test_a_text_is_what_its_file_is(tmp_path: Path, text: str, cut: str) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(text.encode())
    assert same(read_source(text, cut), read_corpus([str(file)], separator=cut))
    assert same(read_source(file, cut), read_source([file], cut))


def test_a_long_text_is_taken_in_pieces(tmp_path: Path) -> None:
    text = "a line of some words\n" * 30_000
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    assert same(read_source(text, LINES), read_source(tmp_path / "text.txt", LINES))


def test_lines_of_a_list_are_those_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"one\r\n\r\ntwo\nthree")
    with file.open(encoding="utf-8") as lines:
        found = read_source(list(lines), None)
    assert [*found.documents] == ["one", "two", "three"]
    assert found.separator == LINES
    assert found.count_eos


@pytest.mark.parametrize(
    ("documents", "cut"),
    [(["a", "b"], LINES), (["a\n", "b\r\n"], LINES), (["a\nb", "c"], "\n\n"), (["a\n\n"], "\n\n")],
)
def test_what_lies_between_documents_is_what_none_of_them_has(
    documents: Sequence[str], cut: str
) -> None:
    assert read_source(documents, None).separator == cut
    assert read_source(documents, WHOLE).separator == WHOLE


def test_a_name_is_that_of_a_bundled_corpus_or_a_path() -> None:
    assert names_of("hello") == ["hello"]
    assert names_of("helo") is None
    assert names_of(Path("a") / "b") == [str(Path("a") / "b")]
    assert names_of([Path("a"), Path("b")]) == ["a", "b"]
    assert names_of(["a", "b"]) is None
    assert same(read_source("english", None), read_corpus(["english"]))


def test_a_file_name_in_the_place_of_a_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("a", encoding="utf-8")
    Path("folder").mkdir()
    for source in ("text.txt", "folder", ["text.txt", "gone.txt"], ["gone.txt", "text.txt"]):
        with pytest.raises(
            CorpusError, match=r"is the name of a file or folder; pass pathlib\.Path"
        ):
            read_source(source, None)
        with pytest.raises(CorpusError, match=r"is the name of a file"):
            split_source(read_source("some text", None), source, None)
    for source in ("text.txt\n", ["text.txt\n"]):
        assert [*read_source(source, None).documents] == ["text.txt"]
    with pytest.raises(CorpusError, match="is a URL, not a file"):
        read_source("https://example.org/a.txt", None)
    assert [*read_source("https://example.org is a site", None).documents]


@pytest.mark.parametrize("empty", ["", "\n", "\r\n", [], [""], ["\n", ""]])
def test_no_text_is_an_error(empty: Source) -> None:
    with pytest.raises(CorpusError, match="no text"):
        read_source(empty, None)


@pytest.mark.parametrize("wrong", ["\udcff", ["a", "\ud800"]])
def test_what_is_not_unicode_is_an_error(wrong: Source) -> None:
    with pytest.raises(CorpusError, match="not valid Unicode"):
        read_source(wrong, None)


@pytest.mark.parametrize("wrong", [b"bytes", 5, None, [b"a"], ["a", Path("b")], {"a"}])
def test_what_is_no_text_is_an_error(wrong: object) -> None:
    with pytest.raises(ConfigError, match="text"):
        read_source(wrong, None)  # type: ignore[arg-type]


def test_validation_is_a_part_or_another_text() -> None:
    corpus = read_source([f"line {number}" for number in range(100)], None)
    split = split_source(corpus, None, 0.5)
    assert len(split.val) > 40
    assert len(split.train) + len(split.val) == 100
    split = split_source(corpus, "a\nb", None)
    assert [*split.val] == ["a", "b"]  # cut as the text is
    assert len(split.train) == 100
    with pytest.raises(ConfigError, match="val_fraction"):
        split_source(corpus, None, 1.0)


def test_where_a_text_is_cut() -> None:
    assert separator(None, None) is None
    assert (separator(True, None), separator(False, None)) == (LINES, WHOLE)
    assert separator(None, "\r\n\r\n") == "\n\n"
    for lines, split_on, field, words in (
        (True, "x", None, "split_on cannot be combined with lines"),
        (None, "", None, "split_on must be a text"),
        (False, None, "text", "field cannot be combined with lines"),
        (None, "x", "text", "field cannot be combined with split_on"),
    ):
        with pytest.raises(ConfigError, match=words):
            separator(lines, split_on, field)
    assert separator(None, None, "text") is None


def test_fields_and_globs_are_for_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"t": "one"}\n{"t": "two"}\n', encoding="utf-8")
    for source in (tmp_path, tmp_path / "a.jsonl", [tmp_path / "a.jsonl"]):
        corpus = read_source(source, None, field="t")
        assert [*corpus.documents] == ["one", "two"]
    assert [*split_source(corpus, tmp_path, None, field="t", glob="*.jsonl").val] == ["one", "two"]
    assert [*split_source(corpus, ["text"], None, field="t").val] == ["text"]
    assert split_source(corpus, tmp_path, None, glob="*.jsonl").val[0] == '{"t": "one"}'
    for field, glob in (("t", None), (None, "*.md")):
        with pytest.raises(ConfigError, match=r"is for files: give a pathlib\.Path"):
            read_source(["text"], None, field=field, glob=glob)


def test_a_name_means_the_bundled_corpus_whatever_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hello").mkdir()
    assert [*read_source("hello", None).documents] == ["hello"]
