"""Continuous Ising model: spins traded for a continuous field on the same lattice, with a free energy known exactly."""

from __future__ import annotations

from math import log, pi

import numpy as np

from blockspin.theory import kaufman

SMALLEST = 0.1
"""Smallest eigenvalue that the coupling matrix is given, the choice of li2018; no observable depends on it."""


def coupling_matrix(rows: int, columns: int, K: float) -> tuple[np.ndarray, float]:
    r"""Return the positive definite matrix A = K_ij + alpha 1 of a torus, and alpha.

    .. math:: \sum_{\langle ij \rangle} K s_i s_j = \tfrac12 s^t A s - \tfrac{\alpha n}{2}, \qquad \min \lambda(A) = 0.1

    For an axis of two sites each of its bonds counts twice. Dimensionless. Source: li2018.
    """
    site = np.arange(rows * columns).reshape(rows, columns)
    A = np.zeros((site.size, site.size))
    for axis in (0, 1):
        for step in (-1, 1):
            A[site.reshape(-1), np.roll(site, step, axis).reshape(-1)] += K
    alpha = SMALLEST - float(np.linalg.eigvalsh(A)[0])
    return A + alpha * np.eye(site.size), alpha


def free_energy(rows: int, columns: int, K: float) -> float:
    r"""Return -ln Z of the field x with weight exp(-x^t A^-1 x / 2) prod cosh x_i, in nats.

    .. math:: \ln Z = \ln Z_{\mathrm{Ising}} + \tfrac n2 \ln 2\pi + \tfrac12 \ln\det A + \tfrac{\alpha n}{2} - n \ln 2

    Integrating a Gaussian of covariance A at the spins, and summing over them. Exact for K > 0. Source: li2018 for the
    model, kaufman1949 for the Ising part.
    """
    A, alpha = coupling_matrix(rows, columns, K)
    n = len(A)
    constant = n / 2 * log(2 * pi) + float(np.linalg.slogdet(A)[1]) / 2 + alpha * n / 2 - n * log(2)
    return -kaufman.log_partition(K, rows, columns) - constant


def by_sum_over_spins(rows: int, columns: int, K: float) -> float:
    r"""Return -ln Z of the same field on a small torus, by Gaussian integrals of every configuration.

    .. math:: Z = \sum_s 2^{-n} \int e^{-x^t A^{-1} x / 2 + s \cdot x} dx
        = \sum_s 2^{-n} (2 \pi)^{n/2} (\det A)^{1/2} e^{s^t A s / 2}

    For at most 16 sites. Source: li2018.
    """
    A, _, exponents = _spins(rows, columns, K)
    n = len(A)
    largest = exponents.max()
    log_sum = largest + log(np.exp(exponents - largest).sum())
    return -(log_sum - n * log(2) + n / 2 * log(2 * pi) + float(np.linalg.slogdet(A)[1]) / 2)


def curvature(rows: int, columns: int, K: float) -> float:
    r"""Return the mean of :math:`\partial^2 S / \partial x_i^2` over sites and fields.

    .. math:: (A^{-1})_{ii} - \langle 1 / \cosh^2 x_i \rangle, \qquad x_i \sim N((A s)_i, A_{ii})

    for S = x A^-1 x / 2 - sum ln cosh x, given the spins, which are summed over; for at most 16 sites. Source: li2018.
    """
    A, s, p = _weighed(rows, columns, K)
    u, w = np.polynomial.hermite_e.hermegauss(80)
    values, place = np.unique((s @ A).round(9), return_inverse=True)
    weight = np.bincount(place.reshape(-1), np.repeat(p, len(A))) / len(A)
    bend = (1 / np.cosh(values[:, None] + A[0, 0] ** 0.5 * u) ** 2) @ w / w.sum()
    return float(np.linalg.inv(A)[0, 0] - weight @ bend)


def binder(rows: int, columns: int, K: float) -> float:
    r"""Return 1 - <M^4> / (3 <M^2>^2) of the mean M of the field over a small torus: 0 of a Gaussian field.

    Given the spins M has mean a m and variance a / n, with m their mean and a the sum of a row of A. For at most 16
    sites. Source: li2018 for the field, binder1981 for the cumulant.
    """
    A, s, p = _weighed(rows, columns, K)
    a, m = A[0].sum(), s.mean(1)
    v = a / len(A)
    second, fourth = p @ (a**2 * m**2 + v), p @ (a**4 * m**4 + 6 * a**2 * m**2 * v + 3 * v**2)
    return float(1 - fourth / (3 * second**2))


def _spins(rows: int, columns: int, K: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A, all configurations of spins [2^n, n] of a torus, and s^t A s / 2 of each."""
    A, _ = coupling_matrix(rows, columns, K)
    n = len(A)
    s = 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1
    return A, s, np.einsum("ci,ij,cj->c", s, A, s, optimize=True) / 2


def _weighed(rows: int, columns: int, K: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A, all configurations of spins, and the probability of each."""
    A, s, exponents = _spins(rows, columns, K)
    p = np.exp(exponents - exponents.max())
    return A, s, p / p.sum()
