"""Dyson Gaussian: block averages of the hierarchical model against the recursion of its mass, level by level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import torch

from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import dyson_gaussian as theory

ROUNDING = 1e-10
"""Inverses of covariances of 64 leaves, their condition below 1e3, in double precision."""


@register
@dataclass(frozen=True)
class DysonGaussianTether(Tether):
    """Average siblings of the exact law, multiply by sqrt(c), and read the mass off the coarse law."""

    name = "dyson-gaussian"
    system = "Dyson's hierarchical model with Gaussian spins"
    source = "collet1978"
    schemes = ("block-average",)

    def rows(self) -> Iterator[Row]:
        """Yield the mass after each level, the fixed point, its exponent, and the law that is left."""
        strength, mass, depth = 1.3, 2.0, 6
        make = member("sources", "dyson-gaussian")
        law = make(branching=2, depth=depth, strength=strength, mass=mass).law()
        average = member("schemes", "block-average")(b=2)
        masses = [mass]
        for level in range(1, 4):
            law = law.push(average.fit(law, generator=torch.Generator())).times(strength**0.5)
            mass = theory.mass_after_step(mass, strength)
            # siblings differ by a mode that only their own mass holds
            masses.append(1 / float(law.covariance[0, 0] - law.covariance[0, 1]))
            yield exact(f"r after {level} levels (c = {strength})", mass, masses[-1], ROUNDING)
            same = make(branching=2, depth=depth - level, strength=strength, mass=mass).law()
            misfit = float((law.covariance - same.covariance).abs().max())
            yield exact(f"largest misfit of the law after {level} levels", 0.0, misfit, ROUNDING, "field^2")
        growth = (masses[3] - masses[2]) / (masses[2] - masses[1])
        yield exact("y of the mass", theory.mass_exponent(strength), log(growth) / log(2), ROUNDING)
        fixed = masses[1] - (masses[2] - masses[1]) / (growth - 1)
        yield exact("r* of the recursion", theory.critical_mass(strength), fixed, ROUNDING)
