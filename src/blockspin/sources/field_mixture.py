"""Field mixture: each sample is one of two Gaussian fields, whose scales principal components mix up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import check_between
from blockspin.geometry import Grid
from blockspin.registry import register
from blockspin.sources._options import lattice, number
from blockspin.sources.base import PlantedModel, Truth
from blockspin.sources.gaussian_field import GaussianField


@register
@dataclass(frozen=True)
class FieldMixture(PlantedModel):
    r"""Two free fields of different correlation lengths, in turn: two flows, of which the covariance shows the mean.

    .. math:: \langle |\phi_k|^2 \rangle = p S_1(k) + (1 - p) S_2(k), \qquad
        \kappa(k) = 3 \frac{p S_1^2 + (1 - p) S_2^2}{(p S_1 + (1 - p) S_2)^2} - 3 ,

    with kappa the excess kurtosis of a real mode, S(k) = 1 / (k^2 + r). Principal components order the modes by the
    mixed variance, which is the scale of neither field. The truth holds "label", int64 [samples], 0 or 1.

    Args:
        shape: Sites along each axis of the periodic lattice.
        first_mass: r of the field with label 0, positive.
        second_mass: r of the field with label 1, positive.
        share: p, the probability of label 0.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        It is taken for one ensemble with an effective action: a mixture has none of few couplings, which is its
        purpose.

    Source:
        pearson1894 for mixtures; the spectrum and kurtosis are exact.

    Example:
        >>> FieldMixture(shape=(8,)).sample(3, generator=torch.Generator().manual_seed(0)).values.shape
        torch.Size([3, 8, 1])
    """

    name = "field-mixture"
    source = "pearson1894"
    shape: tuple[int, ...] = (64,)
    first_mass: float = 0.01
    second_mass: float = 1.0
    share: float = 0.5

    def __post_init__(self):
        lattice("shape", self.shape)
        number("first_mass", self.first_mass, 1e-9)
        number("second_mass", self.second_mass, 1e-9)
        check_between("share", self.share, 0, 1)

    def fields(self) -> tuple[GaussianField, GaussianField]:
        """Return the two fields."""
        return GaussianField(self.shape, self.first_mass), GaussianField(self.shape, self.second_mass)

    def spectrum(self) -> Tensor:
        """Return the mixed variance of every mode, float64 of the lattice's shape."""
        first, second = (field.spectrum() for field in self.fields())
        return self.share * first + (1 - self.share) * second

    def excess_kurtosis(self) -> Tensor:
        """Return kappa of every mode, float64 of the lattice's shape."""
        first, second = (field.spectrum() for field in self.fields())
        return 3 * (self.share * first**2 + (1 - self.share) * second**2) / self.spectrum() ** 2 - 3

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Draw independent samples."""
        label = (torch.rand(samples, dtype=torch.float64, generator=generator) >= self.share).long()
        noise = torch.randn(samples, *self.shape, dtype=torch.float64, generator=generator)
        axes = tuple(range(1, 1 + len(self.shape)))
        roots = torch.stack([field.spectrum().sqrt() for field in self.fields()])
        values = torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) * roots[label], dim=axes).real
        flat = values.reshape(samples, -1).to(torch.float32)
        return Ensemble.of(flat, Grid(tuple(self.shape)), units=torch.arange(samples)), Truth({"label": label})
