"""Products: unbiased inner products of many kernels over the same inputs, on all of them and on random halves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import AlignmentError, TooFewSamplesError
from blockspin.observables.base import gram_of


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
    S; both are matrix products with the masks. Kernels are centred and scaled first, so that float32 keeps six digits.

    Args:
        ensembles: The points, aligned.
        pairs: Which products; each point's product with itself is always there.
        masks: bool [subsets, samples].
    """
    z = masks.T.to(torch.float32)
    m = masks.sum(1).to(torch.float64)
    kernels = [_kernel(ensemble.values) for ensemble in ensembles]
    rows = [((K @ z) * z).to(torch.float64) for K in kernels]
    values = torch.full((len(masks), len(kernels), len(kernels)), torch.nan, dtype=torch.float64)
    for i, j in sorted({(min(p), max(p)) for p in pairs} | {(k, k) for k in range(len(kernels))}):
        inner = (((kernels[i] * kernels[j]) @ z) * z).sum(0, dtype=torch.float64)
        total = rows[i].sum(0) * rows[j].sum(0) / ((m - 1) * (m - 2))
        cross = (rows[i] * rows[j]).sum(0) * 2 / (m - 2)
        values[:, i, j] = values[:, j, i] = (inner + total - cross) / (m * (m - 3))
    return Products(values)


def _kernel(values: Tensor) -> Tensor:
    K = gram_of(values)
    K = K - torch.diag(K.diagonal())
    return (K / K.square().mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny)).to(torch.float32)
