"""Torus: sites of a periodic lattice, their neighbours, bonds and sublattices, for several chains abreast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from scipy.sparse import csr_array
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
    def ahead(self) -> np.ndarray:
        """The next site along each axis, intp [chains * sites, dimensions], sites of all copies numbered through.

        Bonds are numbered in the same order: those of the first site along each axis, then those of the second.
        """
        forward = self.neighbours[:, ::2].astype(np.intp)
        return (forward + self.sites * np.arange(self.chains)[:, None, None]).reshape(-1, len(self.shape))

    @cached_property
    def _ahead32(self) -> np.ndarray:
        return self.ahead.astype(np.int32).reshape(-1)

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
        """Return how many clusters joined sites make in all copies, and each site's, int32 [chains, sites].

        Args:
            active: bool [chains * sites, dimensions]; whether a site is joined to the next one along each axis.
        """
        size, flat = len(active), active.reshape(-1)
        ends = np.zeros(size + 1, dtype=np.int32)  # bonds are in the order of sites: the rows of the matrix are there
        ends[1:] = np.cumsum(flat, dtype=np.int32)[len(self.shape) - 1 :: len(self.shape)]
        columns = self._ahead32[np.flatnonzero(flat)]
        graph = csr_array((np.ones(len(columns)), columns, ends), shape=(size, size))
        count, cluster = connected_components(graph, directed=False)
        return count, cluster.reshape(self.chains, self.sites)
