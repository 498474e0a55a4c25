"""Modes: coordinates along orthonormal directions of field space, and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from torch import Tensor

from blockspin.geometry import Geometry, Unordered
from blockspin.schemes.base import LiftingMap


@dataclass(frozen=True, eq=False)
class ModesMap(LiftingMap):
    """Coordinates along fixed orthonormal modes.

    Args:
        origin: float64 [sites, components]; where coordinates are counted from.
        modes: float64 [sites * components, kept]; orthonormal columns, the first to be kept first.
    """

    origin: Tensor
    modes: Tensor
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(self.origin.shape[0] / self.modes.shape[1])

    def values(self, values: Tensor) -> Tensor:
        """Return the coordinates [samples, kept, 1]."""
        centred = (values - self.origin.to(values.dtype)).flatten(1)
        return (centred @ self.modes.to(values.dtype))[:, :, None]

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return as many unordered sites as there are modes."""
        spacing = geometry.spacing * geometry.sites / self.modes.shape[1]
        return Unordered(self.modes.shape[1], spacing)

    def lift(self, values: Tensor) -> Tensor:
        """Return the field with these coordinates, and that of the origin along all other modes."""
        field = (values[:, :, 0] @ self.modes.to(values.dtype).T).reshape(len(values), *self.origin.shape)
        return field + self.origin.to(values.dtype)
