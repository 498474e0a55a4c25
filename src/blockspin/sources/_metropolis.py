"""Metropolis: single spins are flipped with probability min(1, exp(-dE))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blockspin.sources import _compiled
from blockspin.sources._spin_update import SpinUpdate
from blockspin.sources._torus import Torus

Attempt = Callable[[np.ndarray, Torus, float, int, np.random.Generator], np.ndarray]
"""From spins, torus, K and a number of sweeps to the spins after them."""


def attempt_by_sublattice(
    spins: np.ndarray, torus: Torus, K: float, sweeps: int, rng: np.random.Generator
) -> np.ndarray:
    """Offer a flip to a random half of each sublattice in turn, twice a sweep.

    Half, because at small K all of a sublattice would be flipped each time, and the chain would never mix.
    """
    spins = spins.copy()
    degree = torus.neighbours.shape[1]
    chance = acceptance(degree, K) / 2
    for _ in range(2 * sweeps):
        for part in torus.sublattices:
            up = spins[:, torus.neighbours[part]].sum(axis=2, dtype=np.int64)
            aligned = np.where(spins[:, part] == 1, up, degree - up)
            spins[:, part] ^= rng.random(aligned.shape, dtype=np.float32) < chance[aligned]
    return spins


def acceptance(degree: int, K: float) -> np.ndarray:
    """Return min(1, exp(-2K (2n - z))) for n = 0 .. z aligned neighbours."""
    return np.exp(np.minimum(0.0, -2 * K * (2 * np.arange(degree + 1) - degree)))


def fastest_attempt() -> Attempt:
    """Return the compiled loop where numba is installed, else the one by sublattices."""
    return _compiled.attempt_flips if _compiled.available() else attempt_by_sublattice


@dataclass(frozen=True)
class Metropolis(SpinUpdate):
    """Metropolis' update; at the critical point it needs L^2.17 sweeps. Source: metropolis1953.

    Args:
        attempt: What carries the sweeps out.
    """

    name = "metropolis"
    attempt: Attempt | None = None

    @classmethod
    def critical_time(cls, side: int, dimension: int) -> float:
        """Return 0.4 L^2.17 on the square lattice, 0.8 L^2.04 on the cubic one: above what L = 6 to 16 showed."""
        return 0.4 * side**2.17 if dimension == 2 else 0.8 * side**2.04

    def sweep(self, spins: np.ndarray, sweeps: int, rng: np.random.Generator) -> np.ndarray:
        """Return the spins after some sweeps of as many attempts as there are sites."""
        return (self.attempt or fastest_attempt())(spins, self.torus, self.coupling, sweeps, rng)
