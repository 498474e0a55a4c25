"""Wavelet: condition numbers of the massless Gaussian field, scale by scale, whatever the size of the lattice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.geometry import Grid
from blockspin.law import GaussianLaw
from blockspin.observables.wavelet_conditioning import WaveletConditioning
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import wavelet as theory

NOTED = (3.0, 4.2, 5.2208871277, 5.6554725405)
"""Condition numbers of the details at side L, L/2, L/4, L/8."""


@register
@dataclass(frozen=True)
class WaveletTether(Tether):
    """Transform the field of spectrum 1/k^2 by Haar's wavelet and condition each scale on the coarser one."""

    name = "wavelet"
    system = "Gaussian field of spectrum 1/k^2 on a square torus, Haar's wavelet"
    source = "marchand2022"
    schemes = ("wavelet",)

    def rows(self) -> Iterator[Row]:
        """Yield condition numbers of the whole and of each scale, then the scheme against the block average."""
        for side in (8, 16, 32):
            C = torch.from_numpy(theory.massless_covariance(side))
            found = WaveletConditioning(Grid((side, side))).value(_state(C))
            yield exact(
                f"condition number of the field, L = {side}", theory.full_condition(side), float(found["full"]), 1e-8
            )
            for level, value in enumerate(found["details"][:4].tolist()[: side.bit_length() - 2]):
                yield exact(
                    f"details at scale L/{2**level} given the coarser field, L = {side}", NOTED[level], value, 1e-8
                )
        covariance, side = theory.massless_covariance(32), 32
        for level, value in enumerate(NOTED):
            independent = theory.conditional_condition(covariance, side)
            yield exact(f"the same from the precision matrix, L = 32, scale L/{2**level}", value, independent, 1e-8)
            covariance, side = theory.coarse_covariance(covariance, side), side // 2
        yield from _scheme(GaussianLaw.of(torch.from_numpy(theory.massless_covariance(8)), Grid((8, 8))))


def _scheme(law: GaussianLaw) -> Iterator[Row]:
    chance = torch.Generator()
    wavelet = member("schemes", "wavelet")("haar").fit(law, generator=chance)
    block = member("schemes", "block-average")(b=2).fit(law, generator=chance)
    gap = (law.push(wavelet).covariance - 4 * law.push(block).covariance).abs().max()
    yield exact(
        "Haar's coarse covariance less 4 times that of the block average, largest entry", 0.0, float(gap), 1e-12
    )


def _state(covariance: torch.Tensor) -> dict[str, torch.Tensor]:
    """The state of second moments that infinitely many samples would leave."""
    one = torch.ones((), dtype=torch.float64)
    return {"weight": one, "squares": 0 * one, "mean": covariance[0] * 0, "scatter": covariance}
