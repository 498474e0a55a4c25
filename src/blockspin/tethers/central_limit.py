"""Central limit: cumulants of independent sites under block averages and projections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.geometry import Chain, Geometry, Grid, Unordered
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import central_limit as theory

P = 0.1
"""Probability of a 1; the excess kurtosis is 46 / 9."""


@register
@dataclass(frozen=True)
class CentralLimitTether(Tether):
    """Coarse-grain independent Bernoulli sites and compare their cumulants with closed forms."""

    name = "central-limit"
    system = "independent sites under block average and projection"
    source = "jonalasinio1975"
    schemes = ("block-average", "principal-modes")

    def rows(self) -> Iterator[Row]:
        """Yield third and fourth cumulants of blocks (exact), and kurtosis after projection on modes (sampled)."""
        for geometry, b in ((Chain(12), 2), (Chain(12), 4), (Grid((4, 4)), 2)):
            yield from _blocks(geometry, b)
        for share in (2, 4):
            yield _projection(64, share, 20_000)


def bernoulli(geometry: Geometry) -> EnumeratedLaw:
    """Return the law of independent sites that are 1 with probability P and 0 otherwise."""
    odds = torch.tensor([1 - P, P], dtype=torch.float64).log()
    return enumerate_law(geometry, (0.0, 1.0), lambda x: (odds[0] + x * (odds[1] - odds[0])).sum(1))


def _blocks(geometry: Geometry, b: int) -> Iterator[Row]:
    law = bernoulli(geometry)
    coarse = law.push(member("schemes", "block-average")(b=b).fit(law, generator=torch.Generator()))
    sites = geometry.sites // coarse.geometry.sites
    x = coarse.values[:, 0, 0] - P
    variance = coarse.weights @ x**2
    for order, single in ((3, theory.bernoulli_skewness(P)), (4, theory.bernoulli_excess_kurtosis(P))):
        measured = float(coarse.weights @ x**order / variance ** (order / 2)) - (3 if order == 4 else 0)
        quantity = (
            f"standardised cumulant of order {order}, blocks of {sites} Bernoulli sites in {geometry.dimension} D"
        )
        yield exact(quantity, theory.block_cumulant(single, order, sites), measured, 1e-12)


def _projection(sites: int, share: int, samples: int) -> Row:
    """Project on the first 1/share of the principal modes of one half; kurtosis of the sites on the other half."""
    generator = torch.Generator().manual_seed(share)
    values = (torch.rand(samples, sites, generator=generator) < P).to(torch.float64)
    units = torch.arange(samples)
    fit_half, ensemble = Ensemble.of(values, Unordered(sites), units=units).halves()
    modes = member("schemes", "principal-modes")(b=share).fit(fit_half, generator=generator)
    origin = modes.lift(modes.values(torch.zeros(1, sites, 1, dtype=torch.float64)))
    basis = torch.eye(sites, dtype=torch.float64)[:, :, None]
    projector = (modes.lift(modes.values(basis)) - origin)[:, :, 0].T
    expected = theory.projected_excess_kurtosis(projector.numpy(), theory.bernoulli_excess_kurtosis(P)).mean()
    measured = _mean_excess_kurtosis(modes.lift(modes.values(ensemble.values))[:, :, 0])
    quantity = f"mean excess kurtosis of {sites} Bernoulli sites on 1/{share} of the modes, held-out samples"
    return sampled(quantity, float(expected), measured)


def _mean_excess_kurtosis(x: Tensor, groups: int = 20) -> Measurement:
    """Return the excess kurtosis averaged over sites, with the delete-group jackknife."""

    def kurtosis(x: Tensor) -> Tensor:
        d = x - x.mean(0)
        return ((d**4).mean(0) / d.square().mean(0).square()).mean() - 3

    group = torch.arange(len(x)) % groups
    rest = torch.stack([kurtosis(x[group != g]) for g in range(groups)])
    error = (groups - 1) / groups**0.5 * float(rest.std())
    return Measurement(float(kurtosis(x)), error, n_eff=len(x), how=f"delete-group jackknife, {groups} groups")
