"""Products with the same matrix at every step of time, cut into blocks that BLAS multiplies as is.

OpenBLAS copies a matrix into another order before it multiplies by it, which pays where many rows
are multiplied. At a step of time there are as few as streams side by side. With AVX-512 it leaves
that out in products of at most 10⁶ multiplications, so there a matrix is cut into blocks of columns
that stay below, which saves up to a quarter of the time. Many rows are multiplied 32 at a time, as
narrower blocks for more of them are slower. Elsewhere there is one block.

Letters: B rows of what is multiplied, (K, N) the shape of a matrix, n blocks of w columns.
"""

import numpy as np

from charrnn.parallel.threads import blas_kernel

Array = np.ndarray

_SMALL = 10**6  # multiplications
_ROWS = 32  # of many that are multiplied at a time
_SMALL_KERNELS = {"skylakex", "cooperlake", "sapphirerapids"}


def has_small_products() -> bool:
    """Whether BLAS multiplies small matrices as they are."""
    return blas_kernel() in _SMALL_KERNELS


def column_blocks(matrix: Array, rows: int) -> Array:
    """Copy matrices (..., K, N) to blocks of their columns (..., n, K, w).

    Args:
        rows: B of what they will be multiplied by.
    """
    *others, K, N = matrix.shape
    width, rows = N, _rows_at_once(rows)
    while has_small_products() and rows * K * width > _SMALL and width % 32 == 0:
        width //= 2
    blocks = matrix.reshape(*others, K, N // width, width).swapaxes(-3, -2)
    return np.ascontiguousarray(blocks)


def row_parts(matrix: Array, parts: int, rows: int) -> Array:
    """Copy a matrix (K, N) as parts of its rows, each in blocks of columns (parts, n, K/parts, w).

    There is one part where BLAS copies anyway.

    Args:
        rows: B of what it will be multiplied by.
    """
    parts = parts if has_small_products() else 1
    return column_blocks(matrix.reshape(parts, -1, matrix.shape[1]), rows)


def multiply(x: Array, blocks: Array, out: Array) -> Array:
    """Write x (..., B, K) times a matrix in `column_blocks` to `out` (..., B, N), and return it."""
    (n, K, width), rows = blocks.shape[-3:], _rows_at_once(x.shape[-2])
    if rows < x.shape[-2]:
        x, blocks = x.reshape(*x.shape[:-2], -1, rows, K), blocks[..., None, :, :, :]
        shape = *out.shape[:-2], -1, rows, n, width
    else:
        shape = *out.shape[:-1], n, width
    np.matmul(x[..., None, :, :], blocks, out=out.reshape(shape).swapaxes(-3, -2))
    return out


def _rows_at_once(rows: int) -> int:
    """How many of so many rows are multiplied at a time."""
    return _ROWS if rows > _ROWS and rows % _ROWS == 0 and has_small_products() else rows


def multiply_parts(x: Array, parts: Array, out: Array, work: Array) -> Array:
    """Write x (B, K) times a matrix in `row_parts` to `out` (B, N), and return it.

    Args:
        work: room for as many products (parts, B, N).
    """
    if len(parts) == 1:
        return multiply(x, parts[0], out)
    x = x.reshape(len(x), len(parts), -1).swapaxes(0, 1)
    found: Array = multiply(x, parts, work[: len(parts)]).sum(axis=0, out=out)
    return found
