"""Correlation: the correlation matrix of sites, and what of it is beyond chance; for schemes without a lattice."""

from __future__ import annotations

from math import inf, sqrt, tanh

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from blockspin.ensemble import Ensemble, check_finite
from blockspin.errors import (
    ConfigError,
    ConstantUnitsError,
    NothingFoundError,
    StepNotPossibleError,
    TooFewSamplesError,
)
from blockspin.law import EnumeratedLaw, GaussianLaw, Source
from blockspin.observables.covariance import moments

CONSTANT = 1e-12
"""Share of the largest variance at which a site does not vary but for rounding."""
LEVEL = 0.01
"""Probability that any correlation at all is taken for real where all sites are independent."""


def require_silent(silent: object) -> None:
    """Check the share of the largest variance below which a site counts as silent.

    Raises:
        ConfigError: If it is not a number from 0 to 1.
    """
    if isinstance(silent, bool) or not isinstance(silent, int | float) or not 0 <= silent < 1:
        raise ConfigError(
            "silent", silent, "a share of the largest variance, from 0 (refuse constant sites) to below 1."
        )


def correlation_of(source: Source, silent: float = 0.0) -> Tensor:
    """Return the correlation matrix of the sites [sites, sites], float64 on a law, in the field's dtype on samples.

    With several components it is that of the sums over components of their covariances, which no rotation changes.

    Args:
        source: Samples or a law.
        silent: Sites with at most this share of the largest variance correlate with nothing, not even themselves; at 0
            constant sites are refused.

    Raises:
        ConstantUnitsError: If a site does not vary and ``silent`` is 0, naming the first.
    """
    if isinstance(source, Ensemble):
        return _of_samples(source, silent)
    summed = site_covariance(source)[1]
    inverse = _inverse_deviations(summed.diagonal(), silent)
    return summed * inverse[:, None] * inverse[None]


def site_covariance(source: Source) -> tuple[Tensor, Tensor]:
    """Return the mean field [sites, components] and the covariance of the sites [sites, sites], float64.

    With several components it is the sum over components of their covariances, which no rotation changes; of samples
    it is the average over them, without Bessel's correction.

    Raises:
        NonFiniteError: If the field holds NaN or infinity.
        TooFewSamplesError: If there are fewer than two samples.
    """
    if isinstance(source, Ensemble):
        if len(source) < 2:
            raise TooFewSamplesError("a covariance needs at least two samples", "Give more samples.")
        check_finite(source.values, "the field whose covariance is asked for")
        x, w = source.values.to(torch.float64), source.weights / source.weights.sum()
        mean = torch.einsum("n,nsc->sc", w, x)
        columns = ((x - mean) * w.sqrt()[:, None, None]).permute(0, 2, 1).flatten(0, 1)
        return mean, columns.T @ columns
    sites, (mean, covariance) = source.geometry.sites, moments(source)
    components = len(covariance) // sites
    summed = covariance.reshape(sites, components, sites, components).diagonal(dim1=1, dim2=3).sum(-1)
    return mean.reshape(sites, components), summed


def _of_samples(ensemble: Ensemble, silent: float) -> Tensor:
    """Centre and multiply once, in the dtype of the field: rounding is far below sampling noise."""
    x, w = ensemble.values, ensemble.weights / ensemble.weights.sum()
    equal = not bool((w != w[0]).any())
    mean = x.mean(dim=0, dtype=torch.float64) if equal else torch.einsum("n,nsc->sc", w, x.to(torch.float64))
    z = x - mean.to(x.dtype)
    if not equal:
        z *= w.sqrt().to(x.dtype)[:, None, None]
    columns = z.permute(0, 2, 1).reshape(-1, x.shape[1]).numpy()
    product = torch.from_numpy(columns.T @ columns)  # NumPy sees that the factors are the same, which halves the work
    check_finite(product.diagonal()[None], "the field whose correlations are asked for")
    inverse = _inverse_deviations(product.diagonal().to(torch.float64), silent).to(x.dtype)
    return product.mul_(inverse[:, None]).mul_(inverse)


def _inverse_deviations(variance: Tensor, silent: float) -> Tensor:
    """Return 1 over the root of each variance, 0 for silent sites."""
    quiet = variance <= max(silent, CONSTANT) * variance.max()
    constant = quiet.nonzero()[:, 0]
    if len(constant) and silent == 0:
        raise ConstantUnitsError(
            f"{len(constant)} of {len(variance)} sites do not vary (the first is site {int(constant[0])})",
            f"Leave them out, or let the scheme carry them along (its option silent = {CONSTANT:g}).",
        )
    if bool(quiet.all()):
        raise ConstantUnitsError(f"none of {len(variance)} sites varies", "Check the data.")
    return torch.where(quiet, 0.0, variance.clamp(min=1e-300).rsqrt())


def affinity_of(source: Source, silent: float = 0.0) -> np.ndarray:
    """Return the positive correlations that are beyond chance, float64 [sites, sites], zero elsewhere.

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
    found = correlation_of(source, silent).to(torch.float64).numpy()
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
