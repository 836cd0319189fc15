"""Products in blocks equal plain matrix products."""

import numpy as np
import pytest

from charrnn.network import blocks
from charrnn.network.blocks import column_blocks, multiply, multiply_parts, row_parts

pytestmark = pytest.mark.figures

Array = np.ndarray
B, K, N = 8, 128, 256


@pytest.fixture(params=[True, False])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether BLAS multiplies small matrices without repacking them."""
    found = bool(request.param)
    monkeypatch.setattr(blocks, "has_small_products", lambda: found)
    monkeypatch.setattr(blocks, "_SMALL", B * K * 64)
    return found


def random(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape)


def test_a_matrix_is_cut_where_small_ones_are_not_copied(small: bool) -> None:
    assert column_blocks(random(K, N), B).shape == ((4, K, 64) if small else (1, K, N))
    assert column_blocks(random(3, K, N), B).shape == ((3, 4, K, 64) if small else (3, 1, K, N))
    assert column_blocks(random(K, N), 1).shape == (1, K, N)  # small enough for one block
    assert (
        column_blocks(random(K, 48), 100 * B).shape[-1] == 48
    )  # blocks are of 16 columns and more
    assert row_parts(random(3 * K, N), 3, B).shape == ((3, 4, K, 64) if small else (1, 1, 3 * K, N))


@pytest.mark.usefixtures("small")
def test_blocks_have_the_product_of_the_whole() -> None:
    x, matrices, out = random(B, K), random(3, K, N), np.empty((3, B, N))
    assert multiply(x, column_blocks(matrices, B), out) is out
    np.testing.assert_allclose(out, x @ matrices, atol=1e-11)


@pytest.mark.usefixtures("small")
def test_steps_are_multiplied_at_once() -> None:
    x, matrix, out = random(5, B, K), random(K, N), np.empty((5, B, N))
    multiply(x, column_blocks(matrix, B), out)
    np.testing.assert_allclose(out, x @ matrix, atol=1e-11)


def test_many_rows_are_multiplied_some_at_a_time(small: bool) -> None:
    x, matrices, whole = random(5, 3 * 32, K), random(K, N), np.zeros((5, 2, 3 * 32, N))
    found = column_blocks(matrices, 3 * 32)
    assert found.shape == (column_blocks(matrices, 32).shape if small else (1, K, N))
    multiply(x, found, whole[:, 1])
    np.testing.assert_allclose(whole[:, 1], x @ matrices, atol=1e-11)
    gates, out = random(3, K, N), np.empty((3, 64, N))
    multiply(x[0, :64], column_blocks(gates, 64), out)
    np.testing.assert_allclose(out, x[0, :64] @ gates, atol=1e-11)


@pytest.mark.usefixtures("small")
def test_a_strided_result_is_written_where_it_lies() -> None:
    x, matrices, whole = random(B, K), random(3, K, N), np.zeros((3, 2, B, N))
    multiply(x, column_blocks(matrices, B), whole[:, 1])
    np.testing.assert_allclose(whole[:, 1], x @ matrices, atol=1e-11)
    assert not whole[:, 0].any()


@pytest.mark.usefixtures("small")
def test_parts_of_rows_add_up() -> None:
    x, matrix = random(B, 4 * K)[:, K:], random(3 * K, N)
    out, work = np.empty((B, N)), np.empty((4, B, N))
    assert multiply_parts(x, row_parts(matrix, 3, B), out, work) is out
    np.testing.assert_allclose(out, x @ matrix, atol=1e-11)
