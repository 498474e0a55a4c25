"""Pairing: clusters of independent sites, of shuffled ones, and of sites with common drivers and no interaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.ensemble import Ensemble
from blockspin.geometry import Unordered
from blockspin.registry import register
from blockspin.tethers._pairing import difference, exponents
from blockspin.tethers.base import Row, Tether, exact, sampled

SITES, SAMPLES, STEPS, P = 256, 8000, 6, 0.05


@register
@dataclass(frozen=True)
class PairingTether(Tether):
    """Pair independent Bernoulli sites at random and by correlation, in and out of sample; then driven ones."""

    name = "pairing"
    system = "independent and commonly driven Bernoulli sites, paired at random and by correlation"
    source = "meshulam2019"
    schemes = ("correlation-pairing", "random-pairing")

    def rows(self) -> Iterator[Row]:
        """Yield exponents whose value is exact, the bias of choosing in sample, and what latent drivers fake."""
        generator = torch.Generator().manual_seed(0)
        whole = _ensemble(torch.rand(SAMPLES, SITES, generator=generator) < P)
        halves = whole.halves()
        for scheme in ("random-pairing", "correlation-pairing"):
            found = exponents(halves, scheme, STEPS)
            for key, expected in (("alpha", 1.0), ("beta", 1.0), ("curvature", 0.0)):
                yield sampled(f"{key}, independent sites, {scheme}, held-out samples", expected, found[key])
        inside = exponents((whole, whole), "correlation-pairing", STEPS)["alpha"]
        bias = float(inside.value) - 1
        yield exact(
            "correlation-pairing in sample: alpha of independent sites is too large by over 4 errors (1 = yes)",
            1.0,
            float(bias > 4 * float(inside.error)),
            0.0,
        )
        surrogate = exponents((_shuffled(whole, generator),) * 2, "correlation-pairing", STEPS)["alpha"]
        yield sampled("the same alpha less that of the shuffled surrogate", 0.0, difference(inside, surrogate))
        driven = exponents(_driven(generator).halves(), "correlation-pairing", STEPS)
        for key, sign, bound in (("alpha", 1, 1.3), ("beta", -1, 0.9)):
            beyond = sign * (float(driven[key].value) - bound) > 4 * float(driven[key].error)
            word = "above" if sign > 0 else "below"
            quantity = f"ten latent drivers without interaction: {key} {word} {bound} by over 4 errors (1 = yes)"
            yield exact(quantity, 1.0, float(beyond), 0.0)


def _ensemble(active: torch.Tensor) -> Ensemble:
    return Ensemble.of(active.to(torch.float32), Unordered(active.shape[1]), units=torch.arange(len(active)))


def _shuffled(ensemble: Ensemble, generator: torch.Generator) -> Ensemble:
    order = torch.rand(ensemble.values.shape[:2], generator=generator).argsort(dim=0)
    return ensemble.with_values(ensemble.values.gather(0, order[:, :, None]))


def _driven(generator: torch.Generator, drivers: int = 10) -> Ensemble:
    """Sites that are independent of each other given ten common Gaussian drivers."""
    hidden = torch.randn(SAMPLES, drivers, generator=generator)
    weights = torch.randn(drivers, SITES, generator=generator)
    odds = hidden @ weights / drivers**0.5 * 4.0 - 3.0
    return _ensemble(torch.rand(SAMPLES, SITES, generator=generator) < torch.sigmoid(odds))
