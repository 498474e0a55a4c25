"""Swendsen: exponents of the critical square lattice by Monte Carlo renormalization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import group_of
from blockspin.observables.base import accumulate
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether

GROUPS = 20


@register
@dataclass(frozen=True)
class SwendsenTether(Tether):
    """Sample 32 x 32 spins at Onsager's coupling, block twice by majority, and linearise the second step."""

    name = "swendsen"
    system = "critical Ising model on the square lattice, blocked by majority"
    source = "swendsen1979"
    schemes = ("majority-rule",)
    fast: ClassVar[bool] = False

    def rows(self) -> Iterator[Row]:
        """Yield y_t and y_h; the tolerance covers truncation and finite size, which exceed the sampling error."""
        generator = torch.Generator().manual_seed(1)
        spins = member("sources", "ising-square")(side=32).sample(20_000, generator=generator)
        rule = member("schemes", "majority-rule")(b=2)
        once = rule.fit(spins, generator=generator)(spins)
        twice = rule.fit(once, generator=generator)(once)
        coupling = member("couplings", "swendsen")(shape=(16, 16), b=2, even=3, odd=2)
        group = group_of(spins.units, GROUPS, chain=spins.chain)
        parts = [(group == g).nonzero().flatten() for g in range(GROUPS)]
        states = [accumulate(coupling.monoid, twice.select(part), once.select(part)) for part in parts]
        found = jackknife(coupling, states)
        yield Row("y_t = 1, blocking 16 to 8, three operators", 1.0, found["y_even"], 0.02)
        yield Row("y_h = 15/8, blocking 16 to 8, two operators", 15 / 8, found["y_odd"], 0.005)
