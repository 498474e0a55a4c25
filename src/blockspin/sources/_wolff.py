"""Wolff: one cluster at a time, grown from a random site, is flipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from blockspin.sources import _compiled
from blockspin.sources._spin_update import SpinUpdate
from blockspin.sources._swendsen_wang import joined
from blockspin.sources._torus import Torus

Flip = Callable[[np.ndarray, Torus, float, int, np.random.Generator], tuple[np.ndarray, int]]
"""From spins, torus, K and a number of clusters a chain to the spins after them, and how many spins were flipped."""


def flip_by_components(
    spins: np.ndarray, torus: Torus, K: float, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Flip ``count`` clusters of each chain: of all clusters of a sweep, the one that holds a random site."""
    flipped = 0
    for _ in range(count):
        _, cluster = torus.clusters(joined(spins, torus, K, rng))
        chosen = cluster[np.arange(torus.chains), rng.integers(torus.sites, size=torus.chains)]
        inside = cluster == chosen[:, None]
        spins = spins ^ inside.astype(np.uint8)
        flipped += int(inside.sum())
    return spins, flipped


def fastest_flip() -> Flip:
    """Return the compiled flip where numba is installed, else the one by SciPy's connected components."""
    return _compiled.flip_clusters if _compiled.available() else flip_by_components


@dataclass(frozen=True)
class Wolff(SpinUpdate):
    """Wolff's update. A sweep is a fixed number of clusters, set while burning in so that they hold each site once.

    The number must not depend on the clusters themselves once sampling has begun: stopping when enough spins were
    flipped would favour states with large clusters. Source: wolff1989.

    Args:
        clusters: Clusters of one sweep and chain.
        flip: What flips them.
    """

    name = "wolff"
    clusters: int = 1
    flip: Flip | None = None

    @classmethod
    def critical_time(cls, side: int, dimension: int) -> float:
        """Return 2 L^0.3 on the square lattice, 1.5 L^0.45 on the cubic one: above what was measured at L = 6 to 32."""
        return 2 * side**0.3 if dimension == 2 else 1.5 * side**0.45

    def sweep(self, spins: np.ndarray, sweeps: int, rng: np.random.Generator) -> np.ndarray:
        """Return the spins after some sweeps of ``clusters`` clusters each."""
        return self.flip_many(spins, sweeps * self.clusters, rng)[0]

    def burnt_in(self, spins: np.ndarray, sweeps: int, rng: np.random.Generator) -> tuple[Wolff, np.ndarray]:
        """Flip clusters until they held each site ``sweeps`` / 2 times, set their number, and sweep as often again."""
        size = self.torus.chains * self.torus.sites
        count, flipped, total = 1, 0, 0
        while total == 0 or 2 * total < sweeps * size:
            count = 2 * count
            spins, flipped = self.flip_many(spins, count, rng)
            total += flipped
        tuned = replace(self, clusters=max(1, round(count * size / flipped)))
        return tuned, tuned.sweep(spins, -(-sweeps // 2), rng)

    def flip_many(self, spins: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Return the spins after ``count`` clusters of each chain, and how many spins were flipped in all."""
        return (self.flip or fastest_flip())(spins, self.torus, self.coupling, count, rng)
