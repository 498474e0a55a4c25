"""Asymmetric SK: kinetic Ising spins with random couplings of no symmetry, updated all at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import check_whole
from blockspin.geometry import Unordered
from blockspin.registry import register
from blockspin.sources._chains import chain_ensemble
from blockspin.sources._options import number
from blockspin.sources._random import instance_generator
from blockspin.sources.base import PlantedModel, Truth


@register
@dataclass(frozen=True)
class AsymmetricSK(PlantedModel):
    r"""Spins +-1 that forget their past but for the field of one step before: a steady state out of equilibrium.

    .. math:: P(s_i' = 1 | s) = \frac{1}{1 + e^{-2 h_i}}, \quad h_i = \beta \sum_j J_{ij} s_j, \quad
        J_{ij} \sim N\Big(\frac{J_0}{N}, \frac{\Delta J^2}{N}\Big) .

    Magnetisation, overlap of consecutive states and entropy production for many spins are in ``theory.asymmetric_sk``.
    Chains start with all spins up; samples are consecutive times of one chain, chain after chain. In the disordered
    phase the autocorrelation time is one step, and it is largest at the critical line. The truth holds the shared
    "couplings" J.

    Args:
        sites: N.
        beta: Inverse temperature, at least 0.
        mean: J_0.
        deviation: Delta J, at least 0.
        chains: Independent chains with the same couplings.
        burn_in: Steps thrown away.
        stretch: Samples a unit.
        instance: Which draw of the couplings.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        The theory for many spins is compared with few: deviations are of order 1 / sqrt(N), and one draw of the
        couplings is not their average. Near the critical line ``burn_in`` may be too short, and a unit of ``stretch``
        samples not independent.

    Source:
        aguilera2023.

    Example:
        >>> model = AsymmetricSK(sites=16, chains=2, burn_in=5)
        >>> spins, truth = model.sample_with_truth(20, generator=torch.Generator().manual_seed(0))
        >>> spins.values.shape, truth.shared["couplings"].shape
        (torch.Size([20, 16, 1]), torch.Size([16, 16]))
    """

    name = "asymmetric-sk"
    source = "aguilera2023"
    sites: int = 128
    beta: float = 1.0
    mean: float = 1.0
    deviation: float = 1.0
    chains: int = 8
    burn_in: int = 100
    stretch: int = 50
    instance: int = 0

    def __post_init__(self):
        for field, least in (("sites", 2), ("chains", 1), ("burn_in", 0), ("stretch", 1), ("instance", 0)):
            check_whole(field, getattr(self, field), least)
        number("beta", self.beta, 0.0)
        number("mean", self.mean)
        number("deviation", self.deviation, 0.0)

    def couplings(self) -> Tensor:
        """Return J, float64 [sites, sites]."""
        N, source = self.sites, instance_generator(self.instance)
        return self.mean / N + self.deviation / N**0.5 * torch.randn(N, N, dtype=torch.float64, generator=source)

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Run the chains and keep every step after the burn-in."""
        J = self.couplings()
        drive = self.beta * J.T
        s = torch.ones(self.chains, self.sites, dtype=torch.float64)
        kept = torch.empty(self.chains, -(-samples // self.chains), self.sites, dtype=torch.float32)
        for t in range(-self.burn_in, kept.shape[1]):
            up = torch.sigmoid(2 * s @ drive)
            s = 2 * (torch.rand(up.shape, dtype=torch.float64, generator=generator) < up).to(torch.float64) - 1
            if t >= 0:
                kept[:, t] = s
        ensemble = chain_ensemble(kept, Unordered(self.sites), samples, self.stretch)
        return ensemble, Truth({}, {"couplings": J})
