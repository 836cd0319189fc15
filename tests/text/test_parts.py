import gzip
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charrnn.config import LINES, WHOLE
from charrnn.errors import CharRNNError
from charrnn.parallel.processes import ALONE, World
from charrnn.text import parts as module
from charrnn.text import reading
from charrnn.text.corpus import Corpus, read_corpus
from charrnn.text.parts import Part, read_part, share_out
from tests.ranks import at_all_ranks

quick = settings(deadline=None, max_examples=150, derandomize=True)
SEPARATORS = [WHOLE, LINES, "\n\n", "a", "aa", "aba", "a\n", "\na\n", "가b"]
ENCODINGS = ["utf-8", "cp949", "latin-1", "utf-16", "gb18030", "utf-7", "no-such"]
fragments = st.sampled_from(
    [
        *(b"ab", b"a", b"\n", b"\n\n\n", b"\r\n", b"\r", b" ", b"\xef\xbb\xbf", b"\0", b"\xff"),
        *(text.encode() for text in ("가b", "e\u0301", "\u0301", "\u11ab", "\ufeff")),
        *("가b\n".encode(encoding) for encoding in ("cp949", "utf-16", "gb18030")),
    ]
)
contents = st.lists(fragments, max_size=12).map(b"".join)
Found = tuple[list[str], list[int], int, str] | str


def what_is_read(paths: list[str], separator: str, encoding: str, world: World = ALONE) -> Found:
    """All that a corpus says of its documents, or the error."""
    try:
        corpus: Corpus = read_corpus(paths, separator=separator, encoding=encoding, world=world)
    except CharRNNError as error:
        return str(error)
    documents = corpus.documents
    return [*documents], documents.lengths.tolist(), corpus.chars, corpus.sha256


def assert_the_same_for_all(
    folder: Path, files: list[bytes], least: int, number: int, separator: str, encoding: str
) -> None:
    """One process and several find the same in these files, cut from `least` bytes on."""
    paths = [str(folder / f"{n}.txt") for n in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        Path(path).write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LEAST", least)
        patch.setattr(reading, "_PART", least)
        expected = what_is_read(paths, separator, encoding)
        found = at_all_ranks(number, lambda world: what_is_read(paths, separator, encoding, world))
    assert found == [expected] * number


@quick
@given(
    st.lists(contents, min_size=1, max_size=3),
    st.integers(1, 9),
    st.integers(2, 4),
    st.sampled_from(SEPARATORS),
    st.sampled_from(ENCODINGS),
)
def test_a_corpus_is_the_same_for_any_number_of_processes(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[bytes],
    least: int,
    number: int,
    separator: str,
    encoding: str,
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    assert_the_same_for_all(folder, files, least, number, separator, encoding)


@quick
@given(
    st.lists(st.sampled_from([b"a", b"b", b"\n", b"\r\n"]), max_size=9).map(b"".join),
    st.integers(2, 3),
    st.sampled_from(SEPARATORS),
)
@example(b"aa\n\n", 3, WHOLE)  # the last part is a newline alone
def test_documents_are_the_same_wherever_their_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, number: int, separator: str
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    assert_the_same_for_all(folder, [data, b"b"], 1, number, separator, "utf-8")


def text_of(folder: Path, lines: int, name: str = "x.txt", end: str = "\n") -> Path:
    path = folder / name
    path.write_bytes("".join(f"line {n}{end}" for n in range(lines)).encode())
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a few bytes is worth cutting."""
    monkeypatch.setattr(module, "_LEAST", 8)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("number", [2, 3, 7])
def test_a_file_is_cut_into_equal_parts_after_newlines(tmp_path: Path, number: int) -> None:
    path = text_of(tmp_path, 90)
    data = path.read_bytes()
    shares = share_out([path], number, WHOLE)
    assert [len(share) for share in shares] == [1] * number
    found = [part for share in shares for part in share]
    pieces = [data[part.start : part.stop] for part in found]
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(abs(len(piece) - len(data) / number) < 10 for piece in pieces)


@pytest.mark.usefixtures("small")
def test_small_files_go_whole_to_whom_they_begin_at(tmp_path: Path) -> None:
    files = [text_of(tmp_path, 1, f"{n}.txt") for n in range(8)]
    assert share_out(files, 2, LINES) == [[*map(Part, files[:4])], [*map(Part, files[4:])]]
    missing = tmp_path / "missing"
    assert share_out([missing], 2, LINES) == [[Part(missing)], []]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("separator", "end", "encoding"),
    [
        (WHOLE, " ", "utf-8"),
        (LINES, "\r", "utf-8"),
        ("\n\n", "\n", "utf-8"),
        ("e\n", "\n", "utf-8"),
        (WHOLE, "\n", "utf-16"),
        (WHOLE, "\n", "utf-8-sig"),
        (WHOLE, "\n", "cp500"),
        (WHOLE, "\n", "iso2022_kr"),
    ],
)
def test_what_has_no_safe_place_to_cut_is_read_by_one(
    tmp_path: Path, separator: str, end: str, encoding: str
) -> None:
    path = text_of(tmp_path, 90, end=end)
    assert share_out([path], 3, separator, encoding) == [[Part(path)], [], []]


@pytest.mark.usefixtures("small")
def test_compressed_files_and_those_over_the_limit_are_read_by_one(tmp_path: Path) -> None:
    path, packed = text_of(tmp_path, 200_000), tmp_path / "x.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert share_out([packed], 2, LINES) == [[Part(packed)], []]
    assert share_out([path], 2, LINES, max_size=1) == [[Part(path)], []]
    assert share_out([path], 2, LINES, max_size=3)[1]


@pytest.mark.usefixtures("small")
def test_with_standard_input_the_first_process_reads_everything(tmp_path: Path) -> None:
    path = text_of(tmp_path, 90)
    assert share_out([path, "-", path], 2, LINES) == [[Part(path), Part("-"), Part(path)], []]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "shift_jis", "gb18030", "big5", "latin-1"])
def test_files_in_these_encodings_are_cut(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.txt"
    text = "é 1\r\n" if encoding == "latin-1" else "日本 1\r\n"
    path.write_bytes((30 * text).encode(encoding))
    shares = share_out([path], 3, WHOLE, encoding)
    assert all(shares)
    parts = chain.from_iterable(shares)
    found = "".join(chain.from_iterable(read_part(part, encoding) for part in parts))
    assert found == 30 * text.replace("\r", "")
