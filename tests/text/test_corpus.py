import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import re
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import LINES, WHOLE
from charrnn.errors import CorpusError
from charrnn.resources import bundled_corpora
from charrnn.text import corpus as module
from charrnn.text import reading
from charrnn.text.corpus import (
    MIN_VALIDATION_CHARS,
    Corpus,
    mark_documents,
    read_corpus,
    read_documents,
    split_corpus,
)
from tests.conftest import corpus_of

posix = pytest.mark.skipif(os.name != "posix", reason="needs links and named pipes")
quick = settings(deadline=None, max_examples=60, derandomize=True)
messy = st.text("ab가\r\n\u2028\x85\v\x1c ", max_size=20)


def written(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def contents(corpus: Corpus) -> tuple[str, list[str], str]:
    """Name, documents, and where they were cut."""
    return corpus.name, [*corpus.documents], corpus.separator


def read_text(text: str, separator: str) -> Corpus:
    """The corpus that a text on standard input is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return read_corpus(["-"], separator=separator)


# Sources to a corpus


def test_a_file_is_one_document_unless_cut_into_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "my.txt", b"\xef\xbb\xbfab\r\n\r\ncd\re\n")
    assert contents(read_corpus([path])) == ("my", ["ab\n\ncd\ne"], WHOLE)
    assert contents(read_corpus([path], separator=LINES)) == ("my", ["ab", "cd", "e"], LINES)


@quick
@given(messy)
def test_no_document_is_empty_and_no_text_is_lost(text: str) -> None:
    standard_input = io.TextIOWrapper(io.BytesIO(text.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", standard_input)
        documents = read_documents("-", LINES)
    assert all(documents)
    assert "".join(documents) == re.sub("[\r\n]", "", text)


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding in ("utf-8", "cp949"):
        data = io.BytesIO("가\r\n나".encode(encoding))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
        assert contents(read_corpus(["-"], encoding=encoding)) == ("stdin", ["가\n나"], WHOLE)


def test_a_folder_is_every_text_file_below_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "B.TXT", "deep/er/c.txt", "notes.md", "d.txt.bak"):
        written(tmp_path, f"texts/{name}", name)
    (tmp_path / "texts" / "folder.txt").mkdir()
    found = read_corpus([str(tmp_path / "texts")])
    assert contents(found) == ("texts", ["B.TXT", "a.txt", "b.txt", "deep/er/c.txt"], WHOLE)


def test_packed_files_of_a_folder_are_read_once(tmp_path: Path) -> None:
    written(tmp_path, "texts/b.txt.gz", gzip.compress(b"b"))
    written(tmp_path, "texts/a.txt.xz", lzma.compress(b"a"))
    written(tmp_path, "texts/c/c.txt", "c")
    written(tmp_path, "texts/c/c.txt.bz2", bz2.compress(b"c"))
    written(tmp_path, "texts/d.gz", gzip.compress(b"no text file"))
    found = read_corpus([str(tmp_path / "texts")])
    assert contents(found) == ("texts", ["a", "b", "c"], WHOLE)
    assert read_corpus([str(tmp_path / "texts/b.txt.gz")]).name == "b"


@posix
def test_links_in_folders_neither_loop_nor_break(tmp_path: Path) -> None:
    written(tmp_path, "texts/a.txt", "a")
    (tmp_path / "texts/loop").symlink_to(tmp_path / "texts")
    (tmp_path / "texts/itself.txt").symlink_to("itself.txt")
    (tmp_path / "texts/broken.txt").symlink_to("nowhere")
    (tmp_path / "texts/b.txt").symlink_to("a.txt")
    os.mkfifo(tmp_path / "texts/pipe.txt")
    assert [*read_corpus([str(tmp_path / "texts")]).documents] == ["a", "a"]
    (tmp_path / "link").symlink_to("texts")
    assert [*read_corpus([str(tmp_path / "link")]).documents] == ["a", "a"]
    with pytest.raises(CorpusError, match="no such file"):
        read_corpus([str(tmp_path / "texts/itself.txt")])


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "texts/a.txt", "a")
    written(tmp_path, "texts/locked/b.txt", "b")
    scan = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorpusError, match=r"cannot read .*locked: Permission denied"):
        read_corpus([str(tmp_path / "texts")])


@posix
def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=(tmp_path / "fifo").write_text, args=["text " * 100_000])
    writer.start()
    found = read_corpus([str(tmp_path / "fifo")])
    writer.join()
    assert contents(found) == ("pipe", ["text " * 100_000], WHOLE)


def test_several_sources_are_read_in_their_order(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, name) for name in ("b.txt", "a.txt")]
    assert contents(read_corpus(paths)) == ("b+1", ["b.txt", "a.txt"], WHOLE)


def test_bundled_corpora_have_names_and_are_lines() -> None:
    for name in bundled_corpora():
        found = read_corpus([name])
        assert found.separator == LINES
        assert found.name == name
        assert len(read_corpus([name], separator=WHOLE).documents) == 1
    assert contents(read_corpus([])) == contents(read_corpus(["stories"]))


def test_bundled_beside_a_file_is_whole(tmp_path: Path) -> None:
    found = read_corpus(["hello", written(tmp_path, "a.txt", "x\ny")])
    assert found.separator == WHOLE
    assert found.documents[1] == "x\ny"


@pytest.mark.parametrize("name", ["no-such", "englis", "korean.txt", "a/b", "x\0y"])
def test_an_unknown_name_gets_the_list_of_the_bundled(name: str) -> None:
    with pytest.raises(CorpusError, match="no such file") as error:
        read_corpus([name])
    assert all(bundled in str(error.value) for bundled in bundled_corpora())


def test_a_near_file_is_suggested_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("h.txt", "poems.txt.gz"):
        (tmp_path / name).touch()
    with pytest.raises(CorpusError, match=r"stories\)$"):
        read_corpus(["e.txt"])
    with pytest.raises(CorpusError, match=r"stories\)$"):
        read_corpus([str(tmp_path / "e.txt")])
    with pytest.raises(CorpusError, match=r"did you mean 'poems.txt.gz'\?$"):
        read_corpus(["poem.txt"])


def test_a_name_that_no_file_can_have_is_one_line() -> None:
    with pytest.raises(CorpusError, match=r"cannot read|no such file"):
        read_corpus(["x" * 5000])


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("separator", [None, LINES, "\n\n", "--"])
def test_a_file_without_text_is_an_error(
    tmp_path: Path, data: bytes, separator: str | None
) -> None:
    path = written(tmp_path, "a.txt", data)
    for source in (path, str(tmp_path)):
        with pytest.raises(CorpusError, match="there is no text in") as error:
            read_corpus([source], separator=separator)
        assert source in str(error.value)


def test_standard_input_without_text_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(CorpusError, match="there is no text in standard input"):
        read_corpus(["-"])


def test_a_url_is_to_be_downloaded_first() -> None:
    with pytest.raises(CorpusError, match="is a URL, not a file; download it first"):
        read_corpus(["https://example.org/a.txt"])


def test_an_empty_file_beside_a_full_one_is_left_out(tmp_path: Path) -> None:
    paths = [written(tmp_path, "a.txt", ""), written(tmp_path, "b.txt", "text")]
    assert [*read_corpus(paths).documents] == ["text"]


@quick
@given(st.lists(st.text("ab\n", max_size=3), max_size=3), st.lists(st.text("ab\n", max_size=3)))
def test_the_hash_tells_documents_apart(one: list[str], other: list[str]) -> None:
    same = corpus_of(one, lines=True).sha256 == corpus_of(other, lines=False).sha256
    assert same == (one == other)


def documents_by_hand(text: str, separator: str) -> list[str]:
    """The documents of a text, cut as simply as can be."""
    text = re.sub("\r\n?", "\n", text)
    if separator == WHOLE:
        return [text] if text.removesuffix("\n") else []
    parts = text.split(separator)
    if "\n" not in separator:
        lines = ("\0" if line == separator else line for line in text.split("\n"))
        parts = re.split(f"\n?\0\n?|{separator}", "\n".join(lines))
    if separator.strip("\n"):
        parts[-1] = parts[-1].removesuffix("\n")
    else:
        parts = [part.strip("\n") for part in parts]
    return [part for part in parts if part]


SEPARATORS = [WHOLE, LINES, "\n\n", "\n\n\n", "a", "aa", "a\n", "aba", "\na\n", "가b"]
separators = st.sampled_from(SEPARATORS)
separable = st.text("ab가\r\n", max_size=20)


@quick
@given(st.one_of(messy, separable), separators)
def test_documents_lie_between_separators(text: str, separator: str) -> None:
    expected = documents_by_hand(text, separator)
    if not expected:
        with pytest.raises(CorpusError, match="no text"):
            read_text(text, separator)
        return
    corpus = read_text(text, separator)
    assert [*corpus.documents] == [
        part.removesuffix("\n") if separator == WHOLE else part for part in expected
    ]
    digest = hashlib.sha256(b"".join(part.encode() + b"\xff" for part in expected))
    assert corpus.sha256 == digest.hexdigest()
    assert corpus.chars == sum(map(len, expected))
    assert (corpus.separator, corpus.count_eos) == (separator, separator != WHOLE)


@quick
@given(separable, st.integers(1, 9), separators)
def test_a_corpus_is_the_same_in_parts_of_any_size(text: str, size: int, separator: str) -> None:
    def read() -> tuple[list[str], int, str] | str:
        try:
            corpus = read_text(text, separator)
        except CorpusError as error:
            return str(error)
        return [*corpus.documents], corpus.chars, corpus.sha256

    expected = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_PART", size)
        assert read() == expected


def test_a_document_begins_and_ends_where_the_separator_does() -> None:
    for text in ("a\nb\n\nc", "\na\nb\n\n\nc\n", "\n\n\na\nb\n\n\n\n\nc\n\n\n"):
        assert [*read_text(text, "\n\n").documents] == ["a\nb", "c"]
    stories = "one\n<end>\ntwo\n<end>\n"
    assert [*read_text(stories, "<end>").documents] == ["one", "two"]
    assert [*read_text("<end>\n\n one\n\n<end>\n", "<end>").documents] == ["\n one\n"]
    assert [*read_text("a\n<end>b<end>\nc\n", "<end>").documents] == ["a\n", "b", "\nc"]
    assert [*read_text(stories, "\n<end>\n").documents] == ["one", "two"]


def test_a_separator_cuts_files_and_joins_none(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, name) for name in ("a;b.txt", "c;;d.txt")]
    assert [*read_corpus(paths, separator=";").documents] == ["a", "b.txt", "c", "d.txt"]


def test_a_field_of_each_record_is_a_document(tmp_path: Path) -> None:
    lines = written(tmp_path, "a.jsonl", '{"t": "one"}\n{"t": ""}\n{"t": "two\\r\\n"}\n')
    table = written(tmp_path, "b.csv", "n,t\n1,three\n")
    found = read_corpus([lines, table], field="t", separator=WHOLE)
    assert contents(found) == ("a+1", ["one", "two", "three"], LINES)
    assert found.chars == len("onetwo\nthree")
    assert found.sha256 == corpus_of(["one", "two\n", "three"], lines=False).sha256
    found = read_corpus([written(tmp_path, "c.csv", 't\n"a\nb"\n')], field="t")
    assert (contents(found), found.count_eos) == (("c", ["a\nb"], "\n\n"), True)
    with pytest.raises(CorpusError, match=r"there is no text in field 't' of .*d\.csv"):
        read_corpus([written(tmp_path, "d.csv", "t\n\n")], field="t")


def test_many_documents_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {number}" + "\n" * (number % 3) for number in range(50)]
    expected = corpus_of([text for text in texts if text], lines=False)
    for size in (1, 30, 1 << 18):
        monkeypatch.setattr(module, "_PART", size)
        found = Corpus.collect("x", mark_documents(texts), LINES)
        assert [*found.documents] == [*expected.documents]
        assert (found.chars, found.sha256) == (expected.chars, expected.sha256)


# A corpus to a split


def numbered_lines(count: int) -> list[str]:
    return [f"line {number}" + "." * (number * 7 % 30) for number in range(count)]


@pytest.mark.parametrize("last", ["\n", "", "\n\n"])
@pytest.mark.parametrize("size", [1000, 1009, 4321])
def test_one_document_gives_its_last_tenth_counted_with_its_newline(size: int, last: str) -> None:
    text = ("abcdefg \n" * size)[: size - len(last)] + last
    split = split_corpus(corpus_of([text], lines=False))
    assert split.train.cut
    assert split.train[0] + split.val[0] == text.removesuffix("\n")
    assert len(text) - len(split.train[0]) == -(-size // 10)


def test_a_share_can_be_asked_for() -> None:
    corpus = corpus_of(["a" * 1000], lines=False)
    assert len(split_corpus(corpus, 0.25).val[0]) == 250
    assert not split_corpus(corpus, 0).val


def test_the_validation_of_a_large_corpus_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(["a" * 10_000], lines=False)
    monkeypatch.setattr(module, "MAX_VALIDATION_CHARS", 200)
    assert len(split_corpus(corpus).val[0]) == 200
    assert len(split_corpus(corpus, 0.1).val[0]) == 1000  # asked for


@pytest.mark.parametrize("lines", [False, True])
def test_what_is_too_small_to_split_is_whole(lines: bool) -> None:
    for documents in (["a" * (10 * MIN_VALIDATION_CHARS - 1)], ["hello"], ["ab"] * 50):
        split = split_corpus(corpus_of(documents, lines=lines))
        assert ([*split.train], [*split.val], split.train.cut) == (documents, [], False)


def test_a_file_that_is_trained_on_whole_loses_its_last_newline() -> None:
    train = split_corpus(corpus_of(["ab\n", "cd\n\n"], lines=False)).train
    assert [*train] == ["ab", "cd\n"]


@pytest.mark.parametrize("fraction", [None, 0.1, 0.4])
def test_whole_documents_are_held_out_until_the_share_is_reached(fraction: float | None) -> None:
    documents = numbered_lines(300)
    split = split_corpus(corpus_of(documents), fraction)
    held_out = {*split.val}
    assert [*split.train] == [text for text in documents if text not in held_out]
    assert [*split.val] == [text for text in documents if text in held_out]
    assert not split.train.cut
    room = (fraction or 0.1) * sum(map(len, documents))
    assert room - max(map(len, documents)) < sum(map(len, split.val)) <= room


def test_documents_are_drawn_from_everywhere() -> None:
    documents = numbered_lines(300)
    split = split_corpus(corpus_of(documents))
    places = [documents.index(text) for text in split.val]
    for third in (range(100), range(100, 200), range(200, 300)):
        assert {*third} & {*places}
        assert {*third} - {*places}


def test_the_split_depends_on_nothing_but_the_lengths() -> None:
    documents = numbered_lines(300)
    others = [text.upper().replace(".", "!") for text in documents]
    held_out = split_corpus(corpus_of(documents)).val
    again = split_corpus(corpus_of(others)).val
    assert [others.index(text) for text in again] == [documents.index(t) for t in held_out]


def test_where_every_file_is_larger_than_the_share_one_is_cut() -> None:
    documents = ["a" * 3000 + "\n", "b" * 3000 + "\n"]
    split = split_corpus(corpus_of(documents, lines=False))
    assert split.train.cut
    assert len(split.train) == 2
    assert len(split.val) == 1
    kept, tail = split.train[1], split.val[0]
    assert kept + tail + "\n" in documents
    assert split.train[0] + "\n" in documents
    assert split.train[0][0] != kept[0]
    assert len(tail + "\n") == 601


def test_files_that_are_held_out_lose_their_last_newline() -> None:
    documents = [f"{number:03} of many files\n" for number in range(200)]
    split = split_corpus(corpus_of(documents, lines=False))
    assert split.val
    assert {*split.train, *split.val} == {text.removesuffix("\n") for text in documents}


def test_equal_documents_lie_on_one_side() -> None:
    documents = numbered_lines(300)
    split = split_corpus(corpus_of([*documents, *documents[::-1]]))
    assert {*split.train}.isdisjoint(split.val)
    assert len(split.train) + len(split.val) == 600
    size = sum(map(len, split.val))
    assert 0.09 < size / (2 * sum(map(len, documents))) <= 0.1


def test_a_text_of_one_line_again_and_again_is_split_all_the_same() -> None:
    split = split_corpus(corpus_of(["abcd"] * 1000))
    assert (len(split.train), len(split.val)) == (900, 100)


@pytest.mark.parametrize("lines", [False, True])
def test_a_large_document_is_cut_where_the_small_ones_are_too_few(lines: bool) -> None:
    documents = ["a" * 100_000, "b" * 200_000, "c" * 11]
    split = split_corpus(corpus_of(documents, lines=lines))
    assert sum(map(len, split.val)) == 30_002
    assert "c" * 11 in split.val
    assert split.train.cut
    assert sorted(split.train[-1] + split.val[-1])[0] in "ab"
    assert sum(map(len, [*split.train, *split.val])) == 300_011


def test_a_document_that_stands_there_once_is_cut_first() -> None:
    twin = "same text " * 1000
    split = split_corpus(corpus_of([twin, twin, "other " * 2000], lines=False))
    assert {*"".join(split.val)} == {*"other "}


def test_a_thousand_characters_are_held_out_where_the_text_has_ten_thousand() -> None:
    for number, length in ((14, 720), (11, 950), (20, 501), (150, 67)):
        split = split_corpus(corpus_of([f"{n:03}" + "." * (length - 3) for n in range(number)]))
        assert sum(map(len, split.val)) >= 900


def test_of_a_text_of_fewer_no_document_is_cut_if_one_can_be_held_out() -> None:
    split = split_corpus(corpus_of(["a" * 4000, "b" * 5000, "c" * 10]))
    assert [*split.val] == ["c" * 10]
