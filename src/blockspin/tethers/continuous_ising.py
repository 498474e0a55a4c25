"""Continuous Ising: the free energy of a field that stands for spins, and a bound by a flow of a few steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import torch

from blockspin.registry import register
from blockspin.tethers._continuous_ising import ising_action, variational
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import continuous_ising as theory
from blockspin.theory import kaufman

Kc = kaufman.CRITICAL_COUPLING


@register
@dataclass(frozen=True)
class ContinuousIsingTether(Tether):
    """Compare Kaufman's formula with sums over spins, printed values and integrals; bound one by training."""

    name = "continuous-ising"
    system = "continuous Ising model on a torus"
    source = "li2018"
    schemes = ("neural-rg",)
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield free energies and a variational bound."""
        yield exact("-ln Z of the continuous model, 8 x 8, K_c", -148.65504, theory.free_energy(8, 8, Kc), 1e-4, "nat")
        yield exact("ln Z of the spins, 8 x 8, K_c", 60.1417807891, kaufman.log_partition(Kc, 8, 8), 1e-9, "nat")
        yield exact("alpha of 8 x 8, K_c", 1.8627472, theory.coupling_matrix(8, 8, Kc)[1], 5e-8)
        for rows, columns, K in ((4, 4, Kc), (4, 3, 0.3)):
            closed, summed = theory.free_energy(rows, columns, K), theory.by_sum_over_spins(rows, columns, K)
            yield exact(f"-ln Z by sums over spins, {rows} x {columns}, K = {K:.4f}", closed, summed, 1e-10, "nat")
        yield _integrated(0.3)
        yield from variational(4, 0.1, 0.05, steps=150, hidden=16, depth=2, rate=0.02)


def _integrated(K: float) -> Row:
    """Integrate the weight of 2 x 2 sites on a grid of points: sums over a period of nothing converge exponentially."""
    points = torch.linspace(-14, 14, 57, dtype=torch.float64)
    rest = torch.cartesian_prod(points, points, points)
    action, step = ising_action(2, K), float(points[1] - points[0])
    parts = [torch.logsumexp(-action(torch.cat([x.expand(len(rest), 1), rest], dim=1)[:, :, None]), 0) for x in points]
    found = -float(torch.logsumexp(torch.stack(parts), 0)) - 4 * log(step)
    return exact(f"-ln Z by integration, 2 x 2, K = {K}", theory.free_energy(2, 2, K), found, 1e-6, "nat")
