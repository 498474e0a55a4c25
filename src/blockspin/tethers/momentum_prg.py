"""Momentum-space renormalization of samples: kurtosis on the leading modes, chosen in and out of sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.geometry import Unordered
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import central_limit as theory

P, SITES, SAMPLES, MANY, SIGMA = 0.1, 128, 40_000, 200_000, 0.4
NOTED = {2: 4.2904, 4: 3.3401, 8: 3.1049}
"""Kurtosis of Bernoulli sites projected on 1/f of the directions in general position, where sites are many."""


@register
@dataclass(frozen=True)
class MomentumPrgTether(Tether):
    """Keep 1/f of the principal modes of independent sites and of a scale mixture of Gaussians."""

    name = "momentum-prg"
    system = "independent Bernoulli sites and a Gaussian scale mixture on their leading modes"
    source = "meshulam2019"
    schemes = ("principal-modes",)
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield kurtosis against its exact law, the constant of the scale mixture, and what in-sample modes fake."""
        generator = torch.Generator().manual_seed(0)
        fit_half, held_out = _ensemble((torch.rand(SAMPLES, SITES, generator=generator) < P).to(torch.float64)).halves()
        for f, noted in NOTED.items():
            projector, kurtosis = _projected(fit_half, held_out, f)
            excess = theory.projected_excess_kurtosis(projector.numpy(), theory.bernoulli_excess_kurtosis(P)).mean()
            yield sampled(f"kurtosis of Bernoulli sites on 1/{f} of the modes, held-out samples", 3 + excess, kurtosis)
            excess = _many_sites(f, generator)
            yield exact(f"its exact law for 1024 sites and modes in general position, f = {f}", noted, 3 + excess, 0.03)
        mixture = _mixture(MANY, generator)
        fit_half, held_out = mixture.halves()
        for f in (4, 16, 64):
            _, kurtosis = _projected(fit_half, held_out, f)
            quantity = f"kurtosis of the scale mixture on 1/{f} of the modes, held-out samples"
            yield Row(quantity, _constant(), kurtosis, min(0.25, 4 * float(kurtosis.error)))
        few = mixture.select(torch.arange(1000))
        _, inside = _projected(few, few, 8)
        double = float(inside.value) > 2 * _constant()
        yield exact(
            "control: 1/8 of the modes of 1000 samples, in sample, double it at least (1 = yes)", 1.0, double, 0
        )
        held_out = held_out.select(torch.arange(SAMPLES // 2))
        order = torch.rand(held_out.values.shape[:2], generator=generator).argsort(dim=0)[:, :, None]
        _, shuffled = _projected(fit_half, held_out.with_values(held_out.values.gather(0, order)), 64)
        near = abs(float(shuffled.value) - 3) < abs(float(shuffled.value) - _constant())
        yield exact("control: shuffling each site's samples brings it to 3 (1 = yes)", 1.0, float(near), 0)


def _mixture(samples: int, generator: torch.Generator) -> Ensemble:
    """Independent Gaussian sites with a common random scale; its tails ask for many samples."""
    volume = torch.exp(SIGMA * torch.randn(samples, 1, generator=generator))
    return _ensemble(volume * torch.randn(samples, SITES, generator=generator))


def _constant() -> float:
    """E v^4 / (E v^2)^2 times 3, of log-normal v."""
    return 3 * exp(4 * SIGMA**2)


def _many_sites(f: int, generator: torch.Generator, sites: int = 1024) -> float:
    drawn = torch.randn(sites, sites // f, dtype=torch.float64, generator=generator)
    basis = torch.linalg.qr(drawn).Q
    return float(
        theory.projected_excess_kurtosis((basis @ basis.T).numpy(), theory.bernoulli_excess_kurtosis(P)).mean()
    )


def _ensemble(values: Tensor) -> Ensemble:
    return Ensemble.of(values, Unordered(values.shape[1]), units=torch.arange(len(values)))


def _projected(fit_half: Ensemble, measured: Ensemble, f: int) -> tuple[Tensor, Measurement]:
    """Return the projector [sites, sites] on 1/f of the modes, and the mean kurtosis of the projected sites."""
    coarse = member("schemes", "principal-modes")(b=f).fit(fit_half, generator=torch.Generator())
    field = coarse.lift(coarse.values(measured.values))[:, :, 0]
    return coarse.modes @ coarse.modes.T, _kurtosis(field)


def _kurtosis(x: Tensor, groups: int = 20) -> Measurement:
    """Return the kurtosis averaged over sites, with the delete-group jackknife (centre held fixed)."""
    square = (x - x.mean(0)).square()
    group = torch.arange(len(x)) % groups
    sums = torch.stack(
        [torch.stack([square[group == g].sum(0), square[group == g].square().sum(0)]) for g in range(groups)]
    )
    count = torch.bincount(group).to(torch.float64)[:, None]

    def kurtosis(part: Tensor, n: Tensor) -> Tensor:
        return (part[..., 1, :] * n / part[..., 0, :].square()).mean(-1)

    rest = kurtosis(sums.sum(0) - sums, len(x) - count)
    error = (groups - 1) / groups**0.5 * float(rest.std())
    value = float(kurtosis(sums.sum(0), torch.tensor(float(len(x)))))
    return Measurement(value, error, n_eff=len(x), how=f"delete-group jackknife, {groups} groups")
