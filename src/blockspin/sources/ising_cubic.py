"""Ising cubic: spins on a simple cubic lattice with periodic edges, sampled by clusters or single flips."""

from __future__ import annotations

from dataclasses import dataclass

from blockspin.registry import register
from blockspin.sources._periodic_ising import PeriodicIsing

CRITICAL_COUPLING = 0.221654626
"""K_c by simulation, the last digit uncertain by 5 (ferrenberg2018)."""


@register
@dataclass(frozen=True)
class IsingCubic(PeriodicIsing):
    r"""Spins +-1 on an L x L x L torus with probability proportional to exp(K sum over neighbours of s s').

    Chains, units and algorithms are those of ``ising-square``.

    Args:
        side: L, at least 3.
        coupling: K >= 0, in k_B T; the critical one by default.
        algorithm: "swendsen-wang", "wolff" or "metropolis".
        chains: Independent chains.
        burn_in: Sweeps of each chain that are thrown away, starting from random spins; Metropolis needs more.
        sweeps: Sweeps between samples that are kept.
        stretch: Samples a unit; 0 for some 50 critical autocorrelation times of the algorithm.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        Exponents are read from small L: corrections to scaling fall as L^-0.83 only. By Metropolis near the critical
        coupling ``burn_in`` and ``stretch`` must grow as L^2.

    Source:
        ferrenberg2018 for the critical coupling.

    Example:
        >>> import torch
        >>> IsingCubic(side=3, burn_in=5).sample(10, generator=torch.Generator().manual_seed(0)).geometry.shape
        (3, 3, 3)
    """

    name = "ising-cubic"
    source = "ferrenberg2018"
    dimension = 3
    side: int = 8
    coupling: float = CRITICAL_COUPLING
