import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import TrainConfig
from charrnn.ids import EOS, IGNORE, NUM_SPECIAL, UNK
from charrnn.text.tokens import Tokens, learn_vocabulary, split_documents, tokenize
from charrnn.training import batches as module
from charrnn.training.batches import Batches
from tests.conftest import CHARACTERS, documents_of

Array = np.ndarray

quick = settings(deadline=None, max_examples=60, derandomize=True)
sizes = st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)  # B, T, chunks


def batches_of(
    tokens: Array | Tokens,
    B: int,
    T: int,
    seed: int,
    *,
    line_end: int = IGNORE,
    streams: slice | None = None,
    **rates: float,
) -> Batches:
    """Batches without <UNK> and restarts unless they are asked for."""
    settings: dict[str, Any] = {"unk_rate": 0.0, "restart_rate": 0.0, **rates}
    config = TrainConfig(steps=1, batch_size=B, seq_len=T, seed=seed, **settings)
    return Batches(tokens, config, line_end, streams)


def numbered_tokens(size: int, end_every: int = 7, last: int = EOS) -> Array:
    """Tokens that tell their place: each is one more than the one before, in documents."""
    tokens = np.arange(NUM_SPECIAL, NUM_SPECIAL + size, dtype=np.int32)
    tokens[end_every - 1 :: end_every] = EOS
    tokens[-1] = last
    return tokens


def one_pass(batches: Batches, number: int = 0) -> tuple[Array, Array]:
    """Inputs and targets of a pass, its chunks one after another in time."""
    chunks = [*batches.epoch(number)]
    assert len(chunks) == batches.chunks_per_epoch
    for inputs, targets in chunks:
        assert inputs.shape == targets.shape == (batches.config.seq_len, batches.config.batch_size)
        assert inputs.dtype == targets.dtype == batches.tokens.dtype
    inputs, targets = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return inputs, targets


@quick
@given(*sizes, st.integers(1, 9), st.integers(0, 3))
def test_a_pass_has_every_token_as_a_target_once_when_sizes_divide(
    B: int, T: int, chunks: int, end_every: int, seed: int
) -> None:
    tokens = numbered_tokens(B * T * chunks, end_every)
    batches = batches_of(tokens, B, T, seed)
    assert batches.chunks_per_epoch == chunks
    _, targets = one_pass(batches)
    assert sorted(targets.ravel()) == sorted(tokens)


@quick
@given(st.integers(1, 60), *sizes[:2], st.integers(0, 3))
def test_a_pass_leaves_no_token_out_whatever_the_sizes(N: int, B: int, T: int, seed: int) -> None:
    tokens = numbered_tokens(N)
    batches = batches_of(tokens, B, T, seed)
    _, targets = one_pass(batches)
    assert {*targets.ravel()} == {*tokens}
    assert 0 <= targets.size - N < B * T


@quick
@given(st.integers(2, 60), *sizes[:2], st.sampled_from([EOS, IGNORE]))
def test_inputs_are_the_tokens_before_the_targets(N: int, B: int, T: int, last: int) -> None:
    tokens = numbered_tokens(N, last=last)
    inputs, targets = one_pass(batches_of(tokens, B, T, 0))
    np.testing.assert_array_equal(inputs[1:], targets[:-1])  # between chunks too
    before = dict(zip(tokens, np.roll(tokens, 1), strict=True))
    for target, token in zip(targets.ravel(), inputs.ravel(), strict=True):
        if target > EOS:
            assert token == before[target] or (token <= EOS and before[target] <= EOS)


@quick
@given(*sizes)
def test_a_stream_ends_where_the_next_one_started(B: int, T: int, chunks: int) -> None:
    inputs, targets = one_pass(batches_of(numbered_tokens(B * T * chunks), B, T, 0))
    np.testing.assert_array_equal(inputs[0], np.roll(targets[-1], 1))


