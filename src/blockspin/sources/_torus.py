"""Torus: sites of a periodic lattice, their neighbours, bonds and sublattices, for several chains abreast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Torus:
    """Periodic lattices of equal shape, one a chain; fields on them are arrays [chains, sites].

    Args:
        shape: Sites along each axis, at least 3, in row-major order.
        chains: Number of copies.
    """

    shape: tuple[int, ...]
    chains: int

    @property
    def sites(self) -> int:
        """The number of sites of one copy."""
        return prod(self.shape)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """uint32 [sites, 2 dimensions]: the two neighbours along each axis in turn."""
        site = np.arange(self.sites, dtype=np.uint32).reshape(self.shape)
        ends = [np.roll(site, step, axis).reshape(-1) for axis in range(len(self.shape)) for step in (-1, 1)]
        return np.ascontiguousarray(np.stack(ends, axis=1))

    @cached_property
    def bonds(self) -> tuple[np.ndarray, np.ndarray]:
        """int32 [bonds] twice: the ends of every bond of all copies, sites numbered through."""
        site = np.arange(self.chains * self.sites, dtype=np.int32)
        forward = self.neighbours[:, ::2].astype(np.int32)
        ends = [
            (forward[:, axis] + self.sites * np.arange(self.chains)[:, None]).reshape(-1)
            for axis in range(len(self.shape))
        ]
        return np.tile(site, len(self.shape)), np.concatenate(ends).astype(np.int32)

    @cached_property
    def sublattices(self) -> tuple[np.ndarray, ...]:
        """Sets of sites without neighbours among themselves: two, or three where an axis is odd."""
        odd = any(n % 2 for n in self.shape)
        colour = np.zeros(self.shape, dtype=np.int64)
        for axis, n in enumerate(self.shape):
            along = np.arange(n) % 2
            along[-1] = 2 if n % 2 else 1
            colour = colour + along.reshape([-1 if a == axis else 1 for a in range(len(self.shape))])
        colour = colour.reshape(-1) % (3 if odd else 2)
        return tuple(np.flatnonzero(colour == c) for c in range(3 if odd else 2))

    def clusters(self, active: np.ndarray) -> tuple[int, np.ndarray]:
        """Return how many clusters the active bonds make in all copies, and each site's, int32 [chains, sites]."""
        i, j = (end[active] for end in self.bonds)
        size = self.chains * self.sites
        graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(size, size))
        count, cluster = connected_components(graph, directed=False)
        return count, cluster.reshape(self.chains, self.sites)
