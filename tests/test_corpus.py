import io
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import corpus as module
from charrnn.config import VocabularyConfig
from charrnn.corpus import (
    MIN_VALIDATION_CHARS,
    Batches,
    Corpus,
    decode,
    encode_documents,
    read_corpus,
    read_documents,
    read_text,
    split_corpus,
    split_documents,
    split_lines,
)
from charrnn.errors import ConfigError, CorpusError
from charrnn.functional import IGNORE
from charrnn.resources import bundled_corpora
from charrnn.vocabulary import EOS, NUM_SPECIAL, UNK, Vocabulary, normalize

from .conftest import CHARACTERS, JAMO, WORDS

Array = np.ndarray

quick = settings(deadline=None, max_examples=60, derandomize=True)
NO_LINE_ENDS = "\u2028\u2029\x85\v\f\x1c\x1d\x1e"
messy = st.text(f"ab가\r\n{NO_LINE_ENDS}", max_size=20)


def written(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


# Bytes to text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_character(encoding: str) -> None:
    data = "hé".encode(encoding)
    assert decode(data, "x", "utf-8" if encoding == "utf-8-sig" else encoding) == "hé"


def test_only_the_first_byte_order_mark_is_one() -> None:
    assert decode("\ufeff\ufeffa\ufeff".encode(), "x") == "\ufeffa\ufeff"


@quick
@given(messy)
def test_every_line_end_becomes_a_newline(text: str) -> None:
    assert decode(text.encode(), "x") == re.sub("\r\n|\r", "\n", text)


@quick
@given(messy)
def test_lines_end_as_in_universal_newlines_and_nowhere_else(text: str) -> None:
    expected = [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]
    assert split_lines(decode(text.encode(), "x")) == expected


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
    assert decode(text.encode(), "x") == unicodedata.normalize("NFC", text) != text


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
        decode(data, "the.txt")
    suggested = re.search(r"--encoding (\S+) would read it", str(error.value))
    assert suggested
    assert suggested[1] == encoding
    assert decode(data, "the.txt", suggested[1]) == text


def test_the_byte_is_that_of_the_file_with_its_bom() -> None:
    with pytest.raises(CorpusError, match="at byte 5;"):
        decode(b"\xef\xbb\xbfab\xff", "x")


def test_bytes_that_no_encoding_reads_get_a_hint_too() -> None:
    with pytest.raises(CorpusError, match="at byte 1; name its encoding with --encoding"):
        decode(b"a\x81 \x8d", "x")


@pytest.mark.parametrize("encoding", ["no-such", "", "hex", "x\0"])
def test_an_unknown_encoding_is_a_usage_error(encoding: str) -> None:
    with pytest.raises(ConfigError, match="unknown encoding"):
        decode(b"a", "x", encoding)


# Sources to a corpus


def test_a_file_is_one_document_unless_cut_into_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "my.txt", b"\xef\xbb\xbfab\r\n\r\ncd\re\n")
    assert read_corpus([path]) == Corpus("my", ["ab\n\ncd\ne\n"], lines=False)
    assert read_corpus([path], lines=True) == Corpus("my", ["ab", "cd", "e"], lines=True)