def test_documents_come_in_another_order_and_whole() -> None:
    tokens = numbered_tokens(7 * 8)
    _, targets = one_pass(batches_of(tokens, 1, 8, 0))
    ring = targets.ravel()
    ring = np.roll(ring, -1 - int(np.flatnonzero(ring == EOS)[0]))
    found, documents = ([*map(tuple, split_documents(part))] for part in (ring, tokens))
    assert sorted(found) == sorted(documents)
    first = found.index(documents[0])
    assert found[first:] + found[:first] != documents


def test_a_pass_depends_on_seed_and_number_alone() -> None:
    def fresh(seed: int) -> Batches:
        return batches_of(
            numbered_tokens(500), 4, 5, seed, unk_rate=0.1, restart_rate=0.3, line_end=9
        )

    batches = fresh(seed=1)
    expected = one_pass(batches, 3)
    one_pass(batches, 0)
    for same in (one_pass(batches, 3), one_pass(fresh(seed=1), 3)):
        np.testing.assert_array_equal(same, expected)
    for other in (one_pass(batches, 4), one_pass(fresh(seed=2), 3)):
        assert not np.array_equal(other, expected)


def test_one_document_starts_elsewhere_in_each_pass() -> None:
    batches = batches_of(numbered_tokens(1000, end_every=1000), 1, 10, 0)
    assert len({int(next(batches.epoch(number))[1][0, 0]) for number in range(10)}) > 5


def test_unk_replaces_input_and_target_alike_and_never_an_end() -> None:
    tokens = numbered_tokens(20_000, end_every=20, last=IGNORE)
    batches = batches_of(tokens, 4, 50, 0, unk_rate=0.5)
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
        _, targets = one_pass(batches_of(tokens, 4, 50, 0, unk_rate=0.01), number)
        replaced.append({*tokens} - {*targets.ravel()})
        assert 140 < len(replaced[-1]) < 260
    assert len(replaced[0] & replaced[1]) < 20


NEWLINE = 5


def beginnings(text: str, T: int = 20, B: int = 5) -> tuple[list[str], float]:
    """What stands around each restart, with / for a newline; their share of the chunks."""
    tokens = np.array([NEWLINE if char == "/" else 6 + ord(char) for char in text] + [IGNORE])
    plain, restarted = (
        batches_of(tokens, B, T, 0, restart_rate=rate, line_end=NEWLINE) for rate in (0.0, 0.25)
    )
    found, chunks = [], 0
    for (inputs, targets), (changed, same) in zip(plain.epoch(0), restarted.epoch(0), strict=True):
        np.testing.assert_array_equal(same, targets)
        rows, columns = np.nonzero(inputs != changed)
        assert (changed[rows, columns] == EOS).all()
        chunks += B
        for row, column in zip(rows, columns, strict=True):
            around = [*inputs[max(0, row - 1) : row + 1, column], targets[row, column]]
            found.append("".join("/" if t == NEWLINE else chr(t - 6) for t in around))
    return found, len(found) / chunks


def test_a_restart_is_where_a_paragraph_begins() -> None:
    found, share = beginnings("This is a line/and another///" * 400)
    assert {*found} == {"//T"}
    assert 0.2 < share < 0.3  # as often as asked for, though not every chunk has a paragraph


def test_a_restart_is_where_a_line_begins_if_paragraphs_are_rare() -> None:
    found, share = beginnings("This is a line/and Another/" * 400 + "//")
    assert {each[-2:] for each in found} == {"/a", "/T"}
    assert 0.2 < share < 0.3


def test_a_restart_is_anywhere_in_a_text_without_lines() -> None:
    for text in ("This is no line " * 400, "Few lines are too few to learn from " * 300 + "/A"):
        found, share = beginnings(text)
        assert len({*found}) > 5
        assert 0.2 < share < 0.3


def test_a_share_of_the_chunks_restarts() -> None:
    tokens = numbered_tokens(40_000, end_every=40_000)
    inputs, _ = one_pass(batches_of(tokens, 8, 10, 0, restart_rate=0.25))
    assert 900 < np.sum(inputs == EOS) < 1100  # of 4000 chunks


