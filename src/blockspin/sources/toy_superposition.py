"""Toy superposition: sparse features packed into fewer sites by a dictionary of random directions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, check_whole
from blockspin.geometry import Unordered
from blockspin.registry import register
from blockspin.sources._options import number
from blockspin.sources._random import instance_generator
from blockspin.sources.base import PlantedModel, Truth


@register
@dataclass(frozen=True)
class ToySuperposition(PlantedModel):
    r"""x = D f + noise, with features that are rarely active.

    .. math:: f_j = \begin{cases} U(0, 1) & \text{with probability } p, \\ 0 & \text{otherwise,} \end{cases}
        \qquad C = v\, D D^T + \sigma^2, \quad v = \frac p3 - \frac{p^2}4 .

    An activation vector of a network that stores more features than it has units, with the dictionary known. The truth
    holds "features", float64 [samples, features], and the shared "dictionary" D, float64 [sites, features] of unit
    columns.

    Args:
        sites: Dimension of x.
        features: Number of features; more than sites for superposition.
        active: p, in (0, 1].
        noise: sigma, the deviation of independent noise on every site.
        instance: Which draw of the dictionary.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        It is taken for a trained network's features: these are independent, of equal scale and frequency, and uniform
        where they are active.

    Source:
        elhage2022.

    Example:
        >>> x, truth = ToySuperposition(sites=4, features=9).sample_with_truth(
        ...     6, generator=torch.Generator().manual_seed(0))
        >>> x.values.shape, truth.shared["dictionary"].shape
        (torch.Size([6, 4, 1]), torch.Size([4, 9]))
    """

    name = "toy-superposition"
    source = "elhage2022"
    sites: int = 32
    features: int = 128
    active: float = 0.05
    noise: float = 0.01
    instance: int = 0

    def __post_init__(self):
        for field, least in (("sites", 2), ("features", 1), ("instance", 0)):
            check_whole(field, getattr(self, field), least)
        number("noise", self.noise, 0.0)
        if not 0 < self.active <= 1:
            raise ConfigError("active", self.active, "a probability above 0.")

    def dictionary(self) -> Tensor:
        """Return D, float64 [sites, features], columns of length 1 in random directions."""
        source = instance_generator(self.instance)
        D = torch.randn(self.sites, self.features, dtype=torch.float64, generator=source)
        return D / D.norm(dim=0)

    def covariance(self) -> Tensor:
        """Return the exact covariance, float64 [sites, sites]."""
        D, p = self.dictionary(), self.active
        return (p / 3 - p**2 / 4) * D @ D.T + self.noise**2 * torch.eye(self.sites, dtype=torch.float64)

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Draw independent samples."""
        draws = torch.rand(2, samples, self.features, dtype=torch.float64, generator=generator)
        features = torch.where(draws[0] < self.active, draws[1], 0.0)
        D = self.dictionary()
        noise = self.noise * torch.randn(samples, self.sites, dtype=torch.float64, generator=generator)
        values = (features @ D.T + noise).to(torch.float32)
        ensemble = Ensemble.of(values, Unordered(self.sites), units=torch.arange(samples))
        return ensemble, Truth({"features": features}, {"dictionary": D})
