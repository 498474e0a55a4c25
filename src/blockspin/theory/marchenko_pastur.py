"""Marchenko-Pastur: the spectrum that pure noise gives a sample covariance, and when a spike stands out of it."""

from __future__ import annotations

from math import comb, pi, sqrt

import numpy as np
from scipy.special import digamma


def edges(ratio: float, variance: float = 1.0) -> tuple[float, float]:
    r"""Return the ends of the bulk, :math:`\sigma^2 (1 \mp \sqrt q)^2` with q = sites / samples.

    Valid as both grow at fixed q > 0; for q > 1 a share 1 - 1/q of eigenvalues is 0 besides. Units of the field
    squared. Source: marchenko1967.
    """
    return variance * (1 - sqrt(ratio)) ** 2, variance * (1 + sqrt(ratio)) ** 2


def density(eigenvalues: np.ndarray, ratio: float, variance: float = 1.0) -> np.ndarray:
    r"""Return the density of eigenvalues of the sample covariance of white noise.

    .. math:: \rho(\lambda) = \frac{\sqrt{(\lambda_+ - \lambda)(\lambda - \lambda_-)}}{2\pi \sigma^2 q \lambda}

    inside the bulk and 0 outside (the point mass at 0 for q > 1 is not part of it). Source: marchenko1967.
    """
    low, high = edges(ratio, variance)
    x = np.asarray(eigenvalues, dtype=float)
    inside = (x > low) & (x < high)
    safe = np.where(inside, x, 1.0)
    root = np.sqrt(np.where(inside, (high - x) * (x - low), 0.0))
    return root / (2 * pi * variance * ratio * safe)


def share_below(eigenvalue: float, ratio: float, variance: float = 1.0) -> float:
    """Return the share of eigenvalues below a point, by quadrature of the density; q <= 1. Absolute error below 1e-6.

    Matrices of D real sites deviate by order 1 / D, least at the centre of the bulk. Dimensionless.
    Source: marchenko1967.
    """
    low, high = edges(ratio, variance)
    centre, radius = (low + high) / 2, (high - low) / 2
    last = np.arccos(np.clip((centre - eigenvalue) / radius, -1, 1))
    angle = (np.arange(4000) + 0.5) / 4000 * last  # takes the roots at the edges out of the integrand
    x = centre - radius * np.cos(angle)
    return float((density(x, ratio, variance) * radius * np.sin(angle)).mean() * last)


def moment(order: int, ratio: float, variance: float = 1.0) -> float:
    r"""Return the k-th moment of the spectrum, a Narayana polynomial in q.

    .. math:: \sigma^{2k} \sum_{j=0}^{k-1} \frac{q^j}{j+1} \binom{k}{j} \binom{k-1}{j}

    In the limit of large matrices, for every q > 0 (zero eigenvalues counted). Source: marchenko1967.
    """
    terms = (ratio**j / (j + 1) * comb(order, j) * comb(order - 1, j) for j in range(order))
    return variance**order * sum(terms)


def finite_moment(order: int, sites: int, dof: int) -> float:
    """Return E[tr S^k] / D for k = 1, 2, 3, exactly, for D independent unit Gaussian sites and n degrees of freedom.

    1, 1 + (D + 1) / n and 1 + 3 (D + 1) / n + (D^2 + 3 D + 4) / n^2; ``moment`` is their limit. n is the number of
    samples less one where the mean is fitted. Source: moments of the Wishart law, whose limit is marchenko1967.
    """
    D, n = sites, dof
    return (1.0, 1 + (D + 1) / n, 1 + 3 * (D + 1) / n + (D * D + 3 * D + 4) / n**2)[order - 1]


def largest_eigenvalue(sites: int, dof: int) -> float:
    r"""Return the mean of the largest eigenvalue of white noise near the upper edge, with its finite-size shift.

    .. math:: \frac1n \left[\mu - 1.2065336\, s\right], \quad \mu = (\sqrt{n - 1} + \sqrt D)^2, \quad
        s = (\sqrt{n-1} + \sqrt D) \left(\tfrac1{\sqrt{n-1}} + \tfrac1{\sqrt D}\right)^{1/3}

    where the number is the mean of the Tracy-Widom law for real matrices. Relative error of order D^(-2/3) of the
    shift; good to a few percent of the eigenvalue's own spread from D = 10 up. Source: johnstone2001.
    """
    root, other = sqrt(dof - 1), sqrt(sites)
    scale = (root + other) * (1 / root + 1 / other) ** (1 / 3)
    return ((root + other) ** 2 - 1.2065335745820 * scale) / dof


def participation_ratio(sites: int, dof: int) -> float:
    """Return the participation ratio of white noise, as the ratio of means E[(tr S)^2] / E[tr S^2], exactly.

    (D n + 2) / (n + D + 1) for the sample covariance S of D independent Gaussian sites with n degrees of freedom
    (samples less one where the mean is fitted); D / (1 + q) for large matrices. The mean of the ratio itself differs
    from this ratio of means by a relative O(1 / (D n)). Source: moments of the Wishart law behind marchenko1967.
    """
    return (sites * dof + 2) / (dof + sites + 1)


def mean_log_eigenvalue(population: np.ndarray, dof: int) -> float:
    r"""Return the mean of ln(eigenvalue) over a sample covariance with these population eigenvalues, exactly.

    .. math:: \frac1D \sum_i \left[\ln \ell_i + \psi\left(\tfrac{n - i}{2}\right) + \ln \tfrac2n\right],
        \quad i = 0 \dots D - 1

    since the determinant is that of the population times independent chi-squared numbers; n >= D Gaussian samples of
    known mean. Nats. Source: bartlett1933.
    """
    i = np.arange(len(population))
    return float((np.log(population) + digamma((dof - i) / 2) + np.log(2 / dof)).mean())


def spike_threshold(ratio: float, variance: float = 1.0) -> float:
    """Return sigma^2 (1 + sqrt q), above which a population eigenvalue leaves the bulk of large matrices.

    Source: baik2005.
    """
    return variance * (1 + sqrt(ratio))


def spike_position(population: float, ratio: float, variance: float = 1.0) -> float:
    r"""Return where the sample eigenvalue of one spike lies.

    .. math:: \ell \left(1 + \frac{q \sigma^2}{\ell - \sigma^2}\right)

    for a population eigenvalue l above ``spike_threshold``, else the upper edge of the bulk. Large matrices.
    Source: baik2005.
    """
    if population <= spike_threshold(ratio, variance):
        return edges(ratio, variance)[1]
    return population * (1 + ratio * variance / (population - variance))
