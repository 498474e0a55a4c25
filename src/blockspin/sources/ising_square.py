"""Ising square: spins on a square lattice with periodic edges, sampled by clusters or single flips."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

from blockspin.registry import register
from blockspin.sources._periodic_ising import PeriodicIsing

CRITICAL_COUPLING = 0.5 * log(1 + sqrt(2))
"""Onsager's K_c."""


@register
@dataclass(frozen=True)
class IsingSquare(PeriodicIsing):
    r"""Spins +-1 on an L x L torus with probability proportional to exp(K sum over neighbours of s s').

    Several independent chains run abreast. Samples are ordered chain by chain and in time within a chain, and a unit is
    a stretch of one chain. At the critical point the autocorrelation time 1 + 2 sum rho(t) of the energy by
    Swendsen-Wang is about 8 sweeps for L = 32 and 10 for L = 64; that of the squared magnetisation by Metropolis grows
    as L^2.17. ``engine.autocorrelation`` measures it.

    Args:
        side: L, at least 3.
        coupling: K >= 0, in k_B T; the critical one by default.
        algorithm: "swendsen-wang" (all clusters; the fastest without numba), "wolff" (one cluster at a time; compiled
            where numba is installed) or "metropolis" (single flips, as local dynamics).
        chains: Independent chains.
        burn_in: Sweeps of each chain that are thrown away, starting from random spins; Metropolis needs more.
        sweeps: Sweeps between samples that are kept. In a sweep each site has about one chance to move; by Wolff it is
            a fixed number of clusters that together hold about as many sites as there are.
        stretch: Samples a unit; 0 for some 50 critical autocorrelation times of the algorithm.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        Infinite-lattice numbers are compared with those of side L at the critical point, where the correlation length
        is L; or Metropolis is used there with the burn-in of a cluster algorithm.

    Source:
        swendsen1987 for the algorithm, onsager1944 for the critical coupling.

    Example:
        >>> import torch
        >>> field = IsingSquare(side=4, burn_in=5).sample(10, generator=torch.Generator().manual_seed(0))
        >>> field.values.shape, field.chain
        (torch.Size([10, 16, 1]), True)
    """

    name = "ising-square"
    source = "swendsen1987"
    dimension = 2
    side: int = 32
    coupling: float = CRITICAL_COUPLING
