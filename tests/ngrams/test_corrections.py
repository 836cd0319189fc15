"""Rows with corrections equal the same rows written out."""

import numpy as np
import pytest

from charrnn.ngrams.corrections import Corrections, expand

pytestmark = pytest.mark.figures

TABLE = np.array([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]], np.float32)
PARTS = [
    ([0, 1], [0.0, -0.5], [0, 2], [0, 2], [-7.0, -8.0]),
    ([0], [0.25], [1], [1], [-9.0]),
]
WRITTEN_OUT = [[-1.0, -2.0, -3.0], [-7.0, -5.5, -8.0], [-0.75, -9.0, -2.75]]


def joined(most: int) -> Corrections | None:
    return Corrections.joined(TABLE, (tuple(map(np.array, part)) for part in PARTS), most)


def test_a_distribution_is_a_row_that_is_shifted_and_corrected() -> None:
    corrections, table = joined(3), TABLE.copy()
    assert corrections is not None
    wanted = np.array([2, 1, 1, 0, 2])
    np.testing.assert_array_equal(corrections.log_probs(wanted), np.array(WRITTEN_OUT)[wanted])
    np.testing.assert_array_equal(corrections.table, table)


def test_more_than_there_is_room_for_is_not_kept() -> None:
    assert joined(2) is None


def test_ranges_are_expanded_side_by_side() -> None:
    positions, numbers = expand(np.array([5, 0, 9]), np.array([2, 0, 3]))
    np.testing.assert_array_equal(positions, [0, 0, 2, 2, 2])
    np.testing.assert_array_equal(numbers, [5, 6, 9, 10, 11])
