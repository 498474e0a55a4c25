"""Ensemble: samples of a field on sites, [samples, sites, components], with ids, units, weights and geometry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blockspin.errors import NonFiniteError, ShapeError, TooFewSamplesError
from blockspin.geometry import Geometry, Unordered


@dataclass(frozen=True, eq=False)
class Batch:
    """Some samples of a field, each with its key, its independent unit and its weight.

    Args:
        values: The field, [samples, sites, components].
        ids: int64 [samples]; the hash of the sample's content and its occurrence number. Ensembles over the same
            inputs are paired by it, and subsamples are drawn by it.
        units: int64 [samples]; what is statistically independent (a passage, an image, a long stretch of a chain).
        weights: float64 [samples]; 1 for a plain sample, the probability where a law is enumerated.
    """

    values: Tensor
    ids: Tensor
    units: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return self.values.shape[0]

    def select(self, index: Tensor) -> Batch:
        """Return the samples at ``index`` (integers or a mask)."""
        return Batch(self.values[index], self.ids[index], self.units[index], self.weights[index])

    def with_values(self, values: Tensor) -> Batch:
        """Return the same samples with another field on them."""
        return replace(self, values=values)

    @staticmethod
    def join(batches: Iterable[Batch]) -> Batch:
        """Return all samples of several batches, in order."""
        columns = zip(*((b.values, b.ids, b.units, b.weights) for b in batches), strict=True)
        return Batch(*(torch.cat(column) for column in columns))


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Samples of a field on the sites of a geometry: what every scheme coarse-grains.

    Args:
        batch: The samples.
        geometry: Who is near whom; its number of sites is that of the field.
        origin: Where the samples come from and how to run them again with an edit (see ``capture.base``), or None.
        chain: Whether units follow each other in time, so that error bars group neighbouring ones together.
    """

    batch: Batch
    geometry: Geometry
    origin: Any = None
    chain: bool = False

    @classmethod
    def of(
        cls,
        values: Tensor,
        geometry: Geometry | None = None,
        *,
        units: Tensor | None = None,
        weights: Tensor | None = None,
        chain: bool = False,
    ) -> Ensemble:
        """Make an ensemble from values, validating them once.

        Args:
            values: [samples, sites, components], or [samples, sites] for one component.
            geometry: Defaults to ``Unordered``.
            units: int64 [samples]; by default each distinct content is a unit of its own, for a chain each sample.
            weights: float64 [samples], all positive; 1 by default.
            chain: Whether the samples follow each other in time.

        Raises:
            ShapeError: If the axes are not [samples, sites, components] or do not fit the geometry.
            TooFewSamplesError: If there are fewer than two samples.
            NonFiniteError: If a value is NaN or infinite.
        """
        values = values[:, :, None] if values.ndim == 2 else values
        geometry = Unordered(values.shape[1]) if geometry is None and values.ndim == 3 else geometry
        if values.ndim != 3 or geometry is None or values.shape[1] != geometry.sites:
            expected = (
                "[samples, sites, components]" if geometry is None else f"[samples, {geometry.sites}, components]"
            )
            raise ShapeError(
                f"a field of shape {tuple(values.shape)} is not {expected}", "Reshape it, or give its geometry."
            )
        if len(values) < 2:
            raise TooFewSamplesError(
                f"an ensemble of {len(values)} sample(s) has no spread", "Give at least two samples."
            )
        values = values if values.is_floating_point() else values.to(torch.float32)
        check_finite(values, "the ensemble")
        ids, contents = content_ids(values)
        if units is None:
            units = torch.arange(len(values)) if chain else contents
        weights = torch.ones(len(values), dtype=torch.float64) if weights is None else weights.to(torch.float64)
        return cls(Batch(values, ids, units.to(torch.int64), weights), geometry, chain=chain)

    @property
    def values(self) -> Tensor:
        """The field, [samples, sites, components]."""
        return self.batch.values

    @property
    def weights(self) -> Tensor:
        """float64 [samples]."""
        return self.batch.weights

    @property
    def units(self) -> Tensor:
        """int64 [samples]."""
        return self.batch.units

    @property
    def ids(self) -> Tensor:
        """int64 [samples]."""
        return self.batch.ids

    def __len__(self) -> int:
        return len(self.batch)

    def batches(self, size: int = 4096) -> Iterator[Batch]:
        """Yield the samples in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.batch.select(torch.arange(start, min(start + size, len(self))))

    def select(self, index: Tensor) -> Ensemble:
        """Return the samples at ``index`` (integers or a mask)."""
        return replace(self, batch=self.batch.select(index))

    def with_values(self, values: Tensor, geometry: Geometry | None = None) -> Ensemble:
        """Return the same samples with another field, on another geometry where one is given."""
        return replace(self, batch=self.batch.with_values(values), geometry=geometry or self.geometry)

    def times(self, factor: float | Tensor) -> Ensemble:
        """Return the field multiplied by a number, or by one number a site [sites, 1]: field renormalisation."""
        return self.with_values(self.values * torch.as_tensor(factor, dtype=self.values.dtype))

    def halves(self) -> tuple[Ensemble, Ensemble]:
        """Split the units in two by hash (a chain: in time): one half to fit on, one to measure on.

        Raises:
            TooFewSamplesError: If one of the halves would hold fewer than two samples.
        """
        first = group_of(self.units, 2, chain=self.chain, salt=1) == 0
        if min(int(first.sum()), int((~first).sum())) < 2:
            raise TooFewSamplesError(f"{len(self)} samples cannot be split in two halves", "Give more samples.")
        return self.select(first), self.select(~first)


def distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct rows of a table in lexicographic order, and which of them each row is.

    Sorted column by column, which is several times as quick as ``torch.unique`` by rows.

    Args:
        rows: [n, columns], on the processor.

    Returns:
        The distinct rows [m, columns], and int64 [n].
    """
    table = rows.detach().numpy()
    order = torch.from_numpy(np.lexsort(table.T[::-1])) if table.shape[1] else torch.arange(len(table))
    ordered = rows[order]
    new = torch.ones(len(rows), dtype=torch.bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    index = torch.empty(len(rows), dtype=torch.int64)
    index[order] = new.cumsum(0) - 1
    return ordered[new], index


# --- keys: the same for the same content, on every machine and in every order -----------------------------------------


def content_hash(content: bytes) -> int:
    """Return a signed 64-bit key of some content, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


def content_ids(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return (ids, contents) of each sample, both int64 [samples]: with and without the occurrence number."""
    rows = values.detach().cpu().contiguous().reshape(len(values), -1).numpy()
    contents = [content_hash(row.tobytes()) for row in rows]
    return numbered(contents), torch.tensor(contents, dtype=torch.int64)


def numbered(contents: Iterable[int]) -> Tensor:
    """Return ids int64 [samples]: content hashes made distinct by the number of earlier occurrences."""
    seen: dict[int, int] = {}
    ids = []
    for content in contents:
        occurrence = seen.get(content, 0)
        seen[content] = occurrence + 1
        ids.append(occurrence_id(content, occurrence))
    return torch.tensor(ids, dtype=torch.int64)


def occurrence_id(content: int, occurrence: int) -> int:
    """Return the id of the occurrence-th repetition (from 0) of some content, given by its hash."""
    return content if occurrence == 0 else content_hash(f"{content}/{occurrence}".encode())


def mix(keys: Tensor, salt: int = 0) -> Tensor:
    """Return int64 keys scrambled by the finaliser of SplitMix64, one independent scrambling a salt."""
    x = keys + _signed(0x9E3779B97F4A7C15 * (salt + 1))
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def _signed(x: int) -> int:
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift right as if unsigned."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def group_of(units: Tensor, groups: int, *, chain: bool = False, salt: int = 0) -> Tensor:
    """Return the group int64 [samples] of each sample: by hash of its unit, for a chain by stretches of equal length.

    Samples that share a unit always share a group.
    """
    if not chain:
        return mix(units, salt).remainder(groups)
    distinct, inverse = torch.unique(units, return_inverse=True)
    return (inverse * groups) // len(distinct)


def draw(ids: Tensor, count: int, *, salt: int = 2) -> Tensor:
    """Return the indices of at most ``count`` samples drawn by hash of their ids, whatever their order; sorted."""
    order = torch.argsort(mix(ids, salt), stable=True)
    return order[:count].sort().values


def check_finite(values: Tensor, where: str, ids: Tensor | None = None) -> None:
    """Raise if a value is NaN or infinite.

    Raises:
        NonFiniteError: Naming ``where`` and the first sample at fault.
    """
    if bool(torch.isfinite(values).all()):
        return
    sample = int((~torch.isfinite(values).reshape(len(values), -1).all(dim=1)).nonzero()[0])
    key = f" (id {int(ids[sample])})" if ids is not None else ""
    raise NonFiniteError(
        f"{where} holds NaN or infinity at sample {sample}{key}", "Remove that sample or mend its source."
    )
