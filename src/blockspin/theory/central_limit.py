"""Central limit: how cumulants of independent sites fall under block averages and projections, exactly."""

from __future__ import annotations

import numpy as np


def block_cumulant(cumulant: float, order: int, sites: int) -> float:
    """Return the standardised cumulant of the mean (or sum) over m independent, equally distributed sites.

    kappa_n -> m^(1 - n/2) kappa_n, where kappa_n is in units of the standard deviation to the n-th power; m = b^d for
    blocks of side b, so that kappa_n falls as b^(-d (n/2 - 1)). Exact for every m >= 1 and n >= 2 whose moments exist.
    Dimensionless. Source: jonalasinio1975.
    """
    return cumulant * float(sites) ** (1 - order / 2)


def growth_exponent(order: int, dimension: int) -> float:
    """Return y_n = d (1 - n/2): standardised cumulants beyond the second are irrelevant. Source: jonalasinio1975."""
    return dimension * (1 - order / 2)


def projected_excess_kurtosis(projector: np.ndarray, excess_kurtosis: float) -> np.ndarray:
    r"""Return the excess kurtosis of each coordinate after independent sites are projected by a fixed P.

    .. math:: \kappa_i = \kappa \sum_j P_{ij}^4 \Big/ \Big(\sum_j P_{ij}^2\Big)^2

    Exact for any fixed matrix P [m, N]; for an orthogonal projector the denominator is P_ii^2, and for one of rank N/f
    in general position kappa_i is about kappa / f^2 where N >> f. Dimensionless. Source: meshulam2019 for the setting.
    """
    P = np.asarray(projector, dtype=float)
    return excess_kurtosis * (P**4).sum(axis=1) / (P**2).sum(axis=1) ** 2


def bernoulli_excess_kurtosis(p: float) -> float:
    """Return (1 - 6 p q) / (p q), q = 1 - p, of a site that is 1 with probability p in (0, 1), else 0. Closed form."""
    variance = p * (1 - p)
    return (1 - 6 * variance) / variance


def bernoulli_skewness(p: float) -> float:
    """Return (1 - 2 p) / sqrt(p q), the third standardised cumulant of a Bernoulli site. Closed form, 0 < p < 1."""
    return (1 - 2 * p) / np.sqrt(p * (1 - p))
