"""Marchenko-Pastur: the spectrum of white noise and of one spike in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.geometry import Unordered
from blockspin.law import GaussianLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import evaluate
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, sampled
from blockspin.theory import marchenko_pastur as theory

SITES, SAMPLES, REPEATS = 100, 401, 40


@register
@dataclass(frozen=True)
class MarchenkoPasturTether(Tether):
    """Measure covariance spectra of independent samples and compare with random-matrix theory."""

    name = "marchenko-pastur"
    system = "sample covariance of white noise"
    source = "marchenko1967"

    def rows(self) -> Iterator[Row]:
        """Yield moments, participation ratio and the largest eigenvalue, without and with a spike."""
        dof = SAMPLES - 1
        spectra = self._spectra(torch.ones(SITES, dtype=torch.float64))
        about = f"{SITES} sites, {SAMPLES} samples"
        for order in (2, 3):
            expected = theory.finite_moment(order, SITES, dof)
            yield sampled(f"moment {order} of the spectrum ({about})", expected, _mean((spectra**order).mean(1)))
        middle = 1 + SITES / dof
        below = _mean((spectra < middle).to(torch.float64).mean(1))
        yield sampled(f"share below the centre of the bulk ({about})", theory.share_below(middle, SITES / dof), below)
        ratio = _ratio_of_means(spectra.sum(1) ** 2, (spectra**2).sum(1))
        yield sampled(f"participation ratio ({about})", theory.participation_ratio(SITES, dof), ratio)
        yield sampled(f"largest eigenvalue ({about})", theory.largest_eigenvalue(SITES, dof), _mean(spectra[:, 0]))
        spike = torch.ones(SITES, dtype=torch.float64)
        spike[0] = 5.0
        expected = theory.spike_position(5.0, SITES / dof)
        yield sampled(f"spike of variance 5 ({about})", expected, _mean(self._spectra(spike)[:, 0]))

    def _spectra(self, variances: Tensor) -> Tensor:
        """Return spectra [REPEATS, SITES] of independent data sets with the given population variances."""
        generator = torch.Generator().manual_seed(0)
        law = GaussianLaw.of(torch.diag(variances), Unordered(SITES))
        observable = member("observables", "covariance")()
        draws = (law.sample(SAMPLES, generator=generator) for _ in range(REPEATS))
        return torch.stack([evaluate(observable, draw)["spectrum"] for draw in draws])


def _mean(values: Tensor) -> Measurement:
    error = float(values.std()) / len(values) ** 0.5
    return Measurement(float(values.mean()), error, n_eff=len(values), how=f"{len(values)} independent data sets")


def _ratio_of_means(top: Tensor, bottom: Tensor) -> Measurement:
    n = len(top)
    without = (top.sum() - top) / (bottom.sum() - bottom)
    error = (n - 1) / n**0.5 * float(without.std())
    return Measurement(float(top.sum() / bottom.sum()), error, n_eff=n, how=f"jackknife over {n} independent data sets")
