"""Effective ridge: kernel regressions on Gaussian features, by their errors, by their kernel and by the equation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.couplings.effective_ridge import regression_sample
from blockspin.ensemble import Ensemble
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether
from blockspin.tethers.swendsen import grouped
from blockspin.theory.kernel_regression_rg import effective_ridge

SETS, MODES, NOISE = 150, 100, 0.3


@register
@dataclass(frozen=True)
class EffectiveRidgeTether(Tether):
    """Draw training sets of Gaussian features with a power-law spectrum, and read the ridge off both sides."""

    name = "effective-ridge"
    system = "kernel ridge regression on Gaussian features"
    source = "canatar2021"

    def rows(self) -> Iterator[Row]:
        """Yield both ridges at two ridges; the equation is of leading order in 1 / samples."""
        for samples, ridge in ((60, 0.5), (60, 0.05)):
            found = grouped(member("couplings", "effective-ridge")(ridge), _regressions(samples, ridge))
            expected = effective_ridge(_spectrum().numpy(), samples, ridge)
            for key, how in (("ridge", "errors"), ("kernel_ridge", "kernel")):
                allowed = 4 * float(found[key].error) + expected / samples
                yield Row(f"kappa by the {how} (sigma^2 = {ridge}, n = {samples})", expected, found[key], allowed)


def _spectrum() -> torch.Tensor:
    return torch.arange(1, MODES + 1, dtype=torch.float64) ** -1.5


def _regressions(samples: int, ridge: float) -> Ensemble:
    generator, spectrum = torch.Generator().manual_seed(0), _spectrum()
    target = torch.randn(MODES, dtype=torch.float64, generator=generator) * spectrum.sqrt()
    rows = []
    for _ in range(SETS):
        x = torch.randn(2 * samples, MODES, dtype=torch.float64, generator=generator)
        y = x @ target + NOISE * torch.randn(2 * samples, dtype=torch.float64, generator=generator)
        K = (x * spectrum) @ x[:samples].T
        rows.append(regression_sample(K[:samples], K[samples:], y[:samples], y[samples:], ridge))
    return Ensemble.of(torch.stack(rows), units=torch.arange(SETS))
