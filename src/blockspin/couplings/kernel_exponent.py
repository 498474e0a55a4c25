"""Kernel exponent: the power law with which a covariance spectrum falls over a stated range of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._sums import PowerSums, covariance_of
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError, FitFailedError, check_whole
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register


@register
@dataclass(frozen=True)
class KernelExponent(Coupling):
    r"""The exponent of eigenvalues of the covariance (or of the kernel, whose non-zero ones are the same) by rank.

    .. math:: \lambda_\nu = A\, \nu^{-\alpha}, \qquad \mathrm{first} \le \nu \le \mathrm{last}

    by least squares of the logarithms, each rank weighted by 1 / nu so that every octave counts alike. The fit is
    accepted where the slopes of the lower and the upper half of the range (in ln nu) differ by at most ``bend``, and
    where the eigenvalues fall by at least a factor of 2 over it; otherwise there is no number, and the error says why.

    Quantities: "exponent" (alpha), "bend" (slope of the upper half less that of the lower: 0 for a power law).

    Args:
        first: First rank of the range, from 1. The leading few carry means and finite size.
        last: Last rank, at least 4 first. Keep it well below the number of samples: noise bends the tail.
        bend: Largest difference of the two half-range slopes that is accepted.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        The range is short (under two octaves nearly anything is straight), or samples hardly outnumber ``last``. A
        power law is no sign of criticality: latent variables make them too.

    Source:
        stringer2019.
    """

    name = "kernel-exponent"
    source = "stringer2019"
    units: ClassVar[Mapping[str, str]] = {"exponent": "1", "bend": "1"}
    left_out: ClassVar[tuple[str, ...]] = ("steps and cut-offs of the spectrum", "eigenvalues outside the range")
    noted: ClassVar[tuple[str, ...]] = ("bend",)
    first: int = 5
    last: int = 50
    bend: float = 0.3

    def __post_init__(self):
        check_whole("first", self.first, 1)
        if self.last < 4 * self.first:
            raise ConfigError("last", self.last, f"an integer of at least 4 first = {4 * self.first}.")
        if self.bend <= 0:
            raise ConfigError("bend", self.bend, "a positive number.")

    @property
    def monoid(self) -> PowerSums:
        """Second moments."""
        return PowerSums()

    def value(self, state: State) -> dict[str, Tensor]:
        """Return exponent and bend.

        Raises:
            FitFailedError: If the spectrum is no power law over the range.
        """
        return self.power_law(self._range(_spectrum(state)))

    def power_law(self, eigenvalues: Tensor) -> dict[str, Tensor]:
        """Return exponent and bend of eigenvalues of ranks first to last.

        Raises:
            FitFailedError: If they are no power law.
        """
        rank = self._ranks()
        y, middle = eigenvalues.log(), sqrt(self.first * self.last)
        alpha = -_slope(rank, y)
        bend = _slope(rank[rank >= middle], y[rank >= middle]) - _slope(rank[rank <= middle], y[rank <= middle])
        where = f"over ranks {self.first} to {self.last}"
        if float(eigenvalues[0]) < 2 * float(eigenvalues[-1]):
            raise FitFailedError(
                f"the spectrum falls by less than a factor of 2 {where}", "There is no power law there."
            )
        if abs(float(bend)) > self.bend:
            raise FitFailedError(
                f"the slope changes by {float(bend):.2f} {where}, beyond {self.bend}", "Choose another range, or none."
            )
        return {"exponent": alpha, "bend": bend}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return how far held-out eigenvalues scatter about the power law of the fitted ones.

        Root mean square of the difference of logarithms over the range; pure sampling noise gives about sqrt(2 / n)
        for n Gaussian samples, which no p-value is drawn from, since neighbouring sample eigenvalues repel each other.
        """
        first, second = (self._range(_spectrum(state)).log() for state in (fitted, held_out))
        x, w = self._ranks().log(), 1 / self._ranks()
        slope = _slope(self._ranks(), first)
        law = (w @ first) / w.sum() + slope * (x - (w @ x) / w.sum())
        scatter = float((second - law).square().mean().sqrt())
        score = Measurement(scatter, scatter / sqrt(2 * len(x)), how="scatter over ranks, taken as independent")
        return Goodness("scatter of held-out ln eigenvalues about the fitted law", score)

    def _ranks(self) -> Tensor:
        return torch.arange(self.first, self.last + 1, dtype=torch.float64)

    def _range(self, eigenvalues: Tensor) -> Tensor:
        if len(eigenvalues) < self.last or float(eigenvalues[self.last - 1]) <= 1e-12 * float(eigenvalues[0]):
            rank = int((eigenvalues > 1e-12 * eigenvalues[0]).sum())
            raise FitFailedError(f"the spectrum has rank {rank} and ends before {self.last}", "Lower ``last``.")
        return eigenvalues[self.first - 1 : self.last]


def _spectrum(state: State) -> Tensor:
    return torch.linalg.eigvalsh(covariance_of(state)[0]).flip(0)


def _slope(rank: Tensor, y: Tensor) -> Tensor:
    """Return the slope of y against ln rank, weighted by 1 / rank."""
    w, x = 1 / rank, rank.log()
    x = x - (w @ x) / w.sum()
    return (w * x) @ y / ((w * x) @ x)