@quick
@given(messy)
def test_no_document_is_empty_and_no_text_is_lost(text: str) -> None:
    standard_input = io.TextIOWrapper(io.BytesIO(text.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", standard_input)
        documents = read_documents("-", lines=True)
    assert all(documents)
    assert "".join(documents) == re.sub("[\r\n]", "", text)


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding in ("utf-8", "cp949"):
        data = io.BytesIO("가\r\n나".encode(encoding))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
        assert read_corpus(["-"], encoding=encoding) == Corpus("stdin", ["가\n나"], lines=False)


def test_an_error_calls_standard_input_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    with pytest.raises(CorpusError, match=r"^standard input is not valid"):
        read_text("-")


def test_a_folder_is_every_text_file_below_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/er/c.txt", "notes.md", "d.txt.bak"):
        written(tmp_path, f"texts/{name}", name)
    (tmp_path / "texts" / "folder.txt").mkdir()
    found = read_corpus([str(tmp_path / "texts")])
    assert found == Corpus("texts", ["a.txt", "b.txt", "deep/er/c.txt"], lines=False)


def test_several_sources_are_read_in_their_order(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, name) for name in ("b.txt", "a.txt")]
    assert read_corpus(paths) == Corpus("b+1", ["b.txt", "a.txt"], lines=False)


def test_bundled_corpora_have_names_and_are_lines() -> None:
    for name in bundled_corpora():
        found = read_corpus([name])
        assert found.lines
        assert found.name == name
        assert len(read_corpus([name], lines=False).documents) == 1
    assert read_corpus([]) == read_corpus(["english"])


def test_a_file_comes_before_a_bundled_corpus_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "hello", "mine")
    assert read_corpus(["hello"]) == Corpus("hello", ["mine"], lines=False)


def test_bundled_beside_a_file_is_whole(tmp_path: Path) -> None:
    found = read_corpus(["hello", written(tmp_path, "a.txt", "x\ny")])
    assert not found.lines
    assert found.documents[1] == "x\ny"


@pytest.mark.parametrize("name", ["no-such", "englis", "korean.txt", "a/b", "x\0y"])
def test_an_unknown_name_gets_the_list_of_the_bundled(name: str) -> None:
    with pytest.raises(CorpusError, match="no such file") as error:
        read_corpus([name])
    assert all(bundled in str(error.value) for bundled in bundled_corpora())


def test_a_name_that_no_file_can_have_is_one_line() -> None:
    with pytest.raises(CorpusError, match=r"cannot read|no such file"):
        read_corpus(["x" * 5000])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.txt"):
        with pytest.raises(CorpusError, match=re.escape(f"cannot read {path}: ")):
            read_text(path)
    with pytest.raises(CorpusError, match="not a file name"):
        read_text("x\0y")


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("lines", [None, True])
def test_a_file_without_text_is_an_error(tmp_path: Path, data: bytes, lines: bool | None) -> None:
    path = written(tmp_path, "a.txt", data)
    for source in (path, str(tmp_path)):
        with pytest.raises(CorpusError, match="there is no text in") as error:
            read_corpus([source], lines=lines)
        assert source in str(error.value)


def test_a_folder_without_text_files_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, "a.md", "text")
    with pytest.raises(CorpusError, match=r"holds no \*\.txt"):
        read_corpus([str(tmp_path)])


def test_an_empty_file_beside_a_full_one_is_left_out(tmp_path: Path) -> None:
    paths = [written(tmp_path, "a.txt", ""), written(tmp_path, "b.txt", "text")]
    assert read_corpus(paths).documents == ["text"]


@quick
@given(st.lists(st.text("ab\n", max_size=3), max_size=3), st.lists(st.text("ab\n", max_size=3)))
def test_the_hash_tells_documents_apart(one: list[str], other: list[str]) -> None:
    same = Corpus("x", one, True).sha256 == Corpus("y", other, False).sha256
    assert same == (one == other)


# A corpus to a split


def numbered_lines(count: int) -> list[str]:
    return [f"line {number}" + "." * (number * 7 % 30) for number in range(count)]


