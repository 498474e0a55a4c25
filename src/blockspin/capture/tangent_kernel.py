"""Tangent kernel: exact products with the empirical tangent kernel of all records, which is never made."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from blockspin.capture.tangent import TangentPass
from blockspin.errors import ConfigError, ShapeError


def product(reading: TangentPass, vector: Tensor) -> Tensor:
    r"""Return K v float64 [records], with :math:`K = J J^t` and J the gradients of all records, whole.

    Two readings of the data: the first adds up :math:`J^t v` (one backward pass a batch), the second takes its product
    with each gradient (forward differentiation). Memory is that of two gradients, whatever the number of records and
    outputs. Sums over records are in float64, gradients in the precision of the network.

    Args:
        reading: The pass.
        vector: [records], in the order of the pass's sample.

    Raises:
        ShapeError: If there is not one entry a record.
    """
    records = len(reading.reading.sample)
    if vector.shape != (records,):
        raise ShapeError(f"a vector of shape {tuple(vector.shape)} is not one number for each of {records} records")
    return push_forward(reading, pull_back(reading, vector))


def pull_back(reading: TangentPass, vector: Tensor) -> dict[str, Tensor]:
    """Return J^t v: the sum over records of v times the gradient, float64, by parameter."""
    total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in reading.tensors().items()}
    for rows in _batches(reading):
        for name, part in reading.pulled_back(rows.tolist(), vector[rows]).items():
            total[name] += part
    return total


def push_forward(reading: TangentPass, direction: Mapping[str, Tensor]) -> Tensor:
    """Return J u float64 [records]: the change of each record's number along a direction in parameter space.

    Where an operation of the network has no forward derivative, gradients are taken one by one instead.
    """
    found = torch.zeros(len(reading.reading.sample), dtype=torch.float64)
    for rows in _batches(reading):
        found[rows] = _along(reading, rows.tolist(), direction).cpu().to(torch.float64)
    return found


def leading_eigenvalues(reading: TangentPass, count: int, *, generator: torch.Generator) -> Tensor:
    """Return the largest eigenvalues of the uncentred kernel K, float64 [count], descending, by Lanczos' iteration.

    Some tens of products, each two readings of the data. Accurate to 1e-6 of the largest for a network in float32.

    Args:
        reading: The pass.
        count: How many, fewer than records.
        generator: Where the iteration starts.

    Raises:
        ConfigError: If ``count`` is not between 1 and the number of records less one.

    Source:
        lanczos1950; jacot2018 for the kernel.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    records = len(reading.reading.sample)
    if not 1 <= count < records:
        raise ConfigError("count", count, f"an integer between 1 and {records - 1}.")
    start = torch.randn(records, dtype=torch.float64, generator=generator).numpy()

    def act(vector: np.ndarray) -> np.ndarray:
        return product(reading, torch.from_numpy(np.ascontiguousarray(vector.reshape(-1)))).numpy()

    operator = LinearOperator((records, records), matvec=act, dtype=start.dtype)
    values = eigsh(operator, k=count, v0=start, tol=1e-7, return_eigenvectors=False)
    return torch.from_numpy(np.sort(values)[::-1].copy())


def _batches(reading: TangentPass) -> Sequence[Tensor]:
    return [rows for shard in reading.shards() for rows in reading.reading.rows(shard)]


def _along(reading: TangentPass, rows: Sequence[int], direction: Mapping[str, Tensor]) -> Tensor:
    tensors = reading.tensors()
    tangents = {name: direction[name].to(value) for name, value in tensors.items()}
    inputs = reading.inputs(rows)

    def numbers(given: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(reading.whole, given, (inputs,))

    try:
        with warnings.catch_warnings():  # on first use torch loads scripts of its own that it calls deprecated
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
            return torch.func.jvp(numbers, (tensors,), (tangents,))[1].detach()
    except NotImplementedError:
        gradients = (reading.gradient(row) for row in rows)
        return torch.stack([sum((g[k] * tangents[k]).sum() for k in tangents) for g in gradients])  # type: ignore[misc]
