"""The memory: step by step, over a whole text, and by a slow search."""

import numpy as np
import pytest

from charrnn.ids import EOS, IGNORE
from charrnn.mixing.recall import NONE, Index, hashed, histories, read, recall

Array = np.ndarray
LENGTHS = (2, 3, 5)


def text() -> tuple[Array, Array]:
    """Inputs and targets of documents over three letters, one of them cut."""
    rng = np.random.default_rng(8)
    tokens = rng.integers(2, 5, 400)
    tokens[[40, 41, 140, 300]] = EOS
    tokens[200] = IGNORE
    return np.append(EOS, tokens[:-1]), tokens


def slowly(inputs: Array, place: int, length: int, memory: int) -> list[int]:
    """The last two tokens that followed the last `length` inputs in memory."""
    start = max(at for at in range(place + 1) if inputs[at] <= EOS)
    read = [EOS, *inputs[start + 1 : place + 1].tolist()][-memory:]
    followed = [
        read[at + length]
        for at in range(len(read) - length)
        if len(read) >= length and read[at : at + length] == read[-length:]
    ]
    return [NONE, NONE, *followed][-2:]


@pytest.mark.parametrize("memory", [8, 60, 1000])
@pytest.mark.parametrize("length", LENGTHS)
def test_histories_are_those_of_a_slow_search(length: int, memory: int) -> None:
    inputs, targets = text()
    found = histories(inputs, targets, length, memory)
    expected = [slowly(inputs, place, length, memory) for place in range(len(inputs))]
    assert found.T.tolist() == expected


@pytest.mark.parametrize("memory", [8, 60])
def test_recall_step_by_step_agrees_with_histories(memory: int) -> None:
    inputs, targets = text()
    streams = np.stack([inputs, inputs[::-1]], axis=1)
    recent = np.full((2, memory), IGNORE, np.int32)
    found = [recall(after, LENGTHS)[..., 0] for after in read(recent, streams)]
    expected = [histories(inputs, targets, length, memory) for length in LENGTHS]
    assert np.array_equal(np.stack(found, axis=-1), np.stack(expected))


@pytest.mark.parametrize("memory", [8, 60])
def test_an_index_agrees_with_histories(memory: int) -> None:
    inputs, targets = text()
    fresh = np.full((1, memory), IGNORE)
    last = [after[0, :3].tolist() for after in read(fresh, inputs[:, None])]
    index, again = Index(LENGTHS, memory), Index(LENGTHS, memory)
    expected = np.stack([histories(inputs, targets, length, memory) for length in LENGTHS])
    for place, token in enumerate(inputs.tolist()):
        found = index.add(token)
        assert index.last(3) == last[place]
        rest = [(NONE, NONE)] * (len(LENGTHS) - len(found))
        assert [*found, *rest] == [tuple(own) for own in expected[..., place].tolist()]
        if place == 350:
            again.reset(inputs[301:351].tolist()[-memory:])
        elif place > 350:
            assert again.add(token) == found


def test_a_start_forgets() -> None:
    recent = np.array([[6, 5, 4, IGNORE], [9, 8, 7, EOS]])
    after = [each.tolist() for each in read(recent, np.array([[IGNORE, 3], [4, 5]]))]
    assert after == [
        [[EOS, IGNORE, IGNORE, IGNORE], [3, 9, 8, 7]],
        [[4, EOS, IGNORE, IGNORE], [5, 3, 9, 8]],
    ]


def test_hashes_tell_columns_apart() -> None:
    columns = np.array(np.meshgrid(*[np.arange(-1, 20)] * 3)).reshape(3, -1)
    assert len(np.unique(hashed(list(columns)) >> np.uint64(32))) > 0.999 * columns.shape[1]