@pytest.mark.parametrize("last", ["\n", "", "\n\n"])
@pytest.mark.parametrize("size", [1000, 1009, 4321])
def test_one_document_gives_its_last_tenth_counted_with_its_newline(size: int, last: str) -> None:
    text = ("abcdefg \n" * size)[: size - len(last)] + last
    split = split_corpus(Corpus("x", [text], lines=False))
    assert split.cut
    assert split.train[0] + split.val[0] == text.removesuffix("\n")
    assert len(text) - len(split.train[0]) == -(-size // 10)


def test_a_share_can_be_asked_for() -> None:
    corpus = Corpus("x", ["a" * 1000], lines=False)
    assert len(split_corpus(corpus, 0.25).val[0]) == 250
    assert split_corpus(corpus, 0).val == []


def test_the_validation_of_a_large_corpus_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus("x", ["a" * 10_000], lines=False)
    monkeypatch.setattr(module, "MAX_VALIDATION_CHARS", 200)
    assert len(split_corpus(corpus).val[0]) == 200
    assert len(split_corpus(corpus, 0.1).val[0]) == 1000  # asked for


@pytest.mark.parametrize("lines", [False, True])
def test_what_is_too_small_to_split_is_whole(lines: bool) -> None:
    for documents in (["a" * (10 * MIN_VALIDATION_CHARS - 1)], ["hello"], ["ab"] * 50):
        split = split_corpus(Corpus("x", documents, lines))
        assert (split.train, split.val, split.cut) == (documents, [], False)


def test_a_file_that_is_trained_on_whole_loses_its_last_newline() -> None:
    assert split_corpus(Corpus("x", ["ab\n", "cd\n\n"], lines=False)).train == ["ab", "cd\n"]


@pytest.mark.parametrize("fraction", [None, 0.1, 0.4])
def test_whole_documents_are_held_out_until_the_share_is_reached(fraction: float | None) -> None:
    documents = numbered_lines(300)
    split = split_corpus(Corpus("x", documents, lines=True), fraction)
    held_out = {*split.val}
    assert split.train == [text for text in documents if text not in held_out]
    assert split.val == [text for text in documents if text in held_out]
    assert not split.cut
    room = (fraction or 0.1) * sum(map(len, documents))
    assert room - max(map(len, documents)) < sum(map(len, split.val)) <= room


def test_documents_are_drawn_from_everywhere() -> None:
    documents = numbered_lines(300)
    split = split_corpus(Corpus("x", documents, lines=True))
    places = [documents.index(text) for text in split.val]
    for third in (range(100), range(100, 200), range(200, 300)):
        assert {*third} & {*places}
        assert {*third} - {*places}


def test_the_split_depends_on_nothing_but_the_lengths() -> None:
    documents = numbered_lines(300)
    others = [text.upper().replace(".", "!") for text in documents]
    held_out = split_corpus(Corpus("x", documents, lines=True)).val
    again = split_corpus(Corpus("y", others, lines=True)).val
    assert [others.index(text) for text in again] == [documents.index(t) for t in held_out]


def test_where_every_file_is_larger_than_the_share_one_is_cut() -> None:
    documents = ["a" * 3000 + "\n", "b" * 3000 + "\n"]
    split = split_corpus(Corpus("x", documents, lines=False))
    assert split.cut
    assert len(split.train) == 2
    assert len(split.val) == 1
    kept, tail = split.train[1], split.val[0]
    assert kept + tail + "\n" in documents
    assert split.train[0] + "\n" in documents
    assert split.train[0][0] != kept[0]
    assert len(tail + "\n") == 601


def test_files_that_are_held_out_lose_their_last_newline() -> None:
    documents = [f"{number:03} of many files\n" for number in range(200)]
    split = split_corpus(Corpus("x", documents, lines=False))
    assert split.val
    assert {*split.train, *split.val} == {text.removesuffix("\n") for text in documents}


# Documents to tokens

some_documents = st.lists(st.text("abc\n", max_size=6), min_size=1, max_size=6)


@quick
@given(some_documents, st.booleans())
def test_every_document_ends_with_eos_and_a_cut_one_with_ignore(
    documents: list[str], cut: bool
) -> None:
    vocabulary = Vocabulary("ab\n")
    expected = [id for text in documents for id in (*vocabulary.encode(text).tolist(), EOS)]
    if cut:
        expected[-1] = IGNORE
    split = encode_documents(vocabulary, documents, cut)
    tokens = split.tokens
    assert tokens.tolist() == expected
    assert split.count(eos=False) == sum(map(len, documents))
    assert split.count(eos=True) == np.count_nonzero(tokens != IGNORE)
    assert tokens.dtype == vocabulary.dtype


@quick
@given(some_documents, st.booleans())
def test_split_documents_is_the_inverse(documents: list[str], cut: bool) -> None:
    vocabulary = Vocabulary("abc\n")
    tokens = encode_documents(vocabulary, documents, cut).tokens
    parts = split_documents(tokens)
    assert [vocabulary.decode(part[:-1]) for part in parts] == documents
    assert all(np.shares_memory(part, tokens) for part in parts)


@pytest.mark.parametrize("kind", [CHARACTERS, JAMO, WORDS])
@quick
@given(st.lists(st.text("각a\u0301 \n'").map(normalize), min_size=1, max_size=6), st.booleans())
def test_characters_are_counted_in_nfc_whatever_the_tokens_are(
    kind: VocabularyConfig, documents: list[str], cut: bool
) -> None:
    vocabulary = Vocabulary.from_texts(documents, kind)
    split = encode_documents(vocabulary, documents, cut)
    assert split.count(eos=False) == sum(map(len, documents))
    assert split.count(eos=True) == sum(map(len, documents)) + len(documents) - cut
    parts = split_documents(split.tokens)
    assert [vocabulary.decode(part[:-1]) for part in parts] == documents
    assert [int(part[-1]) for part in parts[:-1]] == [EOS] * (len(documents) - 1)


# Tokens to batches

sizes = st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)  # B, T, chunks


