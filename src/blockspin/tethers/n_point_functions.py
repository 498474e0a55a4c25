"""N-point functions: two suffice for a Gaussian field, and a quartic one needs the fourth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import multivariate_normal

from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers._means import mean_over_units
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import n_point_functions as theory
from blockspin.theory.phi4 import ring_moments

SITES, DRAWS = 16, 40_000


@register
@dataclass(frozen=True)
class NPointFunctionsTether(Tether):
    """Average products of fields over translations of a ring."""

    name = "n-point-functions"
    system = "fields coded by their n-point functions"
    source = "berman2024"

    def rows(self) -> Iterator[Row]:
        """Yield the density from two functions, those of third and fourth order, and the quartic field's."""
        k = 2 * np.pi * np.arange(SITES) / SITES
        covariance = np.fft.ifft(1 / (2 - 2 * np.cos(k) + 0.5)).real
        C = covariance[(np.arange(SITES)[:, None] - np.arange(SITES)) % SITES]
        rng, mean = np.random.default_rng(0), 0.3
        x = mean + rng.standard_normal((DRAWS, SITES)) @ np.linalg.cholesky(C).T
        law = multivariate_normal(np.full(SITES, mean), C)
        two = [np.array([(f * np.roll(f, -r)).mean() for r in range(SITES)]) for f in x[:20]]
        found = [theory.log_density(f.mean(), G, mean, covariance) for f, G in zip(x[:20], two, strict=True)]
        gap = abs(np.array(found) - law.logpdf(x[:20])).max()
        yield exact("log density from G1 and G2 alone, largest difference", 0.0, gap, 1e-10, "nat")
        phi = x - mean
        third, second = phi * np.roll(phi, 1, 1) * np.roll(phi, 2, 1), covariance[0]
        yield sampled("connected G3(0, 1, 2) of the Gaussian field", 0.0, _mean(third.mean(1)))
        fourth = (phi**4 - 6 * second * phi**2).mean(1) + 3 * second**2
        yield sampled("connected G4(0) of the Gaussian field", 0.0, _mean(fourth))
        yield from _quartic()


def _quartic() -> Iterator[Row]:
    """Sample a field with a quartic action, whose third function vanishes like a Gaussian's."""
    known = ring_moments(8, 0.3, 0.5)
    model = member("sources", "phi4")(shape=(8,), hopping=0.3, coupling=0.5, chains=40, sweeps=3)
    ensemble = model.sample(40 * 100, generator=torch.Generator().manual_seed(0))
    phi, second = ensemble.values.double().reshape(-1, 8), known["phi2"]
    yield sampled("G3(0) of the quartic field", 0.0, mean_over_units(phi.pow(3).mean(1), ensemble))
    # linear in the sample about the known second moment, so that no square of a mean is biased
    fourth = (phi**4 - 6 * second * phi**2).mean(1) + 3 * second**2
    expected = known["phi4"] - 3 * second**2
    yield sampled("connected G4(0) of the quartic field", expected, mean_over_units(fourth, ensemble))


def _mean(values: np.ndarray) -> Measurement:
    error = values.std(ddof=1) / DRAWS**0.5
    return Measurement(values.mean(), error, "1", DRAWS, f"{DRAWS} independent fields", DRAWS - 1)
