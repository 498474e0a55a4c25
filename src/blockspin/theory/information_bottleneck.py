"""Information bottleneck: what is worth keeping, on the critical Ising cylinder and for Gaussian variables."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from blockspin.theory.cylinder import log_ratios


def cylinder_thresholds(circumference: int, separation: int) -> tuple[float, float]:
    r"""Return beta of the spin and of the energy for two rows of the critical Ising cylinder, some rows apart.

    The bottleneck of one row about another keeps a scaling operator from
    :math:`\beta_i = 1 / s_i^2 = (\Lambda_0 / \Lambda_i)^{2 r}` on, so that
    :math:`\ln \beta_i = 4 \pi r \Delta_i / L`: relevance there is relevance under the renormalization group. Exact at
    the critical coupling, on an infinitely long cylinder; L and r in lattice spacings. Source: gordon2021.
    """
    spin, energy = log_ratios(circumference)
    return float(np.exp(2 * separation * spin)), float(np.exp(2 * separation * energy))


def cylinder_joint(circumference: int, separation: int, K: float) -> np.ndarray:
    """Return p(x, y) [2^L, 2^L] of two rows of spins of an infinitely long Ising cylinder, some rows apart.

    From the symmetric transfer matrix between rows: p(x, y) = psi_0(x) (T / Lambda_0)^r (x, y) psi_0(y). Exact.
    """
    row = 1 - 2 * ((np.arange(2**circumference)[:, None] >> np.arange(circumference)) & 1).astype(float)
    inside = K / 2 * (row * np.roll(row, 1, axis=1)).sum(1)
    log_T = K * row @ row.T + inside[:, None] + inside[None]
    eigenvalues, vectors = np.linalg.eigh(np.exp(log_T - log_T.max()))
    psi = np.abs(vectors[:, -1])
    return psi[:, None] * ((vectors * (eigenvalues / eigenvalues[-1]) ** separation) @ vectors.T) * psi[None]


def gaussian_threshold(rho: float) -> float:
    """Return beta from which the bottleneck keeps a Gaussian variable of canonical correlation rho: 1 / rho^2.

    Source: chechik2005.
    """
    return 1 / rho**2


def gaussian_curve(rho: Sequence[float], beta: float) -> tuple[float, float]:
    r"""Return I(T; X) and I(T; Y) in nats on the optimal curve of jointly Gaussian X and Y.

    .. math:: I_X = \tfrac12 \sum_i \ln \frac{(\beta - 1)(1 - \lambda_i)}{\lambda_i}, \qquad
        I_Y = I_X - \tfrac12 \sum_i \ln \beta (1 - \lambda_i)

    over the variables with :math:`\beta (1 - \lambda_i) > 1`. Source: chechik2005.
    """
    active = [r**2 for r in rho if beta * r**2 > 1]
    kept = 0.5 * sum(log((beta - 1) * s / (1 - s)) for s in active)
    return kept, kept - 0.5 * sum(log(beta * s) for s in active)
