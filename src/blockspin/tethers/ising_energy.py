"""Ising energy: every update against the exact energy of finite lattices at the critical point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.registry import member, register
from blockspin.tethers._means import mean_over_units
from blockspin.tethers.base import Row, Tether, sampled
from blockspin.theory import kaufman


@register
@dataclass(frozen=True)
class IsingEnergyTether(Tether):
    """Sample 32 x 32 spins at Onsager's coupling by clusters and compare the bonds with Kaufman's."""

    name = "ising-energy"
    system = "critical Ising model on 32 x 32 sites, by every cluster algorithm"
    source = "kaufman1949"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield the energy by Swendsen-Wang and by Wolff."""
        for algorithm in ("swendsen-wang", "wolff"):
            model = member("sources", "ising-square")(side=32, algorithm=algorithm, chains=16, sweeps=4)
            spins = model.sample(16 * 200, generator=torch.Generator().manual_seed(0))
            s = spins.values.reshape(-1, 32, 32)
            bonds = (s * s.roll(1, 1) + s * s.roll(1, 2)).mean((1, 2))
            expected = kaufman.energy(model.coupling, 32, 32) / 32**2
            yield sampled(f"bonds per site by {algorithm}", expected, mean_over_units(bonds, spins))
