"""Clusters: means over sets of sites of unequal size, however the sets were found."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor

from blockspin.geometry import Geometry
from blockspin.schemes.base import LiftingMap


@dataclass(frozen=True, eq=False)
class ClusterMeanMap(LiftingMap):
    """The mean over fixed sets of sites.

    Args:
        cluster: int64 [sites]; the cluster of each site, numbered from 0 in order of their first sites.
        geometry: The geometry of the clusters.
        scale: float64 [sites]; what a site is divided by before the mean is taken, or None.
    """

    cluster: Tensor
    geometry: Geometry
    scale: Tensor | None = None
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(len(self.cluster) / self.geometry.sites)

    def values(self, values: Tensor) -> Tensor:
        """Average over each cluster."""
        field = values if self.scale is None else values / self.scale.to(values.dtype)[:, None]
        sums = values.new_zeros(len(values), self.geometry.sites, values.shape[2]).index_add_(1, self.cluster, field)
        return sums / torch.bincount(self.cluster).to(values.dtype)[:, None]

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the geometry of the clusters."""
        return self.geometry

    def lift(self, values: Tensor) -> Tensor:
        """Give every site of a cluster the cluster's mean."""
        fine = values.index_select(1, self.cluster)
        return fine if self.scale is None else fine * self.scale.to(values.dtype)[:, None]


def in_order(labels: np.ndarray) -> Tensor:
    """Return labels [sites] renumbered from 0 in the order in which they first occur, int64."""
    _, first, index = np.unique(labels, return_index=True, return_inverse=True)
    return torch.from_numpy(first.argsort().argsort()[index].astype(np.int64))
