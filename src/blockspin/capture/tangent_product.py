"""Tangent product: passes that add up products of the Jacobian of all records, or of its transpose, with a vector."""

from __future__ import annotations

import abc
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from blockspin.capture.tangent import TangentPass
from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch, check_finite
from blockspin.errors import ShapeError

PRODUCT = "product"
"""Name of the field: what one shard contributes to the product, as one sample."""


@dataclass(frozen=True, eq=False)
class TangentProduct(Pass):
    """A reading of the data that multiplies; the sum over its samples, one a shard, is the product.

    Sums over the records of a shard are in float64, gradients in the precision of the network. There is one group,
    since a product has no error bar: of what is added up, one vector is kept.

    Args:
        reading: The gradients, and how records are divided into shards; sketches are not made.
        vector: What is multiplied, [records] or [parameters].

    Raises:
        ShapeError: If the vector is of another length.
        NonFiniteError: If it holds NaN or infinity.
    """

    reading: TangentPass
    vector: Tensor

    def __post_init__(self):
        expected = self.columns()
        if self.vector.shape != (expected,):
            raise ShapeError(f"a vector of shape {tuple(self.vector.shape)} is not one number for each of {expected}")
        check_finite(self.vector, "the vector that is multiplied")

    @abc.abstractmethod
    def columns(self) -> int:
        """Return the length of the vector that is multiplied."""

    @abc.abstractmethod
    def product(self, batches: Sequence[Tensor]) -> Tensor:
        """Return what some batches of records contribute, float64 [entries of the product]."""

    @property
    def groups(self) -> int:
        """One."""
        return 1

    @property
    def fingerprint(self) -> str:
        """A hash of the reading, of which product it is, and of the vector."""
        entries = hashlib.sha256(self.vector.to("cpu", torch.float64).numpy().tobytes()).hexdigest()
        return hashlib.sha256(f"{self.reading.fingerprint} {type(self).__name__} {entries}".encode()).hexdigest()

    @cached_property
    def _inner(self) -> list[Shard]:
        return sorted(self.reading.shards())

    def shards(self) -> Sequence[Shard]:
        """Return the shards of the reading, in one group."""
        return [Shard(0, index, inner.samples) for index, inner in enumerate(self._inner)]

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield what one shard contributes: one batch of one sample.

        Raises:
            NonFiniteError: If a gradient is NaN or infinite, or a sum too large.
        """
        found = self.product(self.reading.reading.rows(self._inner[shard.index]))
        key = torch.tensor([shard.index])
        yield {PRODUCT: Batch(found[None, :, None], key, key, torch.ones(1, dtype=torch.float64))}


@dataclass(frozen=True, eq=False)
class PullBack(TangentProduct):
    """J^T v: the sum over records of v times the gradient, in the order of ``parameters_of``."""

    def columns(self) -> int:
        """Return the number of records."""
        return len(self.reading.reading.sample)

    def product(self, batches: Sequence[Tensor]) -> Tensor:
        """Take one backward pass a batch."""
        total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in self.reading.tensors().items()}
        for rows in batches:
            for name, part in self.reading.pulled_back(rows.tolist(), self.vector[rows]).items():
                total[name] += part
            self._check(rows, total)
        return torch.cat([part.cpu().flatten() for part in total.values()])

    def _check(self, rows: Tensor, total: Mapping[str, Tensor]) -> None:
        """Refuse a sum that is not finite, naming the record whose gradient it is where it is one."""
        if all(bool(torch.isfinite(part.sum())) for part in total.values()):
            return
        norms = [sum(part.square().sum() for part in self.reading.gradient(row).values()) for row in rows.tolist()]
        check_finite(torch.stack(norms), "the gradient", self.reading.reading.sample.ids[rows])  # type: ignore[arg-type]
        check_finite(torch.stack([part.sum() for part in total.values()]), "the sum of gradients, by parameter,")


@dataclass(frozen=True, eq=False)
class PushForward(TangentProduct):
    """J u: the change of each record's number along a direction in parameter space.

    Where an operation of the network has no forward derivative, gradients are taken one by one instead.
    """

    def columns(self) -> int:
        """Return the number of parameters."""
        return sum(value.numel() for value in self.reading.tensors().values())

    def product(self, batches: Sequence[Tensor]) -> Tensor:
        """Take one forward derivative a batch; records of other shards stay zero."""
        sample = self.reading.reading.sample
        found = torch.zeros(len(sample), dtype=torch.float64)
        for rows in batches:
            along = _along(self.reading, rows.tolist(), parameters_of(self.reading, self.vector))
            found[rows] = along.cpu().to(torch.float64)
            check_finite(found[rows], "the product with the gradient", sample.ids[rows])
        return found


def parameters_of(reading: TangentPass, vector: Tensor) -> dict[str, Tensor]:
    """Return the parts [shape of the parameter] of a vector [parameters], by the name of the parameter in ``whole``."""
    tensors = reading.tensors()
    parts = vector.split([value.numel() for value in tensors.values()])
    return {name: part.reshape(value.shape) for (name, value), part in zip(tensors.items(), parts, strict=True)}


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
