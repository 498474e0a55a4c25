"""Latent drivers: independent binary units that slow latent variables drive together, without any interaction."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp

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
class LatentDrivers(PlantedModel):
    r"""Units 0 or 1, independent given the latents: what looks critical without being so.

    .. math:: P(x_i = 1 | z) = \frac{1}{1 + e^{-(b + \sum_a W_{ia} z_a)}}, \qquad
        z_a(t + 1) = e^{-1/\tau} z_a(t) + \sqrt{1 - e^{-2/\tau}}\; \eta .

    Sums over clusters of such units scale with exponents like those of critical systems (morrell2021), so that every
    claim of criticality must beat this. Rates and covariances are in ``theory.latent_drivers``. The truth holds
    "latents", float64 [samples, m], and the shared "weights" W, float64 [units, m].

    Args:
        sites: Number of units.
        latents: m, stationary Ornstein-Uhlenbeck processes of unit variance.
        bias: b.
        strength: Root mean square of sum_a W_ia z_a; entries of W are Gaussian.
        time: tau, in samples.
        chains: Independent runs.
        stretch: Samples a unit of statistics; 0 for 50 autocorrelation times of a latent.
        instance: Which draw of W.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        ``stretch`` is shorter than tens of ``time``: neighbouring units then share their latents, and errors are too
        small.

    Source:
        morrell2021.

    Example:
        >>> spikes, truth = LatentDrivers(sites=8).sample_with_truth(30, generator=torch.Generator().manual_seed(0))
        >>> spikes.values.shape, truth.samples["latents"].shape
        (torch.Size([30, 8, 1]), torch.Size([30, 5]))
    """

    name = "latent-drivers"
    source = "morrell2021"
    sites: int = 128
    latents: int = 5
    bias: float = -2.5
    strength: float = 1.5
    time: float = 2.0
    chains: int = 8
    stretch: int = 0
    instance: int = 0

    def __post_init__(self):
        for field, least in (("sites", 2), ("latents", 1), ("chains", 1), ("stretch", 0), ("instance", 0)):
            check_whole(field, getattr(self, field), least)
        number("bias", self.bias)
        number("strength", self.strength, 0.0)
        number("time", self.time, 0.1)

    def weights(self) -> Tensor:
        """Return W, float64 [units, latents]."""
        W = torch.randn(self.sites, self.latents, dtype=torch.float64, generator=instance_generator(self.instance))
        return W * self.strength / self.latents**0.5

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Run the latents, each from its stationary law, and draw the units at every time."""
        length, keep = -(-samples // self.chains), exp(-1 / self.time)
        z = torch.randn(self.chains, length, self.latents, dtype=torch.float64, generator=generator)
        for t in range(1, length):
            z[:, t] = keep * z[:, t - 1] + (1 - keep**2) ** 0.5 * z[:, t]
        W = self.weights()
        chance = torch.sigmoid(self.bias + z @ W.T)
        fires = torch.rand(chance.shape, dtype=torch.float64, generator=generator) < chance
        stretch = self.stretch or ceil(50 * (1 + keep) / (1 - keep))
        ensemble = chain_ensemble(fires.to(torch.float32), Unordered(self.sites), samples, stretch)
        return ensemble, Truth({"latents": z.reshape(-1, self.latents)[:samples]}, {"weights": W})
