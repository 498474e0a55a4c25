"""Exact distributions that can be pushed through a map, served to the same code as samples are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import torch
from torch import Tensor

from blockspin.ensemble import Batch, Ensemble, distinct
from blockspin.errors import NotLinearError, ShapeError, TooFewSamplesError
from blockspin.geometry import Geometry

MAX_CONFIGURATIONS = 2**16


class PushMap(Protocol):
    """What a law needs of a fitted map: its action on values, on geometry, and whether it is affine."""

    linear: bool

    def values(self, values: Tensor) -> Tensor:
        """Coarse-grain a field [samples, sites, components]."""

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the geometry of the coarse field."""


@dataclass(frozen=True, eq=False)
class EnumeratedLaw:
    """A distribution over finitely many configurations, each with its exact probability.

    Args:
        ensemble: One sample a configuration (float64), weighted by its probability; the weights sum to 1.
    """

    ensemble: Ensemble

    @classmethod
    def of(cls, values: Tensor, weights: Tensor, geometry: Geometry) -> EnumeratedLaw:
        """Make a law from configurations [n, sites, components] and non-negative weights [n], which are normalised.

        Raises:
            ShapeError: If there are more than 2 ** 16 configurations.
        """
        if len(values) > MAX_CONFIGURATIONS:
            raise ShapeError(f"{len(values)} configurations are more than {MAX_CONFIGURATIONS}", "Sample instead.")
        share = weights.to(torch.float64) / weights.sum(dtype=torch.float64)
        values, probability = _grouped(values.to(torch.float64), share)
        if len(values) < 2:
            raise TooFewSamplesError("a law over one configuration has no spread", "Give at least two.")
        return cls(Ensemble.of(values, geometry, weights=probability))

    @property
    def geometry(self) -> Geometry:
        """The geometry of the configurations."""
        return self.ensemble.geometry

    @property
    def values(self) -> Tensor:
        """The configurations, float64 [configurations, sites, components], in lexicographic order."""
        return self.ensemble.values

    @property
    def weights(self) -> Tensor:
        """The probabilities, float64 [configurations]."""
        return self.ensemble.weights

    def batches(self, size: int = MAX_CONFIGURATIONS) -> Iterator[Batch]:
        """Yield the configurations as weighted batches."""
        return self.ensemble.batches(size)

    def push(self, map: PushMap) -> EnumeratedLaw:
        """Return the law of the coarse field: equal outputs are grouped and their probabilities added."""
        return EnumeratedLaw.of(map.values(self.values), self.weights, map.coarse(self.geometry))

    def times(self, factor: float | Tensor) -> EnumeratedLaw:
        """Return the law of the field multiplied by a number or by one number a site [sites, 1]."""
        return EnumeratedLaw.of(self.values * torch.as_tensor(factor, dtype=torch.float64), self.weights, self.geometry)


@dataclass(frozen=True, eq=False)
class GaussianLaw:
    """A Gaussian distribution of a field, by its mean and covariance.

    Args:
        mean: float64 [sites, components].
        covariance: float64 [sites * components, sites * components], sites outermost.
        geometry: The geometry of the field.
    """

    mean: Tensor
    covariance: Tensor
    geometry: Geometry

    @classmethod
    def of(cls, covariance: Tensor, geometry: Geometry, mean: Tensor | None = None) -> GaussianLaw:
        """Make a law from its covariance, with mean zero unless given.

        Raises:
            ShapeError: If the covariance is not square or does not fit the geometry.
        """
        size = covariance.shape[0]
        if covariance.ndim != 2 or covariance.shape[1] != size or size % geometry.sites:
            raise ShapeError(f"a covariance of shape {tuple(covariance.shape)} does not fit {geometry.sites} sites")
        mean = torch.zeros(geometry.sites, size // geometry.sites) if mean is None else mean
        return cls(mean.to(torch.float64), covariance.to(torch.float64), geometry)

    @property
    def components(self) -> int:
        """The number of components a site."""
        return self.mean.shape[1]

    def push(self, map: PushMap) -> GaussianLaw:
        """Return the law of the coarse field under an affine map: C goes to T C T^t.

        Raises:
            NotLinearError: If the map is not affine.
        """
        if not map.linear:
            raise NotLinearError(
                "a Gaussian law does not stay Gaussian under this map", "Sample it instead: law.sample(n)."
            )
        size = self.covariance.shape[0]
        offset = map.values(torch.zeros(1, *self.mean.shape, dtype=torch.float64))
        columns = map.values(torch.eye(size, dtype=torch.float64).reshape(size, *self.mean.shape)) - offset
        T = columns.reshape(size, -1).T
        return GaussianLaw(map.values(self.mean[None])[0], T @ self.covariance @ T.T, map.coarse(self.geometry))

    def times(self, factor: float | Tensor) -> GaussianLaw:
        """Return the law of the field multiplied by a number or by one number a site [sites, 1]."""
        z = torch.as_tensor(factor, dtype=torch.float64).expand(self.mean.shape)
        flat = z.reshape(-1)
        return GaussianLaw(self.mean * z, self.covariance * flat[:, None] * flat[None], self.geometry)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw float32 samples, each a unit of its own; singular covariances are fine."""
        eigenvalues, vectors = torch.linalg.eigh(self.covariance)
        root = vectors * eigenvalues.clamp(min=0).sqrt()
        noise = torch.randn(samples, len(eigenvalues), dtype=torch.float64, generator=generator)
        values = (noise @ root.T).reshape(samples, *self.mean.shape) + self.mean
        return Ensemble.of(values.to(torch.float32), self.geometry, units=torch.arange(samples))


Source = Ensemble | EnumeratedLaw | GaussianLaw
"""Whatever can be coarse-grained: samples, or an exact law."""


def enumerate_law(
    geometry: Geometry, alphabet: tuple[float, ...], log_weight: Callable[[Tensor], Tensor]
) -> EnumeratedLaw:
    """Return the law proportional to exp(log_weight) over all fields with values in ``alphabet``, one component.

    Args:
        geometry: The sites; ``len(alphabet) ** sites`` may not exceed 2 ** 16.
        alphabet: The values that a site can take.
        log_weight: From configurations float64 [n, sites] to float64 [n].
    """
    if len(alphabet) ** geometry.sites > MAX_CONFIGURATIONS:
        raise ShapeError(
            f"{len(alphabet)} values on {geometry.sites} sites are too many to enumerate", "Use fewer sites."
        )
    configurations = torch.tensor(list(product(alphabet, repeat=geometry.sites)), dtype=torch.float64)
    log_p = log_weight(configurations)
    return EnumeratedLaw.of(configurations[:, :, None], torch.exp(log_p - torch.logsumexp(log_p, 0)), geometry)


def _grouped(values: Tensor, probability: Tensor) -> tuple[Tensor, Tensor]:
    """Add up the probabilities of equal configurations; equal means equal to 12 digits."""
    flat = values.reshape(len(values), -1)
    _, index = distinct(torch.round(flat, decimals=12) + 0.0)
    total = torch.zeros(int(index.max()) + 1, dtype=torch.float64).index_add_(0, index, probability)
    first = torch.full((len(total),), len(values)).scatter_reduce_(0, index, torch.arange(len(values)), "amin")
    return values[first], total
