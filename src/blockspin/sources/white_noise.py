"""White noise: independent Gaussians on a lattice, the world where there is nothing to find."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import check_whole
from blockspin.geometry import Grid
from blockspin.law import GaussianLaw
from blockspin.registry import register
from blockspin.sources._options import lattice, number
from blockspin.sources.base import ExactModel


@register
@dataclass(frozen=True)
class WhiteNoise(ExactModel):
    """Independent Gaussians of mean zero on every site and component.

    Args:
        shape: Sites along each axis of the periodic lattice.
        components: Numbers a site.
        deviation: Standard deviation of each.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        It is the only null that is asked: fields of real data have tails and correlations that it lacks, and what is
        quiet here may still see in them what is not there.

    Source:
        wilson1974 for the trivial fixed point that it is.

    Example:
        >>> WhiteNoise(shape=(4, 4)).sample(3, generator=torch.Generator().manual_seed(0)).values.shape
        torch.Size([3, 16, 1])
    """

    name = "white-noise"
    source = "wilson1974"
    shape: tuple[int, ...] = (64,)
    components: int = 1
    deviation: float = 1.0

    def __post_init__(self):
        lattice("shape", self.shape)
        check_whole("components", self.components, 1)
        number("deviation", self.deviation, 0.0)

    def law(self) -> GaussianLaw:
        """Return the exact law: a multiple of the identity."""
        geometry = Grid(tuple(self.shape))
        size = geometry.sites * self.components
        mean = torch.zeros(geometry.sites, self.components)
        return GaussianLaw.of(self.deviation**2 * torch.eye(size, dtype=torch.float64), geometry, mean)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw independent samples."""
        geometry = Grid(tuple(self.shape))
        values = self.deviation * torch.randn(samples, geometry.sites, self.components, generator=generator)
        return Ensemble.of(values, geometry, units=torch.arange(samples))
