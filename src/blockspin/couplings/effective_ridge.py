"""Effective ridge: how strongly kernel regression smooths, read off its training and test errors and off its kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import ClassVar

import torch
from scipy.stats import t as student
from torch import Tensor

from blockspin.couplings._sums import PowerSums, degrees_of_freedom
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError, FitFailedError, ShapeError
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register

SITES = 3
"""What one regression shows: training error, test error, and the ridge by the kernel."""


def regression_sample(kernel: Tensor, across: Tensor, train: Tensor, test: Tensor, ridge: float) -> Tensor:
    r"""Return what one kernel ridge regression shows, float64 [3], one sample of the field that the coupling reads.

    Mean squared error on the training data and on test data with the same noise, and :math:`n / \mathrm{tr} (K +
    \sigma^2)^{-1}`, which is kappa by the kernel of the training inputs alone.

    Args:
        kernel: K of the training inputs [n, n].
        across: Kernel of test and training inputs [m, n].
        train: Targets [n].
        test: Targets [m], noise included.
        ridge: sigma^2, added to the diagonal of K; positive.

    Raises:
        ConfigError: If the ridge is not positive.
        ShapeError: If kernels and targets do not fit.
    """
    if not ridge > 0:
        raise ConfigError("ridge", ridge, "a positive number: without one the training error is 0.")
    n, m = len(train), len(test)
    if kernel.shape != (n, n) or across.shape != (m, n):
        raise ShapeError(f"kernels {tuple(kernel.shape)}, {tuple(across.shape)} do not fit {n} and {m} targets")
    inverse = torch.linalg.inv(kernel.to(torch.float64) + ridge * torch.eye(n, dtype=torch.float64))
    dual = inverse @ train.to(torch.float64)
    left = ridge * dual  # y - K (K + ridge)^-1 y
    off = test.to(torch.float64) - across.to(torch.float64) @ dual
    return torch.stack([left.square().mean(), off.square().mean(), n / inverse.trace()])


@register
@dataclass(frozen=True)
class EffectiveRidge(Coupling):
    r"""The ridge kappa that remains when all modes which n samples cannot learn are integrated out.

    Modes of the kernel that are not learned act on those that are as further ridge. Two sides of a regression show it,

    .. math:: \kappa = \sigma^2 \sqrt{E_\mathrm{test} / E_\mathrm{train}}, \qquad
        \kappa = n / \mathrm{tr} (K + \sigma^2)^{-1},

    which agree for many samples where features behave as Gaussian ones; ``goodness`` is their difference. Samples are
    independent training sets, sites what ``regression_sample`` returns of each.

    Quantities: "ridge", by the errors; "kernel_ridge", by the kernel. In units of the kernel.

    Args:
        ridge: sigma^2 of the regressions.

    Raises:
        ConfigError: If the ridge is not positive.

    Do not trust when:
        Training sets overlap, or share their test data: their errors are then too small. Test targets lack the noise
        that the training targets have.

    Source:
        canatar2021.
    """

    name = "effective-ridge"
    source = "canatar2021"
    units: ClassVar[Mapping[str, str]] = {"ridge": "kernel", "kernel_ridge": "kernel"}
    left_out: ClassVar[tuple[str, ...]] = ("corrections in 1 / samples", "features that are not Gaussian")
    ridge: float = 1.0

    def __post_init__(self):
        if not self.ridge > 0:
            raise ConfigError("ridge", self.ridge, "a positive number.")

    @property
    def monoid(self) -> PowerSums:
        """Means and covariances of the three numbers of a training set."""
        return PowerSums()

    def value(self, state: State) -> dict[str, Tensor]:
        """Return kappa by both ways.

        Raises:
            TooFewSamplesError: If there are fewer than two training sets.
            ShapeError: If the field is not of three sites.
            FitFailedError: If an error is zero.
        """
        train, test, kernel = self._means(state)
        return {"ridge": self.ridge * (test / train).sqrt(), "kernel_ridge": kernel}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return ln of the ratio of the two ridges on held-out training sets, and the p-value of it being 0.

        The error is that of the sets' scatter; what is fitted elsewhere does not enter: the two ways have no free
        number.

        Raises:
            TooFewSamplesError: If there are fewer than two held-out training sets.
        """
        means, dof = self._means(held_out), degrees_of_freedom(held_out)
        found = self.value(held_out)
        slope = torch.tensor([-0.5, 0.5, -1.0], dtype=torch.float64) / means
        variance = float(slope @ (held_out["scatter"] / held_out["weight"]) @ slope)
        error = 0.0 if dof == inf else sqrt(variance / dof)
        gap = float((found["ridge"] / found["kernel_ridge"]).log())
        score = Measurement(gap, error, "1", dof + 1, "held-out training sets, independent", dof)
        p_value = float(2 * student.sf(abs(gap) / error, dof)) if error > 0 else None
        return Goodness("ln of the ridge by errors over that by the kernel", score, p_value)

    def _means(self, state: State) -> Tensor:
        degrees_of_freedom(state)  # meets an empty state
        means = state["mean"]
        if len(means) != SITES:
            raise ShapeError(f"a field of {len(means)} sites is not what a regression shows", "Use regression_sample.")
        if not bool((means > 0).all()):
            raise FitFailedError("an error of the regressions is zero", "There is no ratio of errors to go by.")
        return means