def numbered_tokens(size: int, end_every: int = 7, last: int = EOS) -> Array:
    """Tokens that tell their place: each is one more than the one before, in documents."""
    tokens = np.arange(NUM_SPECIAL, NUM_SPECIAL + size, dtype=np.int32)
    tokens[end_every - 1 :: end_every] = EOS
    tokens[-1] = last
    return tokens


def one_pass(batches: Batches, number: int = 0) -> tuple[Array, Array]:
    """Inputs and targets of a pass, its chunks one after another in time."""
    chunks = [*batches.epoch(number)]
    assert len(chunks) == batches.steps_per_epoch
    for inputs, targets in chunks:
        assert inputs.shape == targets.shape == (batches.seq_len, batches.batch_size)
        assert inputs.dtype == targets.dtype == batches.tokens.dtype
    inputs, targets = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return inputs, targets


@quick
@given(*sizes, st.integers(1, 9), st.integers(0, 3))
def test_a_pass_has_every_token_as_a_target_once_when_sizes_divide(
    B: int, T: int, chunks: int, end_every: int, seed: int
) -> None:
    tokens = numbered_tokens(B * T * chunks, end_every)
    batches = Batches(tokens, B, T, seed)
    assert batches.steps_per_epoch == chunks
    _, targets = one_pass(batches)
    assert sorted(targets.ravel()) == sorted(tokens)


@quick
@given(st.integers(1, 60), *sizes[:2], st.integers(0, 3))
def test_a_pass_leaves_no_token_out_whatever_the_sizes(N: int, B: int, T: int, seed: int) -> None:
    tokens = numbered_tokens(N)
    batches = Batches(tokens, B, T, seed)
    _, targets = one_pass(batches)
    assert {*targets.ravel()} == {*tokens}
    assert 0 <= targets.size - N < B * T


@quick
@given(st.integers(2, 60), *sizes[:2], st.sampled_from([EOS, IGNORE]))
def test_inputs_are_the_tokens_before_the_targets(N: int, B: int, T: int, last: int) -> None:
    tokens = numbered_tokens(N, last=last)
    inputs, targets = one_pass(Batches(tokens, B, T, 0))
    np.testing.assert_array_equal(inputs[1:], targets[:-1])  # between chunks too
    before = dict(zip(tokens, np.roll(tokens, 1), strict=True))
    for target, token in zip(targets.ravel(), inputs.ravel(), strict=True):
        if target > EOS:
            assert token == before[target] or (token <= EOS and before[target] <= EOS)


@quick
@given(*sizes)
def test_a_stream_ends_where_the_next_one_started(B: int, T: int, chunks: int) -> None:
    inputs, targets = one_pass(Batches(numbered_tokens(B * T * chunks), B, T, 0))
    np.testing.assert_array_equal(inputs[0], np.roll(targets[-1], 1))


