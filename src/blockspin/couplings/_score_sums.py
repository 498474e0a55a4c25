"""Score sums: products of gradients and Laplacians of operators, added up in one pass: what score matching needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.couplings._edges import edges_of, merged_edges
from blockspin.couplings._filter_basis import FilterBasis
from blockspin.couplings._lattice_basis import LatticeBasis
from blockspin.couplings._mode_basis import ModeBasis
from blockspin.ensemble import Batch, group_of
from blockspin.observables.base import PartMonoid, State, merged_moments, moments_of, weights_of

PARTS = 20
"""Parts of the units, by hash, that are added up apart: from their spread come errors of scores and tests."""

NUMBERS = 2**20
"""Numbers of gradients that are held at once."""

EDGES = ("count", "ends", "zeros", "norm")
PLAIN = ("squares", "parts", "products", "laplacians")
MOMENTS = ("weight", "squares", "mean", "scatter")


@dataclass(frozen=True)
class ScoreSums(PartMonoid):
    r"""Sums over samples of the products of gradients and of the Laplacians of operators.

    State, float64: "weight" [], "squares" [] (sum of squared weights), "parts" [20] (the weight of each part of the
    units), "products" [20, K, K] (sums of weight times :math:`\nabla O_a \cdot \nabla O_b`), "laplacians" [20, K];
    what shows atoms and edges (``edges_of``); and "lost" [2], the variance along the directions outside of the support
    and that along all, or without a frame "mean" and "scatter" of the field, which tell whether it has full rank.

    Products are taken in the dtype of the field over some hundred samples, and summed in float64.

    Args:
        basis: The operators.
    """

    basis: LatticeBasis | ModeBasis | FilterBasis

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        member = group_of(batch.units, PARTS, salt=5)
        order = member.argsort(stable=True)
        field, w = self.basis.field(batch.values)[:, order].contiguous(), batch.weights[order]
        parts = torch.zeros(PARTS, dtype=torch.float64).index_add_(0, member, batch.weights)
        products, laplacians = self._sums(self.basis.coordinates(field), w, torch.bincount(member, minlength=PARTS))
        part = {**weights_of(batch), "parts": parts}
        part |= {"products": products, "laplacians": laplacians, **self._support(field, w)}
        return part | edges_of(self.basis.judged(batch.values, field))

    def _sums(self, field: Tensor, w: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return products [20, K, K] and Laplacians [20, K] of samples that are sorted by part."""
        K = sum(map(len, self.basis.steps.values()))
        products = torch.zeros(PARTS, K, K, dtype=torch.float64)
        laplacians = torch.zeros(PARTS, K, dtype=torch.float64)
        plain, size = bool((w == 1).all()), max(8, NUMBERS // (K * len(field)))
        start = 0
        for part, count in enumerate(counts.tolist()):
            for first in range(start, start + count, size):
                rows = slice(first, min(first + size, start + count))
                x, weight = field[:, rows].contiguous(), w[rows].to(field.dtype)
                G = self.basis.gradients(x)
                products[part] += self.basis.products(G if plain else G * weight.sqrt())
                laplacians[part] += (self.basis.laplacians(x) @ weight).to(torch.float64)
            start += count
        return products, laplacians

    def _support(self, field: Tensor, w: Tensor) -> State:
        basis = self.basis
        if basis.in_modes:
            return {}
        if basis.frame is None:
            moments, _ = moments_of(field.T.to(torch.float64), w)
            return {key: moments[key] for key in ("mean", "scatter")}
        centred, lost = field - basis.frame.mean.to(field.dtype)[:, None], basis.outside(field)
        away = 0.0 if lost is None else float((lost.T @ centred).square().sum(0).to(torch.float64) @ w)
        return {"lost": torch.tensor([away, float(centred.square().sum(0).to(torch.float64) @ w)], dtype=torch.float64)}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        merged = {key: first[key] + second[key] for key in (*PLAIN, *(("lost",) if "lost" in first else ()))}
        merged |= merged_edges(first, second) if "ends" in first else {}
        if "scatter" in first:
            moments = ({key: state[key] for key in MOMENTS} for state in (first, second))
            return {**merged, **merged_moments(*moments)}
        return {**merged, "weight": first["weight"] + second["weight"]}

    def scale(self, state: State, key: str) -> Tensor:
        """Return the largest entry; of the ends of the field the largest that is finite."""
        return state[key][state[key].isfinite()].abs().max()
