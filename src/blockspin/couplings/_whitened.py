"""Whitened: the covariance of a layer's units in coordinates in which the products of its features are the unit."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from scipy.stats import chi2
from torch import Tensor

from blockspin.errors import FitFailedError, TooFewSamplesError

SINGULAR = 1e12
"""Largest condition number of the averaged kernel that is inverted."""


@dataclass(frozen=True)
class Whitened:
    r"""What a covariance :math:`\sigma_b^2 + \sigma_w^2 E` looks like where E is the unit matrix.

    There it is sigma_w^2 but along one direction, that of inputs that all change alike, so that both variances are
    estimated in closed form, of greatest likelihood and without bias.

    Args:
        inputs: Their number.
        across: Mean variance across that direction: sigma_w^2.
        along: Variance along it: sigma_w^2 + reach sigma_b^2.
        reach: 1 E^-1 1.
        log_determinant: Of the whole.
    """

    inputs: int
    across: float
    along: float
    reach: float
    log_determinant: float

    @property
    def dof(self) -> int:
        """Numbers of the covariance that the two variances do not fix."""
        return self.inputs * (self.inputs + 1) // 2 - 2

    def deviance(self, units: float) -> float:
        """Return twice the log likelihood ratio of any covariance against this one, a chi-square of ``dof``.

        With the factor of Bartlett for a covariance that is known, since two fitted numbers of many matter little.

        Args:
            units: How many the covariance was averaged over.

        Raises:
            TooFewSamplesError: If units do not outnumber the inputs by ten.
        """
        if units < self.inputs + 10:
            raise TooFewSamplesError(
                f"{units:.0f} units do not determine a kernel over {self.inputs} inputs",
                "Give fewer inputs, or a wider layer.",
            )
        statistic = units * ((self.inputs - 1) * log(self.across) + log(self.along) - self.log_determinant)
        factor = 1 - (2 * self.inputs + 1 - 2 / (self.inputs + 1)) / (6 * units)
        return max(0.0, statistic * factor)

    def p_value(self, units: float) -> float:
        """Return the probability of a deviance so far to either side if units are Gaussians of such a covariance.

        Too small a deviance is no good fit but another law: units of one regular kind scatter less than Gaussians.

        Raises:
            TooFewSamplesError: If units do not outnumber the inputs by ten.
        """
        deviance = self.deviance(units)
        return min(1.0, 2 * float(min(chi2.sf(deviance, self.dof), chi2.cdf(deviance, self.dof))))


def whitened(S: Tensor, E: Tensor, singular: float = SINGULAR) -> Whitened:
    """Return a covariance in the coordinates of the features.

    Args:
        S: Mean products of a layer's fields over its units, float64 [inputs, inputs].
        E: Mean products of the features that enter the layer, float64 [inputs, inputs].
        singular: Largest condition number of E.

    Raises:
        FitFailedError: If E is singular (two inputs are the same, or there are more of them than features).
    """
    inputs = len(E)
    if inputs < 2 or not bool(torch.isfinite(E).all()) or float(torch.linalg.cond(E)) > singular:
        raise FitFailedError("the averaged kernel is singular", "Give fewer inputs, all different.")
    L = torch.linalg.cholesky(E)
    half = torch.linalg.solve_triangular(L, S, upper=False)
    white = torch.linalg.solve_triangular(L, half.T, upper=False)
    v = torch.linalg.solve_triangular(L, torch.ones(inputs, 1, dtype=torch.float64), upper=False)[:, 0]
    reach = float(v @ v)
    along = float(v @ white @ v) / reach
    across = (float(white.trace()) - along) / (inputs - 1)
    return Whitened(inputs, across, along, reach, float(torch.linalg.slogdet(white)[1]))
