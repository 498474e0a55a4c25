"""Products: unbiased inner products of many kernels over the same inputs, on all of them and on random halves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import AlignmentError, TooFewSamplesError
from blockspin.questions.base import BLOCK


@dataclass(frozen=True, eq=False)
class Products:
    """Unbiased inner products of centred kernels.

    Args:
        values: float64 [1 + halves, points, points]; first on all inputs, then on each half. NaN where not asked for.
    """

    values: Tensor

    def similarity(self) -> Tensor:
        """Return debiased CKA, float64 [1 + halves, points, points]; NaN where a self-term is not positive."""
        own = self.values.diagonal(dim1=1, dim2=2)
        own = torch.where(own > 0, own, torch.nan)
        return self.values / (own[:, :, None] * own[:, None, :]).sqrt()


def aligned(ensembles: Sequence[Ensemble]) -> list[Ensemble]:
    """Return the ensembles with their samples in the order of the first one's ids.

    Raises:
        AlignmentError: If they are not over the same inputs.
    """
    first = ensembles[0]
    order = torch.argsort(first.ids)
    rows = []
    for number, ensemble in enumerate(ensembles):
        mine = torch.argsort(ensemble.ids)
        if len(ensemble) != len(first) or not torch.equal(ensemble.ids[mine], first.ids[order]):
            shared = int(torch.isin(ensemble.ids, first.ids).sum())
            raise AlignmentError(
                f"point {number} has {len(ensemble)} samples and shares {shared} with the {len(first)} of the first",
                "Read all points of the flows from the same inputs.",
            )
        rows.append(ensemble if torch.equal(ensemble.ids, first.ids) else ensemble.select(mine[order.argsort()]))
    return rows


def half_masks(units: Tensor, halves: int, *, generator: torch.Generator) -> Tensor:
    """Return bool [1 + halves, samples]: all samples, then random halves of the units without replacement.

    Raises:
        TooFewSamplesError: If there are fewer than eight units.
    """
    distinct, member = torch.unique(units, return_inverse=True)
    if len(distinct) < 8:
        raise TooFewSamplesError(f"{len(distinct)} independent units cannot be halved", "Give at least eight.")
    masks = torch.zeros(1 + halves, len(distinct), dtype=torch.bool)
    masks[0] = True
    for mask in masks[1:]:
        mask[torch.randperm(len(distinct), generator=generator)[: len(distinct) // 2]] = True
    return masks[:, member]


def products(ensembles: Sequence[Ensemble], pairs: Iterable[tuple[int, int]], masks: Tensor) -> Products:
    """Return the unbiased products of the pairs asked for, on every subset of the samples at once.

    The U-statistic HSIC_1 of song2012 on a subset S needs the sum of K * L over S x S and the row sums of K and L over
    S; both are matrix products with the masks. Fields are centred and scaled first, so that float32 keeps six digits.
    A stretch of rows of all kernels is in memory at a time, never a whole kernel.

    Args:
        ensembles: The points, aligned.
        pairs: Which products; each point's product with itself is always there.
        masks: bool [subsets, samples].
    """
    z = masks.T.to(torch.float32)
    m = masks.sum(1).to(torch.float64)
    fields = [_field(ensemble.values) for ensemble in ensembles]
    chosen = sorted({(min(p), max(p)) for p in pairs} | {(k, k) for k in range(len(fields))})
    inner = torch.zeros(len(chosen), len(masks), dtype=torch.float64)
    sums = torch.zeros(len(fields), len(masks), dtype=torch.float64)
    crossed = torch.zeros_like(inner)
    for stretch in torch.arange(len(z)).split(max(1, BLOCK // (4 * len(z) * len(fields)))):
        kernels = [_kernel_rows(field, stretch) for field in fields]
        rows = [((K @ z) * z[stretch]).to(torch.float64) for K in kernels]
        sums += torch.stack([row.sum(0) for row in rows])
        for index, (i, j) in enumerate(chosen):
            inner[index] += (((kernels[i] * kernels[j]) @ z) * z[stretch]).sum(0, dtype=torch.float64)
            crossed[index] += (rows[i] * rows[j]).sum(0)
    values = torch.full((len(masks), len(fields), len(fields)), torch.nan, dtype=torch.float64)
    for index, (i, j) in enumerate(chosen):
        total = sums[i] * sums[j] / ((m - 1) * (m - 2))
        values[:, i, j] = values[:, j, i] = (inner[index] + total - crossed[index] * 2 / (m - 2)) / (m * (m - 3))
    return Products(values)


def _field(values: Tensor) -> Tensor:
    """Return a field [samples, D] centred, its samples of unit mean square, in the dtype that products are taken in."""
    x = values.flatten(1).to(torch.float64)
    x = x - x.mean(0)
    return x / x.square().sum(1).mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny)


def _kernel_rows(field: Tensor, rows: Tensor) -> Tensor:
    """Return some rows of the linear kernel, float32 [rows, samples], without its diagonal."""
    K = (field[rows] @ field.T).to(torch.float32)
    K[torch.arange(len(rows)), rows] = 0
    return K
