import io
import lzma
import pickle
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import ConfigError, CorpusError
from charrnn.text import reading as module
from charrnn.text.reading import decode, read_pieces, read_text, regroup, split_lines

quick = settings(deadline=None, max_examples=60, derandomize=True)
NO_LINE_ENDS = "\u2028\u2029\x85\v\f\x1c\x1d\x1e"
messy = st.text(f"ab가\r\n{NO_LINE_ENDS}", max_size=20)


def text_of(data: bytes, source: str, encoding: str = "utf-8") -> str:
    return "".join(decode(module._parts(io.BytesIO(data)), source, encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_character(encoding: str) -> None:
    data = "hé".encode(encoding)
    assert text_of(data, "x", "utf-8" if encoding == "utf-8-sig" else encoding) == "hé"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_files_that_were_put_together_lose_all_their_byte_order_marks(
    encoding: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART", size)
    data = b"".join(
        f"\ufeff{text}".encode(encoding) for text in ("é\n", "no newline", "e", "\u0301")
    )
    assert text_of(data, "x", encoding) == "é\nno newlineé"


@quick
@given(messy)
def test_every_line_end_becomes_a_newline(text: str) -> None:
    assert text_of(text.encode(), "x") == re.sub("\r\n|\r", "\n", text)


@quick
@given(messy)
def test_lines_end_as_in_universal_newlines_and_nowhere_else(text: str) -> None:
    expected = [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]
    assert split_lines(text_of(text.encode(), "x")) == expected


@pytest.mark.parametrize("char", NO_LINE_ENDS)
def test_other_separators_are_characters_of_a_line(char: str) -> None:
    assert split_lines(f"a{char}b\nc") == [f"a{char}b", "c"]


def test_a_trailing_newline_starts_no_line() -> None:
    assert split_lines("a\nb\n") == split_lines("a\nb") == ["a", "b"]
    assert split_lines("a\n\n") == ["a", ""]
    assert split_lines("\n") == [""]
    assert split_lines("") == []


@pytest.mark.parametrize("text", ["e\u0301", unicodedata.normalize("NFD", "한국어")])
def test_text_is_composed(text: str) -> None:
    assert text_of(text.encode(), "x") == unicodedata.normalize("NFC", text) != text


@pytest.mark.parametrize(
    ("text", "encoding", "byte"),
    [
        ("abc 가나다", "cp949", 4),
        ("어느 날", "cp949", 0),
        ("hello", "utf-16", 0),
        ("naïve café", "cp1252", 2),
    ],
)
def test_invalid_utf8_is_located_and_the_suggested_encoding_reads_it(
    text: str, encoding: str, byte: int
) -> None:
    data = text.encode(encoding)
    with pytest.raises(
        CorpusError, match=rf"^the\.txt is not valid UTF-8 at byte {byte};"
    ) as error:
        text_of(data, "the.txt")
    suggested = re.search(r"encoding (\S+) would read it", str(error.value))
    assert suggested
    assert suggested[1] == encoding
    assert text_of(data, "the.txt", suggested[1]) == text
    assert f"{text!r}" in str(error.value)  # what it would read


def test_the_byte_is_that_of_the_file_with_its_bom() -> None:
    with pytest.raises(CorpusError, match="at byte 5;"):
        text_of(b"\xef\xbb\xbfab\xff", "x")


def test_bytes_that_no_encoding_reads_get_a_hint_too() -> None:
    with pytest.raises(CorpusError, match="at byte 1; set its encoding with encoding"):
        text_of(b"a\x81 \x8d", "x")


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"\x89PNX\r\n\x1a\n\0\0\0\rIHDR", "; it is not text; give a text file"),
        (b"\x1f\x8b\x08", r"compressed; rename it to end in \.gz"),
        (b"\0" * 1000, "x is not text: it is full of NULs; give a text file"),
        (b"ab\n\0" * 100, "x is not text: it is full of NULs; give a text file"),
        ("hello\r\n".encode("utf-16-le") * 100, "full of NULs; encoding utf-16-le"),
        ("hello".encode("utf-16-be"), "full of NULs; encoding utf-16-be"),
        ("오늘은 날씨가 좋다".encode("utf-16-le"), "encoding utf-16-le would read it as '오늘은"),
        ("Это обычный текст".encode("utf-16-be"), "encoding utf-16-be would read it as 'Это"),
        ("오늘은 날씨가".encode()[:-1], "at byte 16; its last character is cut off"),
        (pickle.dumps([1, 2]), "it looks like a Python pickle; give a text file"),
        (lzma.compress(b"a", lzma.FORMAT_ALONE), "compressed with lzma; unpack it first"),
    ],
)
def test_what_is_no_text_is_refused_with_a_way_out(data: bytes, hint: str) -> None:
    with pytest.raises(CorpusError, match=hint) as error:
        text_of(data, "x")
    if way_out := re.search(r"encoding (\S+)", str(error.value)):
        assert text_of(data, "x", way_out[1]) == re.sub("\r\n?", "\n", data.decode(way_out[1]))


