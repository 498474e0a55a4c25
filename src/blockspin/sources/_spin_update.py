"""Spin update: the contract of what moves spins on a torus without changing their Ising law."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from blockspin.sources._torus import Torus


@dataclass(frozen=True)
class SpinUpdate(abc.ABC):
    """Moves that leave exp(K sum over neighbours of s s') invariant; spins are uint8 [chains, sites], 0 or 1.

    Args:
        torus: The lattice.
        coupling: K >= 0.
    """

    name: ClassVar[str]
    torus: Torus
    coupling: float

    @classmethod
    @abc.abstractmethod
    def critical_time(cls, side: int, dimension: int) -> float:
        """Return about tau = 1 + 2 sum rho(t) of energy and squared magnetisation at K_c, in sweeps, rounded up."""

    @abc.abstractmethod
    def sweep(self, spins: np.ndarray, sweeps: int, rng: np.random.Generator) -> np.ndarray:
        """Return the spins after some sweeps, in each of which every site has about one chance to move."""

    def burnt_in(self, spins: np.ndarray, sweeps: int, rng: np.random.Generator) -> tuple[SpinUpdate, np.ndarray]:
        """Return the update that sampling should use, and the spins after ``sweeps`` sweeps."""
        return self, self.sweep(spins, sweeps, rng)
