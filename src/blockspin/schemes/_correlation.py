"""Correlation: the correlation matrix of sites, and what of it is beyond chance; shared by schemes without a lattice."""

from __future__ import annotations

from math import inf, sqrt, tanh

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from blockspin.ensemble import Ensemble, check_finite
from blockspin.errors import ConstantUnitsError, NothingFoundError, StepNotPossibleError
from blockspin.law import EnumeratedLaw, GaussianLaw, Source
from blockspin.observables.covariance import moments

LEVEL = 0.01
"""Probability that any correlation at all is taken for real where all sites are independent."""


def correlation_of(source: Source) -> Tensor:
    """Return the correlation matrix of the sites [sites, sites], float64 on a law, in the field's dtype on samples.

    With several components it is that of the sums over components of their covariances, which no rotation changes.

    Raises:
        ConstantUnitsError: If a site does not vary, naming the first.
    """
    sites = source.geometry.sites
    if isinstance(source, Ensemble):
        return _of_samples(source)
    covariance = moments(source)[1]
    components = len(covariance) // sites
    summed = covariance.reshape(sites, components, sites, components).diagonal(dim1=1, dim2=3).sum(-1)
    variance = summed.diagonal()
    _check_varying(variance)
    return summed / (variance[:, None] * variance[None]).sqrt()


def _of_samples(ensemble: Ensemble) -> Tensor:
    """Standardise first and multiply once, in the dtype of the field: rounding is far below sampling noise."""
    x, w = ensemble.values, ensemble.weights / ensemble.weights.sum()
    mean = torch.einsum("n,nsc->sc", w.to(x.dtype), x)
    z = (x - mean) * w.sqrt().to(x.dtype)[:, None, None]
    z = z - w.sqrt().to(x.dtype)[:, None, None] * torch.einsum("n,nsc->sc", w.sqrt().to(x.dtype), z)  # rounding
    variance = z.square().sum(dim=(0, 2), dtype=torch.float64)
    check_finite(variance[None], "the field whose correlations are asked for")
    _check_varying(variance)
    z = (z / variance.sqrt().to(x.dtype)[:, None]).permute(0, 2, 1).reshape(-1, x.shape[1]).numpy()
    return torch.from_numpy(z.T @ z)  # NumPy sees that the factors are the same, which halves the work


def _check_varying(variance: Tensor) -> None:
    constant = (variance <= 1e-12 * variance.max()).nonzero()[:, 0]
    if len(constant):
        raise ConstantUnitsError(
            f"{len(constant)} of {len(variance)} sites do not vary (the first is site {int(constant[0])})",
            "Leave them out.",
        )


def affinity_of(source: Source) -> np.ndarray:
    """Return the positive correlations that are beyond chance, float64 [sites, sites], zero elsewhere and on the diagonal.

    Negative ones are left out: sites that are anticorrelated cancel in a mean. On samples a correlation is beyond
    chance where independent sites would give one so large anywhere in the matrix with a probability of at most 1 %
    (Fisher's z, Bonferroni's correction; units count, not samples); on a law where it is not zero.

    Raises:
        StepNotPossibleError: If there is only one site.
        NothingFoundError: If no correlation is beyond chance.
        ConstantUnitsError: If a site does not vary.
    """
    sites = source.geometry.sites
    if sites < 2:
        raise StepNotPossibleError("a single site is left, which has no other to be joined with")
    found = correlation_of(source).to(torch.float64).numpy()
    least = least_correlation(source)
    found = np.where(found > least, found, 0.0)
    np.fill_diagonal(found, 0.0)
    if not found.any():
        raise NothingFoundError(
            f"no two of {sites} sites correlate by more than {least:.2g}, which chance gives",
            "Give more samples; there may be nothing to coarse-grain.",
        )
    return (found + found.T) / 2


def least_correlation(source: Source) -> float:
    """Return the correlation that is beyond chance for this number of sites and of independent units."""
    sites, n = source.geometry.sites, independent_units(source)
    if n == inf:
        return 1e-9
    pairs = sites * (sites - 1) / 2
    return tanh(float(norm.isf(LEVEL / pairs)) / sqrt(n - 3)) if n > 3 else 1.0


def independent_units(source: Source) -> float:
    """Return how many independent units a source holds, weights counted by Kish's formula; infinite for a law."""
    if isinstance(source, EnumeratedLaw | GaussianLaw):
        return inf
    _, index = torch.unique(source.units, return_inverse=True)
    weight = torch.zeros(int(index.max()) + 1, dtype=torch.float64).index_add_(0, index, source.weights)
    return float(weight.sum() ** 2 / weight.square().sum())
