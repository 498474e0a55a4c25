"""Ising ring: spins on a ring with nearest-neighbour coupling and field, law and samples exact."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import check_whole
from blockspin.geometry import Chain
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.registry import register
from blockspin.sources._options import number
from blockspin.sources.base import ExactModel


@register
@dataclass(frozen=True)
class IsingRing(ExactModel):
    r"""Spins +-1 on a ring, coupled to their neighbours and to a field.

    .. math:: P(s) \propto \exp\Big(K \sum_i s_i s_{i+1} + h \sum_i s_i\Big) .

    Args:
        sites: Number of spins, at least 2 (two spins are joined by two bonds). The law needs at most 16.
        coupling: K, in k_B T.
        field: h, in k_B T.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        A finite ring is compared with the infinite chain: terms of order tanh(K)^sites are left.

    Source:
        ising1925.

    Example:
        >>> law = IsingRing(sites=4, coupling=0.5).law()
        >>> len(law.weights), round(float(law.weights.sum()), 12)
        (16, 1.0)
    """

    name = "ising-ring"
    source = "ising1925"
    sites: int = 12
    coupling: float = 0.6
    field: float = 0.0

    def __post_init__(self):
        check_whole("sites", self.sites, 2)
        number("coupling", self.coupling)
        number("field", self.field)

    def law(self) -> EnumeratedLaw:
        """Return the exact law, by enumeration.

        Raises:
            ShapeError: If there are more than 16 sites.
        """

        def log_weight(s: Tensor) -> Tensor:
            return self.coupling * (s * s.roll(-1, 1)).sum(1) + self.field * s.sum(1)

        return enumerate_law(Chain(self.sites), (-1.0, 1.0), log_weight)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw independent samples of any size, exactly: site by site from powers of the transfer matrix."""
        powers = self._powers()
        index = torch.empty(samples, self.sites, dtype=torch.int64)
        uniform = torch.rand(samples, self.sites, dtype=torch.float64, generator=generator)
        closing = powers[self.sites].diagonal()
        index[:, 0] = (uniform[:, 0] * closing.sum() > closing[0]).long()
        for i in range(1, self.sites):
            # given its left neighbour, and that the rest of the ring leads back to site 0
            weight = powers[1][index[:, i - 1]] * powers[self.sites - i][:, index[:, 0]].T
            index[:, i] = (uniform[:, i] * weight.sum(1) > weight[:, 0]).long()
        spins = (2 * index - 1).to(torch.float32)
        return Ensemble.of(spins, Chain(self.sites), units=torch.arange(samples))

    def _powers(self) -> list[Tensor]:
        """Return powers 0 to ``sites`` of the transfer matrix over (-1, +1), each divided by its largest entry."""
        s = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        log_T = self.coupling * s[:, None] * s[None] + self.field * (s[:, None] + s[None]) / 2
        T = torch.exp(log_T - log_T.max())
        powers = [torch.eye(2, dtype=torch.float64)]
        for _ in range(self.sites):
            power = powers[-1] @ T
            powers.append(power / power.max())
        return powers
