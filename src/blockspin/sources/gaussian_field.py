"""Gaussian field: a free field on a ring or torus, massive or scale-free, law and samples exact."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, ShapeError
from blockspin.geometry import Grid
from blockspin.law import GaussianLaw
from blockspin.registry import register
from blockspin.sources._options import lattice, number
from blockspin.sources.base import ExactModel

MAX_SITES = 4096


@register
@dataclass(frozen=True)
class GaussianField(ExactModel):
    r"""A Gaussian field of mean zero, diagonal in Fourier modes.

    .. math:: S(k) = \frac{1}{|k|^{2-\eta} + r}, \qquad k = 2\pi n / L \in [-\pi, \pi)^d ,

    with covariance :math:`C(x) = N^{-1} \sum_k S(k) \cos(k x)`. With eta = 0 it is the free field of mass squared r;
    with r = 0 it is scale-free, and the mode k = 0, which would be infinite, is left out.

    Args:
        shape: Sites along each axis of the periodic lattice.
        mass: r >= 0, the squared inverse correlation length (for eta = 0), in spacings^-(2-eta).
        eta: Anomalous dimension, at most 2; eta = 2 with r = 0 is white noise but for its mean.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        Formulas of the infinite continuum are compared at distances of a spacing, or of half the lattice: momenta are
        those of the torus and end at pi. Or r = 0, where the zero mode is left out and every sample's mean is 0.

    Source:
        wilson1974.

    Example:
        >>> GaussianField(shape=(8,), mass=0.5).law().covariance.shape
        torch.Size([8, 8])
    """

    name = "gaussian-field"
    source = "wilson1974"
    shape: tuple[int, ...] = (64,)
    mass: float = 0.1
    eta: float = 0.0

    def __post_init__(self):
        lattice("shape", self.shape)
        number("mass", self.mass, 0.0)
        number("eta", self.eta)
        if self.eta > 2:
            raise ConfigError("eta", self.eta, "a number of at most 2.")

    @property
    def geometry(self) -> Grid:
        """The periodic lattice."""
        return Grid(tuple(self.shape))

    def spectrum(self) -> Tensor:
        """Return S at every wave vector, float64 of the lattice's shape, in the order of the fast Fourier transform."""
        axes = [2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in self.shape]
        k = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0).sqrt()
        S = 1 / (k ** (2 - self.eta) + self.mass)
        if self.mass == 0:
            S.reshape(-1)[0] = 0.0
        return S

    def law(self) -> GaussianLaw:
        """Return the exact law.

        Raises:
            ShapeError: If there are more than 4096 sites.
        """
        if self.geometry.sites > MAX_SITES:
            raise ShapeError(f"a covariance over {self.geometry.sites} sites is too large", "Sample instead.")
        row = torch.fft.ifftn(self.spectrum()).real
        position = self.geometry.coordinates()
        gap = [(position[:, None, a] - position[None, :, a]) % n for a, n in enumerate(self.shape)]
        return GaussianLaw.of(row[tuple(gap)], self.geometry)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw independent samples: white noise filtered by the root of the spectrum."""
        noise = torch.randn(samples, *self.shape, dtype=torch.float64, generator=generator)
        axes = tuple(range(1, 1 + len(self.shape)))
        field = torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) * self.spectrum().sqrt(), dim=axes).real
        values = field.reshape(samples, -1).to(torch.float32)
        return Ensemble.of(values, self.geometry, units=torch.arange(samples))
