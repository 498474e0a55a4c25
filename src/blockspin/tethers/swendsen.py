"""Swendsen: exponents of the critical square lattice by Monte Carlo renormalization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble, group_of
from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import no_rescaling
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, accumulate
from blockspin.registry import member, register
from blockspin.running.assembled import running_of_flow
from blockspin.running.beta_function import fit_beta
from blockspin.running.fixed_points import fixed_points
from blockspin.running.scaling import agreement, stability
from blockspin.tethers.base import Row, Tether, exact, sampled, shown
from blockspin.theory.kaufman import CRITICAL_COUPLING

GROUPS = 20
SHIFTS = (-0.016, -0.010, -0.004, 0.004, 0.010, 0.016)
"""Distances from the critical coupling at which 32 x 32 spins are sampled."""


@register
@dataclass(frozen=True)
class SwendsenTether(Tether):
    """Sample 64 x 64 spins at Onsager's coupling, block them by majority, and linearise the second step.

    From 32 x 32 spins about that coupling, the beta function of the neighbours' coupling linearises the same step.
    """

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
        small = blocked("ising-square", 32, 20_000, 2)
        yield cumulant("32 x 32 sampled", small[0])
        yield from _two_ways(small, found["y_even"])


def _two_ways(levels: list[Ensemble], more: Measurement) -> Iterator[Row]:
    """Yield y_t by the beta function of neighbours beside that of Swendsen's matrix of neighbours alone.

    Truncated alike the two agree; from ``more`` operators, of other samples, the matrix differs, and that is said to be
    truncation.
    """
    by_beta = thermal_exponent(32, 4000)
    yield shown("y_t by the beta function of neighbours alone, blocking 16 to 8", 1.0, by_beta)
    alike = linearised(levels[1], levels[2], even=1, odd=1)["y_even"]
    difference = agreement(by_beta, alike, margin=0.1).difference
    yield sampled("the same less y_t by the matrix of neighbours alone", 0.0, difference)
    left_out = member("couplings", "swendsen").left_out
    said = agreement(alike, more, margin=0.1, left_out=left_out).statement
    yield exact("whether that matrix is said to differ from three operators by truncation", 1, "truncation" in said, 0)


def thermal_exponent(side: int, samples: int) -> Measurement:
    """Return y_t from the beta function of the neighbours' coupling after one blocking, on both sides of K_c.

    The first blocking takes the lattice action nearer to where the flow leaves the critical point; along that line one
    coupling tells all others. Further from it what the action leaves out would be in the slope.
    """
    rule, action = member("schemes", "majority-rule")(b=2), member("couplings", "binary-action")
    runs = []
    for seed, shift in enumerate(SHIFTS):
        generator = torch.Generator().manual_seed(10 + seed)  # independent of the matrix
        source = member("sources", "ising-square")(side=side, coupling=CRITICAL_COUPLING + shift, stretch=10)
        drawn = source.sample(samples, generator=generator)
        flow = iterate((drawn, drawn), rule, generator=generator, steps=2, rescaling=no_rescaling)
        flow = replace(flow, scales=flow.scales[1:])
        couplings = [action(geometry=scale.ensemble.geometry, magnetic=False) for scale in flow]
        runs.append(running_of_flow(flow, couplings))
    beta = fit_beta(runs, generator=torch.Generator().manual_seed(0))
    (point,) = fixed_points(beta, generator=torch.Generator().manual_seed(0)).points
    return stability(beta, point, "even")[0].rate


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
