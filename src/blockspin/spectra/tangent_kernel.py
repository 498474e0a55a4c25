"""Tangent kernel: exact products with the empirical tangent kernel of all records, which is never made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blockspin.capture.tangent import TangentPass
from blockspin.capture.tangent_product import PRODUCT, PullBack, PushForward, TangentProduct
from blockspin.engine.base import Executor, Task
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.ensemble import Batch
from blockspin.errors import ConfigError
from blockspin.observables.base import Estimator, State, SumMonoid

IN_TURN = Serial()


@dataclass(frozen=True)
class Total(SumMonoid):
    """The weighted sum of a field over the samples. State: "total" float64 [sites, components]."""

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        weighted = batch.values.to(torch.float64) * batch.weights[:, None, None]
        return {"total": weighted.sum(0)}


@dataclass(frozen=True)
class Sum(Estimator):
    """The sum of a field over the samples."""

    name = "sum"
    source = ""
    units: ClassVar[Mapping[str, str]] = {"total": "field"}

    @property
    def monoid(self) -> Total:
        """The sum."""
        return Total()

    def value(self, state: State) -> dict[str, Tensor]:
        """Return it."""
        return {"total": state["total"]}


def product(reading: TangentPass, vector: Tensor, *, executor: Executor = IN_TURN, store: Path | None = None) -> Tensor:
    r"""Return K v float64 [records], with :math:`K = J J^t` and J the gradients of all records, whole.

    Two passes: the first adds up :math:`J^t v` (one backward pass a batch), the second takes its product with each
    gradient (forward differentiation). Memory is that of a few gradients in float64, whatever the number of records and
    outputs: the sum, what a shard adds to it, and with workers two shards each under way.

    Args:
        reading: The pass.
        vector: [records], in the order of the pass's sample.
        executor: Who carries out the shards; all give the same bytes.
        store: Folder for what is under way and done, so that a product that was cut short goes on: 8 bytes a parameter
            and record. None keeps nothing.

    Raises:
        ShapeError: If there is not one entry a record.
        NonFiniteError: If the vector or a gradient holds NaN or infinity.
    """
    options = {"executor": executor, "store": store}
    return push_forward(reading, pull_back(reading, vector, **options), **options)  # type: ignore[arg-type]


def pull_back(
    reading: TangentPass, vector: Tensor, *, executor: Executor = IN_TURN, store: Path | None = None
) -> Tensor:
    """Return J^T v float64 [parameters]: the sum over records of v times the gradient (see ``product``)."""
    return _carried_out(PullBack(reading, vector), executor, store)


def push_forward(
    reading: TangentPass, direction: Tensor, *, executor: Executor = IN_TURN, store: Path | None = None
) -> Tensor:
    """Return J u float64 [records]: the change of each record's number along a direction (see ``product``)."""
    return _carried_out(PushForward(reading, direction), executor, store)


def leading_eigenvalues(
    reading: TangentPass,
    count: int,
    *,
    generator: torch.Generator,
    executor: Executor = IN_TURN,
    store: Path | None = None,
) -> Tensor:
    """Return the largest eigenvalues of the uncentred kernel K, float64 [count], descending, by Lanczos' iteration.

    Some tens of products, each two passes. Accurate to 1e-6 of the largest for a network in float32. With a store, an
    iteration that was cut short repeats its products from disk and goes on.

    Args:
        reading: The pass.
        count: How many, fewer than records.
        generator: Where the iteration starts.
        executor: Who carries out the shards; workers are started anew for each pass.
        store: Folder for the products (see ``product``), or None.

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
        given = torch.from_numpy(vector.reshape(-1).copy())
        return product(reading, given, executor=executor, store=store).numpy()

    operator = LinearOperator((records, records), matvec=act, dtype=start.dtype)
    values = eigsh(operator, k=count, v0=start, tol=1e-7, return_eigenvectors=False)
    return torch.from_numpy(np.sort(values)[::-1].copy())


def _carried_out(reading: TangentProduct, executor: Executor, store: Path | None) -> Tensor:
    """Return the sum over all shards; each product has a folder of its own in the store."""
    task, folder = Task(Sum(), (PRODUCT,)), store and store / reading.fingerprint[:16]
    found = measure(reading, [task], executor=executor, store=folder, generator=torch.Generator())
    return found.state(task)["total"][:, 0]
