"""Gaussian kernel: its eigenvalues under a Gaussian measure on the line, in closed form."""

from __future__ import annotations

import numpy as np


def kernel_eigenvalues(deviation: float, length: float, count: int) -> np.ndarray:
    r"""Return the first eigenvalues of k(x, y) = exp(-(x - y)^2 / 2 length^2) under the measure N(0, deviation^2).

    .. math:: \lambda_k = \sqrt{2a/A}\; B^k, \qquad a = \frac{1}{4 \sigma^2},\; b = \frac{1}{2 \ell^2},\;
        c = \sqrt{a^2 + 2ab},\; A = a + b + c,\; B = b / A

    Eigenfunctions have the parity of k, so that centring in feature space, which takes out an even function, leaves
    those of odd k alone. Exact. Dimensionless. Source: rasmussen2006, section 4.3.1.
    """
    a, b = 1 / (4 * deviation**2), 1 / (2 * length**2)
    A = a + b + np.sqrt(a**2 + 2 * a * b)
    return np.sqrt(2 * a / A) * (b / A) ** np.arange(count)


def quadrature(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of Gauss-Hermite quadrature for N(0, 1), exact for polynomials up to 2 count - 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()
