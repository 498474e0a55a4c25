"""Pairs: sums over fixed pairs of sites, whatever paired them."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.geometry import Geometry, Unordered
from blockspin.schemes.base import LiftingMap


@dataclass(frozen=True, eq=False)
class PairSumMap(LiftingMap):
    """Sums over fixed pairs of sites.

    Args:
        pairs: int64 [coarse sites, 2]; a site that was left alone stands twice.
        sites: Number of fine sites.
    """

    pairs: Tensor
    sites: int
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(self.sites / len(self.pairs))

    @property
    def _alone(self) -> Tensor:
        return (self.pairs[:, 0] == self.pairs[:, 1])[:, None]

    def values(self, values: Tensor) -> Tensor:
        """Add up each pair; a site that was left alone is carried along as it is."""
        first, second = (values.index_select(1, side) for side in self.pairs.T)
        return first.add_(second.masked_fill_(self._alone, 0.0))

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return as many unordered sites as there are sums."""
        return Unordered(len(self.pairs), geometry.spacing * self.sites / len(self.pairs))

    def lift(self, values: Tensor) -> Tensor:
        """Give both sites of a pair half of its sum."""
        half = torch.where(self._alone, values, values / 2)
        fine = values.new_empty(len(values), self.sites, values.shape[2])
        fine[:, self.pairs[:, 0]] = half
        fine[:, self.pairs[:, 1]] = half
        return fine
