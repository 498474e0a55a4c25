"""Ising square: spins on a square lattice with periodic edges, sampled by Swendsen-Wang clusters."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from blockspin.ensemble import Ensemble
from blockspin.geometry import Grid
from blockspin.registry import register
from blockspin.sources._options import number, whole
from blockspin.sources.base import Model

CRITICAL_COUPLING = 0.5 * float(np.log(1 + np.sqrt(2)))
"""Onsager's K_c."""


@register
@dataclass(frozen=True)
class IsingSquare(Model):
    r"""Spins +-1 on an L x L torus with probability proportional to exp(K sum over neighbours of s s').

    Several independent chains run abreast. Samples are ordered chain by chain and in time within a chain, and a unit is
    a stretch of one chain: at the critical point the autocorrelation time of the energy is about 4 sweeps for L = 32
    and 5 for L = 64, so that with the defaults (250 sweeps) a unit is some 50 of them long.

    Args:
        side: L, at least 3.
        coupling: K >= 0, in k_B T; the critical one by default.
        chains: Independent chains.
        burn_in: Sweeps of each chain that are thrown away, starting from random spins.
        sweeps: Sweeps between samples that are kept.
        stretch: Samples a unit.

    Raises:
        ConfigError: If an option cannot be used.

    Example:
        >>> field = IsingSquare(side=4, burn_in=5).sample(10, generator=torch.Generator().manual_seed(0))
        >>> field.values.shape, field.chain
        (torch.Size([10, 16, 1]), True)
    """

    name = "ising-square"
    source = "swendsen1987"
    side: int = 32
    coupling: float = CRITICAL_COUPLING
    chains: int = 16
    burn_in: int = 100
    sweeps: int = 5
    stretch: int = 50

    def __post_init__(self):
        whole("side", self.side, 3)
        number("coupling", self.coupling, 0.0)
        for field, least in (("chains", 1), ("burn_in", 0), ("sweeps", 1), ("stretch", 1)):
            whole(field, getattr(self, field), least)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw samples of Markov chains; error bars must group neighbouring units together (``chain=True``)."""
        rng = np.random.Generator(np.random.PCG64(int(torch.randint(2**62, (), generator=generator))))
        L, length = self.side, -(-samples // self.chains)
        spins = rng.integers(0, 2, self.chains * L * L, dtype=np.int8)
        bonds = _bonds(self.chains, L)
        for _ in range(self.burn_in):
            spins = _sweep(spins, bonds, self.coupling, rng)
        kept = np.empty((self.chains, length, L * L), dtype=np.int8)
        for t in range(length):
            for _ in range(self.sweeps):
                spins = _sweep(spins, bonds, self.coupling, rng)
            kept[:, t] = spins.reshape(self.chains, -1)
        per_chain = -(-length // self.stretch)
        units = np.arange(self.chains)[:, None] * per_chain + np.arange(length)[None] // self.stretch
        values = torch.from_numpy(kept.reshape(-1, L * L)[:samples]).to(torch.float32) * 2 - 1
        return Ensemble.of(values, Grid((L, L)), units=torch.from_numpy(units.reshape(-1)[:samples]), chain=True)


def _bonds(chains: int, L: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two ends of every bond of ``chains`` tori, numbered through."""
    site = np.arange(chains * L * L, dtype=np.int32).reshape(chains, L, L)
    ends = np.concatenate([np.roll(site, -1, axis).reshape(-1) for axis in (1, 2)])
    return np.concatenate([site.reshape(-1)] * 2), ends


def _sweep(spins: np.ndarray, bonds: tuple[np.ndarray, np.ndarray], K: float, rng: np.random.Generator) -> np.ndarray:
    """Join equal neighbours with probability 1 - exp(-2K), give each cluster a fresh random spin."""
    i, j = bonds
    active = (spins[i] == spins[j]) & (rng.random(len(i), dtype=np.float32) < 1 - exp(-2 * K))
    i, j = i[active], j[active]
    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(len(spins),) * 2)
    count, cluster = connected_components(graph, directed=False)
    return rng.integers(0, 2, count, dtype=np.int8)[cluster]
