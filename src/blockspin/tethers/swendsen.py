"""Swendsen: exponents of the critical square lattice by Monte Carlo renormalization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble, group_of
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, accumulate
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether

GROUPS = 20


@register
@dataclass(frozen=True)
class SwendsenTether(Tether):
    """Sample 64 x 64 spins at Onsager's coupling, block them by majority, and linearise the second step."""

    name = "swendsen"
    system = "critical Ising model on the square lattice, blocked by majority"
    source = "swendsen1979"
    schemes = ("majority-rule",)
    fast: ClassVar[bool] = False
    minutes: ClassVar[float] = 0.7

    def rows(self) -> Iterator[Row]:
        """Yield y_t, y_h and U4; tolerances cover truncation and finite size, which exceed the sampling error."""
        levels = blocked("ising-square", 64, 20_000, 2)
        found = linearised(levels[1], levels[2], even=3, odd=2)
        yield Row("y_t = 1, blocking 32 to 16, three operators", 1.0, found["y_even"], 0.02)
        yield Row("y_h = 15/8, blocking 32 to 16, two operators", 15 / 8, found["y_odd"], 0.005)
        for odd, count in ((4, "four"), (5, "five")):
            more = linearised(levels[1], levels[2], even=1, odd=odd)["y_odd"]
            yield Row(f"y_h = 15/8, blocking 32 to 16, {count} operators", 15 / 8, more, 0.005)
        yield cumulant("64 x 64 sampled", levels[0])
        yield cumulant("32 x 32 blocked", levels[1])
        yield cumulant("32 x 32 sampled", *blocked("ising-square", 32, 20_000, 0))


def cumulant(about: str, spins: Ensemble) -> Row:
    """Return U4 of critical spins on a square lattice beside its limit for large ones."""
    return Row(f"U4 of {about} spins", 0.61069, grouped(member("observables", "binder")(), spins)["binder"], 0.003)


def blocked(source: str, side: int, samples: int, steps: int) -> list[Ensemble]:
    """Return critical spins and what a number of blockings by majority make of them."""
    generator = torch.Generator().manual_seed(1)
    levels = [member("sources", source)(side=side).sample(samples, generator=generator)]
    rule = member("schemes", "majority-rule")(b=2)
    for _ in range(steps):
        levels.append(rule.fit(levels[-1], generator=generator)(levels[-1]))
    return levels


def grouped(estimator: Estimator, *ensembles: Ensemble) -> dict[str, Measurement]:
    """Measure aligned ensembles with the delete-group jackknife."""
    group = group_of(ensembles[0].units, GROUPS, chain=ensembles[0].chain)
    parts = [(group == g).nonzero().flatten() for g in range(GROUPS)]
    return jackknife(estimator, [accumulate(estimator.monoid, *(e.select(p) for e in ensembles)) for p in parts])


def linearised(fine: Ensemble, coarse: Ensemble, even: int, odd: int) -> dict[str, Measurement]:
    """Return Swendsen's exponents of one step."""
    coupling = member("couplings", "swendsen").between(fine.geometry, coarse.geometry, even=even, odd=odd)
    return grouped(coupling, coarse, fine)
