"""Gaussian information: what fields say about each other, linearly and through nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.geometry import Chain, Unordered
from blockspin.law import GaussianLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import evaluate
from blockspin.observables.linear_prediction import law_state
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import gaussian_information as theory

SITES, REPEATS = 12, 40


@register
@dataclass(frozen=True)
class GaussianInformationTether(Tether):
    """Predict a ring from its block averages, and measure the information between correlated Gaussian sites."""

    name = "gaussian-information"
    system = "jointly Gaussian fields"
    source = "hotelling1936"
    schemes = ("block-average",)

    def rows(self) -> Iterator[Row]:
        """Yield shares of variance on the law (exact), then information, between single sites (sampled)."""
        gap = torch.arange(SITES)
        gap = torch.minimum(gap, SITES - gap)
        C = (0.7 ** gap.to(torch.float64))[(torch.arange(SITES)[:, None] - torch.arange(SITES)) % SITES]
        law = GaussianLaw.of(C, Chain(SITES))
        for b in (2, 3, 6):
            coarse = member("schemes", "block-average")(b=b).fit(law, generator=torch.Generator())
            found = member("observables", "linear-prediction")().value(law_state(law, coarse))
            expected = theory.block_predictability(C.numpy(), b)
            about = f"blocks of {b} on a ring of {SITES} sites"
            yield exact(f"R^2 of the ring from {about}", expected, float(found["first_from_second"]), 1e-12)
            yield exact(f"R^2 of {about} from the ring", 1.0, float(found["second_from_first"]), 1e-12)
        for rho in (0.0, 0.3, 0.6):
            draws = torch.stack([_information(rho, seed) for seed in range(REPEATS)])
            error = float(draws.std()) / REPEATS**0.5
            how = f"{REPEATS} independent data sets"
            measured = Measurement(float(draws.mean()), error, "nats", REPEATS, how)
            quantity = f"information between two sites of correlation {rho}, 500 samples"
            yield sampled(quantity, theory.mutual_information([rho]), measured)


def _information(rho: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x, e = torch.randn(2, 500, 1, dtype=torch.float64, generator=generator)
    first = Ensemble.of(x)
    second = first.with_values((rho * x + (1 - rho**2) ** 0.5 * e)[:, :, None], Unordered(1))
    return evaluate(member("observables", "ksg")(), first, second)["information"]
