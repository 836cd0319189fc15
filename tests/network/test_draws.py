"""Random numbers are the same however the columns of a batch are shared."""

import numpy as np
import pytest

from charrnn.network.draws import Draws

pytestmark = pytest.mark.figures


def draws(wanted: tuple[slice, int] | None = None) -> Draws:
    return Draws(np.random.default_rng(0), wanted)


def test_columns_have_the_same_numbers_whoever_draws_the_others() -> None:
    whole = draws()
    parts = [draws((slice(0, 2), 5)), draws((slice(2, 5), 5))]
    for _ in range(2):
        together = whole.random((3, 5))
        apart = [parts[0].random((3, 2)), parts[1].random((3, 3))]
        np.testing.assert_array_equal(np.concatenate(apart, axis=-1), together)
        mask = whole.mask(np.empty((4, 5, 6), np.float32), 0.3)
        masks = [parts[0].mask(np.empty((4, 2, 6), np.float32), 0.3)]
        masks += [parts[1].mask(np.empty((4, 3, 6), np.float32), 0.3)]
        np.testing.assert_array_equal(np.concatenate(masks, axis=1), mask)


def test_a_mask_of_weights_is_the_same_for_all_columns() -> None:
    out, other = np.empty((6, 7)), np.empty((6, 7))
    draws((slice(0, 2), 5)).weight_mask(out, 0.5)
    draws((slice(2, 5), 5)).weight_mask(other, 0.5)
    np.testing.assert_array_equal(out, other)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_mask_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    out = np.empty((100, 10, 100), np.float32)
    assert draws().mask(out, rate) is out
    assert np.mean(out == 0) == pytest.approx(rate, abs=0.01)
    assert np.unique(out).tolist() == [0, np.float32(1 / (1 - rate))]
    assert out.mean() == pytest.approx(1, abs=0.02)
