"""Kernel exponent: the power law with which a covariance spectrum falls over a stated range of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import ClassVar

import torch
from scipy.stats import chi2
from torch import Tensor

from blockspin.couplings._sums import PowerSums, covariance_of
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError, FitFailedError
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
        if self.first < 1:
            raise ConfigError("first", self.first, "an integer of at least 1.")
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
        eigenvalues = torch.linalg.eigvalsh(covariance_of(state)[0]).flip(0)
        return self.power_law(self._range(eigenvalues))

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
        """Return the scatter of held-out variances about the fitted law, and its p-value for Gaussian samples.

        The held-out variances are taken along the fitted eigenvectors, so that sorting noise is not mistaken for a
        spectrum; exponent and amplitude are fitted to them. Root mean square of the logarithm's deviation, with the
        chi-squared p-value for the sampling variance 2 / n; None on a law.
        """
        C, dof = covariance_of(held_out)
        vectors = torch.linalg.eigh(covariance_of(fitted)[0])[1].flip(1)[:, self.first - 1 : self.last]
        variances = ((C @ vectors) * vectors).sum(0)
        if float(variances.min()) <= 0 or vectors.shape[1] < self.last - self.first + 1:
            raise FitFailedError(f"the support ends before rank {self.last}", "Lower ``last``.")
        design = torch.stack([torch.ones_like(variances), self._ranks().log()], dim=1)
        y = variances.log()
        residual = y - design @ torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
        left = len(y) - 2
        square = float(residual.square().sum())
        score = Measurement(sqrt(square / left), sqrt(square / left / (2 * left)), how="scatter of held-out variances")
        return Goodness("scatter of ln variance", score, None if dof == inf else float(chi2.sf(square * dof / 2, left)))

    def _ranks(self) -> Tensor:
        return torch.arange(self.first, self.last + 1, dtype=torch.float64)

    def _range(self, eigenvalues: Tensor) -> Tensor:
        if len(eigenvalues) < self.last or float(eigenvalues[self.last - 1]) <= 1e-12 * float(eigenvalues[0]):
            rank = int((eigenvalues > 1e-12 * eigenvalues[0]).sum())
            raise FitFailedError(f"the spectrum has rank {rank} and ends before {self.last}", "Lower ``last``.")
        return eigenvalues[self.first - 1 : self.last]


def _slope(rank: Tensor, y: Tensor) -> Tensor:
    """Return the slope of y against ln rank, weighted by 1 / rank."""
    w, x = 1 / rank, rank.log()
    x = x - (w @ x) / w.sum()
    return (w * x) @ y / ((w * x) @ x)