def test_documents_come_in_another_order_and_whole() -> None:
    tokens = numbered_tokens(7 * 8)
    _, targets = one_pass(Batches(tokens, 1, 8, 0))
    ring = targets.ravel()
    ring = np.roll(ring, -1 - int(np.flatnonzero(ring == EOS)[0]))
    found, documents = ([*map(tuple, split_documents(part))] for part in (ring, tokens))
    assert sorted(found) == sorted(documents)
    first = found.index(documents[0])
    assert found[first:] + found[:first] != documents


def test_a_pass_depends_on_seed_and_number_alone() -> None:
    def fresh(seed: int) -> Batches:
        return Batches(numbered_tokens(500), 4, 5, seed, 0.1, 0.3, line_end=9)

    batches = fresh(seed=1)
    expected = one_pass(batches, 3)
    one_pass(batches, 0)
    for same in (one_pass(batches, 3), one_pass(fresh(seed=1), 3)):
        np.testing.assert_array_equal(same, expected)
    for other in (one_pass(batches, 4), one_pass(fresh(seed=2), 3)):
        assert not np.array_equal(other, expected)


def test_one_document_starts_elsewhere_in_each_pass() -> None:
    batches = Batches(numbered_tokens(1000, end_every=1000), 1, 10, 0)
    assert len({int(next(batches.epoch(number))[1][0, 0]) for number in range(10)}) > 5


def test_unk_replaces_input_and_target_alike_and_never_an_end() -> None:
    tokens = numbered_tokens(20_000, end_every=20, last=IGNORE)
    batches = Batches(tokens, 4, 50, 0, unk_rate=0.5)
    inputs, targets = one_pass(batches)
    np.testing.assert_array_equal(inputs[1:], targets[:-1])
    assert np.sum(targets == EOS) == np.sum(tokens == EOS)
    assert np.sum(targets == IGNORE) == 1
    assert 0.3 < np.mean(targets == UNK) < 0.5
    assert {*targets.ravel()} <= {*tokens, UNK}
    assert (tokens != UNK).all()  # the corpus itself is left alone


def test_unk_is_drawn_at_its_rate_and_afresh_in_each_pass() -> None:
    tokens = numbered_tokens(20_000, end_every=20_000)
    replaced = []
    for number in (0, 1):
        _, targets = one_pass(Batches(tokens, 4, 50, 0, unk_rate=0.01), number)
        replaced.append({*tokens} - {*targets.ravel()})
        assert 140 < len(replaced[-1]) < 260
    assert len(replaced[0] & replaced[1]) < 20


@pytest.mark.parametrize("line_end", [IGNORE, 5, 10_000])
def test_a_restart_is_an_eos_after_a_line_end_and_leaves_the_targets_alone(line_end: int) -> None:
    tokens = np.random.default_rng(0).integers(2, 12, 3000, dtype=np.int32)
    tokens[-1] = IGNORE
    plain, restarted = (Batches(tokens, 5, 20, 0, 0.0, rate, line_end) for rate in (0.0, 1.0))
    for (inputs, targets), (changed, same) in zip(plain.epoch(0), restarted.epoch(0), strict=True):
        np.testing.assert_array_equal(same, targets)
        expected = inputs.copy()
        for column in expected.T:
            places = [place for place, token in enumerate(column) if token == line_end]
            column[places[0] if places else 0] = EOS
        np.testing.assert_array_equal(changed, expected)


def test_a_share_of_the_chunks_restarts() -> None:
    tokens = numbered_tokens(40_000, end_every=40_000)
    inputs, _ = one_pass(Batches(tokens, 8, 10, 0, restart_rate=0.25))
    assert 900 < np.sum(inputs == EOS) < 1100  # of 4000 chunks


def test_batches_leave_the_tokens_alone() -> None:
    tokens = numbered_tokens(100)
    tokens.flags.writeable = False
    one_pass(Batches(tokens, 2, 5, 0, unk_rate=0.5, restart_rate=1.0))
