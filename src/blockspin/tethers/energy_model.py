"""Energy model: learned energies of spins read through a field, and of a strongly coupled ring, by exact averages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.ensemble import Ensemble
from blockspin.registry import member, register
from blockspin.tethers._continuous_ising import ising_fields
from blockspin.tethers.base import Row, Tether, sampled
from blockspin.tethers.swendsen import grouped
from blockspin.theory import continuous_ising, phi4


@register
@dataclass(frozen=True)
class EnergyModelTether(Tether):
    """Learn energies from samples and compare their mean curvature with sums over spins and a transfer operator."""

    name = "energy-model"
    system = "continuous Ising model between mean-field and true transition, and a strongly coupled quartic ring"
    source = "swersky2011"
    fast = False
    minutes = 0.2

    def rows(self) -> Iterator[Row]:
        """Yield mean curvatures."""
        generator = torch.Generator().manual_seed(0)
        for K in (0.2, 0.3):
            expected = continuous_ising.curvature(4, 4, K)
            yield _curvature(f"continuous Ising model, 4 x 4, K = {K}", expected, ising_fields(4, K, 8000, generator))
        hopping, coupling, sites = 0.25, 2.0, 16
        source = member("sources", "phi4")(
            shape=(sites,), hopping=hopping, coupling=coupling, chains=200, burn_in=40, sweeps=3, stretch=1
        )
        expected = 2 + coupling * (12 * phi4.ring_moments(sites, hopping, coupling)["phi2"] - 4)
        field = source.sample(8000, generator=generator)
        yield _curvature(f"quartic ring of {sites} sites, lambda = {coupling}", expected, field)


def _curvature(where: str, expected: float, field: Ensemble) -> Row:
    model = member("couplings", "energy-model").on(field)
    return sampled(f"mean curvature of the action, {where}", expected, grouped(model, field)["curvature"])
