"""Neural RG: flows trained on the critical Ising action until the bound of its free energy is tight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blockspin.registry import register
from blockspin.tethers._continuous_ising import variational
from blockspin.tethers.base import Row, Tether
from blockspin.theory import kaufman


@register
@dataclass(frozen=True)
class NeuralRGTether(Tether):
    """Train to one per cent of the exact free energy at the critical point."""

    name = "neural-rg"
    system = "continuous Ising model on a critical torus, by a hierarchy of invertible maps"
    source = "li2018"
    schemes = ("neural-rg",)
    fast = False
    minutes = 5.3

    def rows(self) -> Iterator[Row]:
        """Yield bounds of -ln Z."""
        yield from variational(4, kaufman.CRITICAL_COUPLING, 0.01, steps=1000, hidden=32, depth=4, rate=0.02)
        yield from variational(8, kaufman.CRITICAL_COUPLING, 0.01, steps=1000, hidden=32, depth=4, rate=0.02)
