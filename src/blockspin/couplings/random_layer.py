"""Random layer: variances of weights and biases of one layer from its units, given the features that enter it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._moments import SecondMoments, kernel_of
from blockspin.couplings._whitened import Whitened, whitened
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register

SINGULAR = 1e10
"""Largest condition number of the features' products: activations in float32 have rounding of 1e-14 of theirs."""


@register
@dataclass(frozen=True, eq=False)
class RandomLayer(Coupling):
    r"""A layer whose weights and biases are independent Gaussians that know nothing of the features that enter it.

    .. math:: \langle z(x) z(y) \rangle = \sigma_b^2 + \sigma_w^2 E(x, y), \qquad
        E(x, y) = \frac1N \sum_{j=1}^N \phi_j(x) \phi_j(y)

    Samples are the units z of the layer, sites the inputs. Given the N features phi the units of a random layer are
    independent, whatever the width: both variances are of greatest likelihood, in closed form and without bias
    (``_whitened``), and errors are those of the units. ``LayerKernel`` takes the kernel of infinite width instead,
    where the units before are not known.

    Quantities: "weight_variance" sigma_w^2 (variance of a weight times the fan-in), "bias_variance" sigma_b^2, which is
    not held to be positive. The p-value is that of units being such Gaussians, two-sided: it falls where training
    has put features into the weights, and where units have become so regular that they scatter less than chance.

    Args:
        kernel: E, float64 [inputs, inputs].

    Raises:
        ConfigError: If the kernel is no square matrix over two or more inputs.

    Do not trust when:
        Inputs are so alike that their features differ by rounding. Units are fewer than a few hundred: at a hundred
        the interval of 90 % of a bias variance holds the truth in 87 %. Weights are drawn otherwise than Gaussian and
        the layer is fed by a few features alone: units are then no Gaussians, and the p-value falls without training.

    Source:
        poole2016.
    """

    name = "random-layer"
    source = "poole2016"
    units: ClassVar[Mapping[str, str]] = {"weight_variance": "1", "bias_variance": "field^2"}
    left_out: ClassVar[tuple[str, ...]] = ("correlations of weights with features, or among each other",)
    given: ClassVar[tuple[str, ...]] = ("kernel",)
    of_layers: ClassVar[bool] = True
    kernel: Tensor = field(default_factory=lambda: torch.eye(2, dtype=torch.float64), repr=False)

    def __post_init__(self):
        if self.kernel.ndim != 2 or self.kernel.shape[0] != self.kernel.shape[1] or len(self.kernel) < 2:
            raise ConfigError("kernel", tuple(self.kernel.shape), "a square matrix over two or more inputs.")

    @property
    def monoid(self) -> SecondMoments:
        """Products of the fields of units at pairs of inputs."""
        return SecondMoments()

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the two variances.

        Raises:
            TooFewSamplesError: If there is no unit.
            ShapeError: If the field is over another number of inputs than the kernel.
            FitFailedError: If the features of the inputs are not told apart.
        """
        w = self._white(state)
        found = {"weight_variance": w.across, "bias_variance": (w.along - w.across) / w.reach}
        return {key: torch.tensor(value, dtype=torch.float64) for key, value in found.items()}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the likelihood ratio of both states together over its degrees of freedom, and its p-value.

        1 on average for a random layer. Not of one state against the other: the p-value is exact where both variances
        are of greatest likelihood on what is tested.

        Raises:
            TooFewSamplesError: If units do not outnumber the inputs by ten.
        """
        both = self.monoid.merge(fitted, held_out)
        white, units = self._white(both), float(both["weight"])
        score = Measurement(
            white.deviance(units) / white.dof, (2 / white.dof) ** 0.5, n_eff=units, how="chi-square of a random layer"
        )
        return Goodness("deviance a degree of freedom", score, white.p_value(units))

    def _white(self, state: State) -> Whitened:
        return whitened(kernel_of(state, len(self.kernel)), self.kernel.to(torch.float64), SINGULAR)
