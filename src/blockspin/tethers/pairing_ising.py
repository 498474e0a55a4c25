"""Pairing of the Ising model: clusters on the critical square lattice grow with the exponents of the lattice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from blockspin.registry import member, register
from blockspin.tethers._pairing import exponents
from blockspin.tethers.base import Row, Tether, exact


@register
@dataclass(frozen=True)
class PairingIsingTether(Tether):
    """Pair the spins of a 32 x 32 torus by correlation, without telling who is whose neighbour."""

    name = "pairing-ising"
    system = "Ising model on the square lattice, paired by correlation"
    source = "meshulam2019"
    schemes = ("correlation-pairing",)
    fast: ClassVar[bool] = False
    minutes: ClassVar[float] = 0.2

    def rows(self) -> Iterator[Row]:
        """Yield alpha = 15/8 and mu = 7/8; the tolerance covers finite size, which exceeds the sampling error."""
        generator = torch.Generator().manual_seed(1)
        source = member("sources", "ising-square")
        found = exponents(
            source(side=32).sample(10_000, generator=generator).halves(), "correlation-pairing", 8, smallest=4
        )
        yield Row("alpha = 15/8 at Onsager's coupling, sizes 4 to 256", 15 / 8, found["alpha"], 0.04)
        yield Row("mu = 7/8 at Onsager's coupling, clusters of 256, ranks 2 to 32", 7 / 8, found["mu"], 0.06)
        quantity = "range of mu over ranks 2 to 64, 32 and 16 (the window was chosen on such samples)"
        yield Row(quantity, 0.0, found["mu_spread"], 0.06)
        away = source(side=32, coupling=0.3).sample(4000, generator=generator).halves()
        curvature = exponents(away, "correlation-pairing", 8, smallest=4)["curvature"]
        yield exact(
            "at K = 0.30 local slopes fall by over 4 errors a doubling (1 = yes)",
            1.0,
            float(float(curvature.value) < -4 * float(curvature.error)),
            0.0,
        )
