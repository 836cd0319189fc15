"""Fast products of a few rows with the same matrix at every time step.

OpenBLAS repacks a matrix before it multiplies by it. That pays off for many rows, but a time step
has only as many rows as there are streams. Its AVX-512 kernels skip the repacking for products of
at most 10⁶ multiplications. With these kernels, matrices are cut into blocks of columns that stay
below this limit, which saves up to a quarter of the time. More than 32 rows are multiplied 32 at a
time, which is faster than narrower blocks. With other kernels there is one block.

Letters: B rows of the left factor, (K, N) shape of the matrix, n blocks of w columns.
"""

import numpy as np

from charrnn.parallel.threads import blas_kernel

Array = np.ndarray

_SMALL = 10**6  # multiplications
_ROWS = 32  # multiplied at a time where there are more
_SMALL_KERNELS = {"skylakex", "cooperlake", "sapphirerapids"}


def has_small_products() -> bool:
    """Whether this BLAS multiplies small matrices without repacking them."""
    return blas_kernel() in _SMALL_KERNELS


def column_blocks(matrix: Array, rows: int) -> Array:
    """Return matrices (..., K, N) as blocks of columns (..., n, K, w), for `multiply`.

    Args:
        rows: B of the left factor.
    """
    *others, K, N = matrix.shape
    width, rows = N, _rows_at_once(rows)
    while has_small_products() and rows * K * width > _SMALL and width % 32 == 0:
        width //= 2
    blocks = matrix.reshape(*others, K, N // width, width).swapaxes(-3, -2)
    return np.ascontiguousarray(blocks)


def row_parts(matrix: Array, parts: int, rows: int) -> Array:
    """Return a matrix (K, N) as parts of its rows in blocks (parts, n, K/parts, w).

    For `multiply_parts`. There is one part where BLAS repacks anyway.

    Args:
        rows: B of the left factor.
    """
    parts = parts if has_small_products() else 1
    return column_blocks(matrix.reshape(parts, -1, matrix.shape[1]), rows)


def multiply(x: Array, blocks: Array, out: Array) -> Array:
    """Write the product of x (..., B, K) and `column_blocks` to `out` (..., B, N); return `out`."""
    (n, K, width), rows = blocks.shape[-3:], _rows_at_once(x.shape[-2])
    if rows < x.shape[-2]:
        x, blocks = x.reshape(*x.shape[:-2], -1, rows, K), blocks[..., None, :, :, :]
        shape = *out.shape[:-2], -1, rows, n, width
    else:
        shape = *out.shape[:-1], n, width
    np.matmul(x[..., None, :, :], blocks, out=out.reshape(shape).swapaxes(-3, -2))
    return out


def _rows_at_once(rows: int) -> int:
    """Return how many of these rows are multiplied at a time."""
    return _ROWS if rows > _ROWS and rows % _ROWS == 0 and has_small_products() else rows


def multiply_parts(x: Array, parts: Array, out: Array, work: Array) -> Array:
    """Write the product of x (B, K) and `row_parts` to `out` (B, N); return `out`.

    Args:
        work: scratch (parts, B, N).
    """
    if len(parts) == 1:
        return multiply(x, parts[0], out)
    x = x.reshape(len(x), len(parts), -1).swapaxes(0, 1)
    found: Array = multiply(x, parts, work[: len(parts)]).sum(axis=0, out=out)
    return found