def test_a_url_is_no_file() -> None:
    for name in ("https://example.org/a.txt", Path("http://example.org/a.txt")):
        with pytest.raises(CorpusError, match="is a URL, not a file; download it first"):
            read_text(name)


def test_a_text_with_a_few_control_characters_is_a_text() -> None:
    text = "a\0b\x01\x1b[31m\x7f\x9b" + "x" * 200
    assert text_of(text.encode(), "x") == text
    parts = [b"x" * 200, b"\0", b"\0", b"x" * 200]  # as a decompressor may return them
    assert "".join(decode(parts, "x")) == "x" * 200 + "\0\0" + "x" * 200
    late = "x" * module._PART + "\0" * 1000
    assert text_of(late.encode(), "x") == late


def test_endless_bytes_that_are_no_text_are_an_error_at_once() -> None:
    def endless(data: bytes) -> Iterator[bytes]:
        while True:
            yield data

    for data in (b"\0" * 1000, b"caf\xe9 " * 1000, bytes(range(256)) * 100):
        with pytest.raises(CorpusError):
            list(decode(endless(data), "x"))


def test_utf16_without_a_byte_order_mark_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"^x is not valid UTF-16: .* BOM"):
        text_of("hello".encode("utf-16-le"), "x", "utf-16")


@pytest.mark.parametrize("encoding", ["no-such", "", "hex", "x\0"])
def test_an_unknown_encoding_is_a_usage_error(encoding: str) -> None:
    with pytest.raises(ConfigError, match="unknown encoding"):
        text_of(b"a", "x", encoding)


def test_an_error_calls_standard_input_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    with pytest.raises(CorpusError, match=r"^standard input is not valid"):
        read_text("-")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.txt"):
        with pytest.raises(CorpusError, match=re.escape(f"cannot read {path}: ")):
            read_text(path)
    with pytest.raises(CorpusError, match="not a file name"):
        read_text("x\0y")


# In pieces

SPLIT = [
    "e\u0301",
    "\u1112\u1161\u11ab",
    "\r\n",
    "\r",
    "\n",
    "\ufeff",
    "가",
    " ",
    "ab",
    "😀",
    "\u0316",
]
composite = st.lists(st.sampled_from(SPLIT), max_size=30).map("".join)


@quick
@given(composite, st.integers(1, 9), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))
def test_a_text_is_the_same_in_parts_of_any_size(text: str, size: int, encoding: str) -> None:
    whole = text_of(text.encode(encoding), "x", encoding)
    expected = re.sub("\r\n?", "\n", text.replace("\ufeff", ""))
    if encoding == "utf-8":  # the others have a mark of their own
        assert whole == unicodedata.normalize("NFC", expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        assert text_of(text.encode(encoding), "x", encoding) == whole


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_the_byte_is_that_of_the_file_in_parts_of_any_size(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = "가나 ab".encode(encoding) + b"\xff\xff"
    for size in range(1, len(data) + 2):
        monkeypatch.setattr(module, "_PART", size)
        with pytest.raises(CorpusError, match=f"at byte {len(data) - 2};"):
            text_of(data, "x", encoding)


def test_the_suggested_encoding_reads_what_comes_after_the_error_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PART", 4)
    for text, encoding in (("abc 가나다 라", "cp949"), ("naïve café", "cp1252")):
        with pytest.raises(CorpusError, match=f"encoding {encoding} would"):
            text_of(text.encode(encoding), "x")


def test_a_large_file_comes_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART", 100)
    for text in ("one line of words ", "no_space", "한국어 글\n", "漢字かな交じり文章"):
        (tmp_path / "x.txt").write_text(text * 1000, encoding="utf-8")
        pieces = [*read_pieces(tmp_path / "x.txt")]
        assert "".join(pieces) == text * 1000
        assert max(map(len, pieces)) <= 200


def test_no_character_composes_across_a_cut() -> None:
    for code in range(0x110000):
        first, *others = [*unicodedata.normalize("NFD", chr(code))]
        for mark in (*others, first if unicodedata.combining(first) else "\u0301"):
            found = module._COMPOSABLE.match("é" + mark)
            assert found is None


@pytest.mark.parametrize("letters", ["สวัสดี", "ابجد", "e\u0301"])
def test_a_text_without_a_place_to_cut_it_is_looked_at_once(letters: str) -> None:
    looks = 0

    class Pattern:
        def match(self, text: str) -> None:
            nonlocal looks
            looks += len(text)

    pieces = [*regroup([letters] * 1000, cast(re.Pattern[str], Pattern()))]
    assert pieces == [letters * 1000]
    assert looks < 1000 * (len(letters) + 2)


@quick
@given(st.lists(st.text("ab ,", max_size=5)))
def test_regrouped_texts_are_the_same_and_end_where_they_should(texts: list[str]) -> None:
    pieces = [*regroup(texts, re.compile(".*,"))]
    assert "".join(pieces) == "".join(texts)
    assert all(piece.endswith(",") for piece in pieces[:-1])
    assert "," not in pieces[-1]
