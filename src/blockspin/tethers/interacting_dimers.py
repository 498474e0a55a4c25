"""Interacting dimers: coverings counted one by one, and energies of samples against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.registry import member, register
from blockspin.tethers._means import mean_over_units
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import dimers as theory


@register
@dataclass(frozen=True)
class InteractingDimersTether(Tether):
    """Count coverings two ways, and compare parallel pairs of sampled coverings with all of them."""

    name = "interacting-dimers"
    system = "attracting dimers on small tori"
    source = "alet2005"
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield numbers of coverings (exact), means and variances of the number of parallel pairs (sampled)."""
        for rows, columns, printed in ((4, 4, 272), (4, 6, 3108), (6, 6, 90176)):
            counted = theory.kasteleyn_count(rows, columns)
            yield exact(f"coverings of a {rows} x {columns} torus by Kasteleyn's product", printed, counted, 1e-6)
        counts = theory.coverings(4, 4)
        yield exact("coverings of a 4 x 4 torus, one by one", 272, sum(counts.values()), 0)
        yield exact("coverings of a 4 x 6 torus, one by one", 3108, sum(theory.coverings(4, 6).values()), 0)
        yield exact("parallel pairs on a 4 x 6 torus, T = 1.5, by transfer matrix", *_both_ways(1.5), 1e-12)
        for T in (0.6, 15.0):
            model = member("sources", "interacting-dimers")(side=4, temperature=T, chains=800)
            drawn = model.sample(24_000, generator=torch.Generator().manual_seed(0))
            pairs = parallel(drawn.values, 4)
            mean, variance = theory.parallel_moments(counts, T)
            yield sampled(f"parallel pairs on a 4 x 4 torus, T = {T:g}", mean, mean_over_units(pairs, drawn))
            about = mean_over_units((pairs - mean) ** 2, drawn)
            yield sampled(f"their variance, T = {T:g}", variance, about)
        model = member("sources", "interacting-dimers")(side=6, chains=1000)
        drawn = model.sample(10_000, generator=torch.Generator().manual_seed(1))
        found = mean_over_units(parallel(drawn.values, 6), drawn)
        yield sampled("parallel pairs on a 6 x 6 torus, T = 15", theory.parallel_mean(6, 6, 15.0), found)
        order = mean_over_units(columnar(drawn.values, 6), drawn)
        yield sampled("columnar order of a 6 x 6 torus, T = 15", 0.0, order)


def _both_ways(T: float) -> tuple[float, float]:
    return theory.parallel_moments(theory.coverings(4, 6), T)[0], theory.parallel_mean(4, 6, T)


def columnar(values: Tensor, side: int) -> Tensor:
    """Return how much more dimers begin in even columns than in odd ones, of each sample [samples, sites, 2]."""
    right = values[..., 0].reshape(len(values), side, side).sum(1)
    return right[:, ::2].sum(1) - right[:, 1::2].sum(1)


def parallel(values: Tensor, side: int) -> Tensor:
    """Return the number of plaquettes with two parallel dimers of each sample [samples, sites, 2]."""
    right, below = values.reshape(len(values), side, side, 2).unbind(-1)
    return (right * right.roll(-1, 1) + below * below.roll(-1, 2)).sum((1, 2))
