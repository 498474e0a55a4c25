"""Blocks: sums over a linear kernel between samples by blocks of its rows, and its spectrum without ever making it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from blockspin.errors import TooFewSamplesError

ENTRIES = 2**23
"""Most entries of a block of rows (64 MiB): kernels of up to 2,896 samples are one block."""


def centred(values: Tensor) -> Tensor:
    """Return a field [n, ...] as float64 [n, D], centred on its mean over the samples."""
    x = values.reshape(len(values), -1).to(torch.float64)
    return x - x.mean(0)


def row_blocks(samples: int) -> Iterator[slice]:
    """Yield slices of the samples such that a block of as many rows of a kernel has a bounded size."""
    step = max(1, ENTRIES // max(1, samples))
    return (slice(start, min(start + step, samples)) for start in range(0, samples, step))


def subset_products(x: Tensor, y: Tensor, masks: Tensor) -> Tensor:
    """Return the unbiased products of the linear kernels of two fields on many subsets of the samples at once.

    HSIC_1 of song2012 for (x, y), (x, x) and (y, y), float64 [3, subsets]. Each kernel's rows are made a block at a
    time, so that memory is that of the fields and of one block, whatever the number of samples.

    Args:
        x: float64 [n, D], centred.
        y: float64 [n, D'], centred.
        masks: bool [subsets, n].

    Raises:
        TooFewSamplesError: If a subset has fewer than four samples.
    """
    z, m = masks.to(torch.float64).T, masks.sum(1).to(torch.float64)
    if float(m.min()) < 4:
        raise TooFewSamplesError("an unbiased product of kernels needs four samples", "Give more samples.")
    sums = torch.zeros(2, *z.shape, dtype=torch.float64)
    inner = torch.zeros(3, len(masks), dtype=torch.float64)
    for rows in row_blocks(len(x)):
        K, L = (_without_diagonal(field[rows] @ field.T, rows) for field in (x, y))
        sums[0, rows], sums[1, rows] = (K @ z) * z[rows], (L @ z) * z[rows]
        for number, (first, second) in enumerate(((K, L), (K, K), (L, L))):
            inner[number] += ((first * second) @ z * z[rows]).sum(0)
    pairs = ((0, 1), (0, 0), (1, 1))
    return torch.stack([_unbiased(inner[k], sums[i], sums[j], m) for k, (i, j) in enumerate(pairs)])


def _unbiased(inner: Tensor, rows: Tensor, columns: Tensor, m: Tensor) -> Tensor:
    """Return HSIC_1 from the sum of the products of two kernels without diagonal and from their row sums."""
    total = rows.sum(0) * columns.sum(0) / ((m - 1) * (m - 2))
    return (inner + total - (rows * columns).sum(0) * 2 / (m - 2)) / (m * (m - 3))


def _without_diagonal(block: Tensor, rows: slice) -> Tensor:
    block[torch.arange(len(block)), torch.arange(rows.start, rows.stop)] = 0
    return block


def leading_eigenvalues(x: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """Return the largest eigenvalues of the kernel x x^t, float64 [count], descending, by Lanczos' iteration.

    The kernel only acts, through x (x^t v): memory is that of the field and of some vectors. Where the smaller side
    of the field is not much larger than ``count``, it is diagonalised instead. Accurate to 1e-10 of the largest.

    Args:
        x: float64 [n, D], centred where the centred kernel is meant.
        count: How many; those beyond the smaller side are zero.
        generator: Where the iteration starts.

    Source:
        lanczos1950.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    tall = x if x.shape[0] >= x.shape[1] else x.T
    side = tall.shape[1]
    leading = torch.zeros(count, dtype=torch.float64)
    if side <= 4 * count:
        found = torch.linalg.eigvalsh(tall.T @ tall).flip(0).clamp(min=0)[:count]
    else:
        start = torch.randn(side, dtype=torch.float64, generator=generator).numpy()

        def act(vector):
            return (tall.T @ (tall @ torch.from_numpy(vector.reshape(-1)))).numpy()

        operator = LinearOperator((side, side), matvec=act, dtype=start.dtype)
        values = eigsh(operator, k=count, v0=start, tol=1e-12, return_eigenvectors=False)
        found = torch.from_numpy(values.copy()).sort(descending=True).values.clamp(min=0)
    leading[: len(found)] = found
    return leading


def squared_norm(x: Tensor) -> Tensor:
    """Return the sum of the squared entries of the kernel x x^t: by blocks of its rows, or of its dual's where smaller.

    Args:
        x: float64 [n, D].
    """
    small = x if x.shape[0] <= x.shape[1] else x.T
    parts = ((small[rows] @ small.T).square().sum() for rows in row_blocks(len(small)))
    return torch.stack(list(parts)).sum()
