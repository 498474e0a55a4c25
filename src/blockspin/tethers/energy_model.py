"""Energy model: learned energies of spins read through a field, of a ring, and of wells in a row, by exact averages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi

import numpy as np
import torch

from blockspin.couplings.energy_observables import observed
from blockspin.ensemble import Ensemble
from blockspin.geometry import Grid
from blockspin.observables.base import accumulate
from blockspin.registry import member, register
from blockspin.tethers._continuous_ising import ising_fields
from blockspin.tethers.base import Row, Tether, sampled
from blockspin.tethers.swendsen import grouped
from blockspin.theory import continuous_ising, phi4


@register
@dataclass(frozen=True)
class EnergyModelTether(Tether):
    """Learn energies from samples and compare their mean curvature with sums over spins, an operator and an integral.

    At the transition what is drawn from the energy is held against the same sums, and of wells that lean on their
    neighbours along one axis the excess over the Gaussian theory, which only filters with a direction see.
    """

    name = "energy-model"
    system = (
        "continuous Ising model up to its transition, a strongly coupled quartic ring, and two wells a site in rows"
    )
    source = "swersky2011"
    fast = False
    minutes = 0.2

    def rows(self) -> Iterator[Row]:
        """Yield mean curvatures, a cumulant of drawn fields, and the excess of wells in rows."""
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
        yield _drawn_binder(generator)
        yield _wells_in_rows(generator)


def _drawn_binder(generator: torch.Generator) -> Row:
    """Return the Binder cumulant of fields drawn from an energy learned at the transition."""
    K = log(1 + 2**0.5) / 2
    field = ising_fields(4, K, 8000, generator)
    model = member("couplings", "energy-model").on(field, filters=2, whitened=True)
    binder = member("observables", "binder")()
    found = observed(model, accumulate(model.monoid, field), binder, generator=generator)["binder"]
    where = f"Binder cumulant drawn from the energy of a continuous Ising model, 4 x 4, K = {K:.4f}"
    return sampled(where, continuous_ising.binder(4, 4, K), found)


def _wells_in_rows(generator: torch.Generator) -> Row:
    r"""Return the excess of phi = (1 - c S)^-1 psi, S a shift along rows, psi of independent wells at +-m, deviation s.

    .. math:: (1 + c^2) \Big(\langle e'' \rangle - \frac{1}{m^2 + s^2}\Big), \qquad
        e'' = \frac{1}{s^2} - \frac{m^2}{s^4 \cosh^2(m \psi / s^2)} ,

    since E is the sum of e over the sites of (1 - c S) phi, each a row of squared length 1 + c^2.
    """
    c, m, s, side, samples = 0.8, 0.8, 0.5, 6, 8000
    wells = m * (2.0 * torch.randint(2, (samples, side, side), generator=generator) - 1)
    psi = wells + s * torch.randn(samples, side, side, dtype=torch.float64, generator=generator)
    W = torch.eye(side, dtype=torch.float64)
    W = W - c * W.roll(1, 1)
    field = Ensemble.of((psi @ torch.linalg.inv(W).T).flatten(1), Grid((side, side)))
    u, w = np.polynomial.hermite_e.hermegauss(200)
    bend = 1 / s**2 - m**2 / s**4 * (w / np.cosh(m * (m + s * u) / s**2) ** 2).sum() / (2 * pi) ** 0.5
    model = member("couplings", "energy-model").on(field, filters=1)
    where = f"excess over the Gaussian theory, two wells a site in rows, {side} x {side}"
    return sampled(where, (1 + c**2) * (bend - 1 / (m**2 + s**2)), grouped(model, field)["excess"])


def _curvature(where: str, expected: float, field: Ensemble) -> Row:
    model = member("couplings", "energy-model").on(field)
    return sampled(f"mean curvature of the action, {where}", expected, grouped(model, field)["curvature"])
