"""Swendsen cubic: exponents of the critical simple cubic lattice by Monte Carlo renormalization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether
from blockspin.tethers.swendsen import blocked, grouped, linearised


@register
@dataclass(frozen=True)
class SwendsenCubicTether(Tether):
    """Sample 16 x 16 x 16 spins at the critical coupling, block them by majority, and linearise the second step."""

    name = "swendsen-cubic"
    system = "critical Ising model on the simple cubic lattice, blocked by majority"
    source = "swendsen1979"
    schemes = ("majority-rule",)
    fast: ClassVar[bool] = False
    minutes: ClassVar[float] = 0.9

    def rows(self) -> Iterator[Row]:
        """Yield y_t, y_h and U4; from 16 spins a side corrections to scaling, not samples, limit the answer."""
        levels = blocked("ising-cubic", 16, 20_000, 2)
        found = linearised(levels[1], levels[2], even=2, odd=1)
        yield Row("y_t = 1.5874, blocking 8 to 4, two operators", 1.5874, found["y_even"], 0.05)
        yield Row("y_h = 2.4818, blocking 8 to 4, one operator", 2.4818, found["y_odd"], 0.02)
        binder = grouped(member("observables", "binder")(), levels[0])["binder"]
        yield Row("U4 of 16 x 16 x 16 spins (0.4655 for large lattices)", 0.4749, binder, 0.004)
