"""Correlation: connected correlation of a field against distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.geometry import Geometry
from blockspin.observables.base import State
from blockspin.observables.covariance import OfMoments, two_point
from blockspin.registry import register


@register
@dataclass(frozen=True)
class Correlation(OfMoments):
    r"""Connected two-point function, averaged over all pairs of sites at the same distance.

    .. math:: G(r) = \langle \phi_i \phi_j \rangle - \langle \phi_i \rangle \langle \phi_j \rangle, \quad |i - j| = r,

    summed over components. Quantities: "distance" [classes], ascending from 0; "covariance" [classes], G(r);
    "correlation" [classes], G(r) / G(0), which is 1 at distance 0.

    Neighbouring distances share their samples: their errors are correlated, so that a fit to them needs more than
    these errors.

    Args:
        geometry: Where the sites are; it must have distances.

    Raises:
        GeometryError: If sites have no distance.

    Do not trust when:
        The field is not translation invariant: what is averaged over then differs from pair to pair.

    Source:
        kadanoff1966.
    """

    name = "correlation"
    source = "kadanoff1966"
    units = {"distance": "lattice spacings", "covariance": "field^2", "correlation": "1"}
    geometry: Geometry

    def value(self, state: State) -> dict[str, Tensor]:
        """Average over classes of distance.

        Raises:
            TooFewSamplesError: If there are fewer than two samples.
            ShapeError: If the field does not fit the geometry.
            ConstantUnitsError: If the field does not vary.
        """
        G = two_point(state, self.geometry.sites)
        distance, classes = torch.unique(torch.round(self.geometry.distances(), decimals=9), return_inverse=True)
        sums = torch.zeros(len(distance), dtype=torch.float64).index_add_(0, classes.flatten(), G.flatten())
        shells = (sums / torch.bincount(classes.flatten()))[torch.isfinite(distance)]
        distance = distance[torch.isfinite(distance)]
        return {"distance": distance, "covariance": shells, "correlation": shells / shells[0]}
