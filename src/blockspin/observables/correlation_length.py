"""Correlation length: how far a field on a periodic lattice is correlated, from its longest waves."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin

import torch
from torch import Tensor

from blockspin.errors import FitFailedError, GeometryError
from blockspin.geometry import Geometry, Grid
from blockspin.observables.base import State
from blockspin.observables.covariance import OfMoments, two_point
from blockspin.registry import register


@register
@dataclass(frozen=True)
class CorrelationLength(OfMoments):
    r"""The second-moment correlation length, and how many times it fits into the lattice.

    .. math:: \xi = \frac{1}{2 \sin(\pi / L)} \sqrt{\frac{S(0)}{S(2 \pi / L)} - 1}

    with S the mean power of a wave, summed over components, and 2 pi / L the longest wave along the longest axis,
    averaged over the axes of that length. No law of the decay is assumed; where it is exponential this is close to its
    length, and exact for S = 1 / (k^2 + r) in lattice waves, where :math:`\xi = r^{-1/2}`.

    Quantities: "square" xi^2, of either sign by noise where nothing is correlated; where it is positive also "length"
    xi, and "ratio" xi / L, which neither grows nor falls with L where no scale is preferred: compare several sizes
    (``running.bracket``, ``running.plateau``), for one alone does not tell.

    Args:
        geometry: A periodic chain or grid of three sites or more along its longest axis.

    Raises:
        GeometryError: If it is none.

    Do not trust when:
        The length exceeds a third of the lattice: it is then that of the lattice. The field is not translation
        invariant: what is averaged over then differs from pair to pair. The mean of the field differs between samples
        (several ordered phases): S(0) is then large at any distance of correlation.

    Source:
        cooper1982.
    """

    name = "correlation-length"
    source = "cooper1982"
    units = {"square": "lattice spacings^2", "length": "lattice spacings", "ratio": "1"}
    geometry: Geometry

    def __post_init__(self):
        if not (isinstance(self.geometry, Grid) and self.geometry.periodic and max(self.geometry.shape) > 2):
            raise GeometryError(
                "waves belong to periodic chains and grids of three sites or more", "See 'correlation' for others."
            )

    def value(self, state: State) -> dict[str, Tensor]:
        """Compare the power of the mean and of the longest wave.

        Raises:
            TooFewSamplesError: If there are fewer than two samples.
            ShapeError: If the field does not fit the geometry.
            ConstantUnitsError: If the field does not vary.
            FitFailedError: If the longest wave has no power.
        """
        G, shape = two_point(state, self.geometry.sites), self._lattice.shape
        L = max(shape)
        wave = torch.stack([self._power(G, axis) for axis, n in enumerate(shape) if n == L]).mean()
        if not float(wave) > 0:
            raise FitFailedError("the longest wave has no power", "Such a field has no length of decay.")
        square = (G.sum() / wave - 1) * (self.geometry.spacing / (2 * sin(pi / L))) ** 2
        if float(square) < 0:
            return {"square": square}
        return {"square": square, "length": square.sqrt(), "ratio": square.sqrt() / (L * self.geometry.spacing)}

    @property
    def _lattice(self) -> Grid:
        assert isinstance(self.geometry, Grid)
        return self.geometry

    def _power(self, G: Tensor, axis: int) -> Tensor:
        """Return the power of the longest wave along an axis, as G.sum() is that of the mean."""
        n = self._lattice.coordinates()[:, axis].to(torch.float64)
        phase = 2 * pi * n / self._lattice.shape[axis]
        return phase.cos() @ G @ phase.cos() + phase.sin() @ G @ phase.sin()