def test_batches_leave_the_tokens_alone() -> None:
    tokens = numbered_tokens(100)
    tokens.flags.writeable = False
    one_pass(batches_of(tokens, 2, 5, 0, unk_rate=0.5, restart_rate=1.0))


@quick
@given(*sizes, st.integers(1, 12), st.integers(0, 20), st.integers(1, 60))
def test_a_pass_goes_on_at_any_step_as_if_it_had_not_stopped(
    B: int, T: int, chunks: int, end_every: int, start: int, segment: int
) -> None:
    tokens = numbered_tokens(B * T * chunks, end_every)
    batches = batches_of(tokens, B, T, 0, unk_rate=0.3, restart_rate=0.3, line_end=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SEGMENT", segment)
        whole, rest = [*batches.epoch(2)], [*batches.epoch(2, start)]
    assert len(rest) == max(0, len(whole) - start)
    for found, expected in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(found, expected)


@quick
@given(st.integers(1, 60), *sizes[:2], st.integers(1, 60), st.sampled_from([0.0, 0.4]))
def test_segments_leave_no_seam(N: int, B: int, T: int, segment: int, unk_rate: float) -> None:
    def read() -> tuple[Array, Array]:
        return one_pass(batches_of(numbered_tokens(N), B, T, 0, unk_rate=unk_rate))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SEGMENT", segment)
        inputs, targets = read()
    np.testing.assert_array_equal(inputs[1:], targets[:-1])
    if not unk_rate:
        np.testing.assert_array_equal((inputs, targets), read())


@quick
@given(st.integers(1, 60), *sizes[:2], st.sampled_from([0.0, 0.3]))
def test_some_streams_are_those_columns_of_all_of_them(N: int, B: int, T: int, rate: float) -> None:
    def chunks(streams: slice | None = None) -> list[tuple[Array, Array]]:
        batches = batches_of(
            numbered_tokens(N), B, T, 0, streams=streams, unk_rate=rate, restart_rate=rate
        )
        return [*batches.epoch(0)]

    columns = [chunks(slice(column, column + 1)) for column in range(B)]
    for chunk, *parts in zip(chunks(), *columns, strict=True):
        np.testing.assert_array_equal(chunk, np.concatenate(parts, axis=-1))


def test_documents_give_the_batches_of_their_tokens() -> None:
    documents = documents_of(["some words", "한국어 글", "x"] * 30).select(np.arange(5, 70))
    documents, _ = documents.cut_off(20, 4)
    tokens = tokenize(learn_vocabulary(documents, CHARACTERS), documents)
    assert len(tokens) == documents.chars + 65
    lazy, eager = (
        batches_of(source, 3, 7, 0, unk_rate=0.1, restart_rate=0.2)
        for source in (tokens, tokens.array())
    )
    for number in (0, 1):
        np.testing.assert_array_equal(one_pass(lazy, number), one_pass(eager, number))


@quick
@given(*sizes, st.integers(1, 3), st.integers(0, 20))
def test_steps_go_on_anywhere_pass_after_pass(
    B: int, T: int, chunks: int, accumulate: int, start: int
) -> None:
    config = TrainConfig(steps=1, batch_size=B, seq_len=T, accumulate=accumulate)
    batches = Batches(numbered_tokens(B * T * chunks), config)
    assert batches.steps_per_epoch == -(-chunks // accumulate)
    whole = [*itertools.islice(batches.steps(), start + 3)]
    passes = [chunk for number in range(25) for chunk in batches.epoch(number)]
    read = [chunk for step in whole for chunk in step]
    for found, expected in zip(read, passes, strict=False):
        np.testing.assert_array_equal(found, expected)
    later = itertools.islice(batches.steps(start), 3)
    for step, same in zip(later, whole[start:], strict=True):
        np.testing.assert_array_equal(step, same)
