"""Gaussian information: what two jointly Gaussian fields say about each other."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p, sqrt

import numpy as np


def mutual_information(correlations: Sequence[float]) -> float:
    r"""Return the mutual information in nats of two Gaussian fields with the given canonical correlations.

    .. math:: I = -\tfrac12 \sum_i \ln(1 - \rho_i^2)

    Valid for every rho in (-1, 1); infinite at its ends. Source: hotelling1936 for the correlations.
    """
    return -0.5 * sum(log1p(-(rho**2)) for rho in correlations)


def block_predictability(C: np.ndarray, b: int) -> float:
    r"""Return the share of the variance of a chain of Gaussian sites that its block averages give back.

    .. math:: \operatorname{tr}\left(C T^t (T C T^t)^{-1} T C\right) / \operatorname{tr} C

    with T the average over blocks of b neighbouring sites and C the covariance, not singular. Dimensionless.
    Source: hotelling1936.
    """
    T = np.kron(np.eye(len(C) // b), np.ones((1, b)) / b)
    cross = C @ T.T
    return float(np.trace(cross @ np.linalg.solve(T @ cross, cross.T)) / np.trace(C))


def markov_block(rho: float, buffer: int) -> tuple[float, float]:
    r"""Return the canonical correlations of two neighbours on a Gauss-Markov chain with the sites beyond a buffer.

    Sites n steps apart correlate by rho^n. One site on each side is the environment, at a distance d = buffer + 1 of
    its nearer neighbour; sums and differences decouple:

    .. math:: \frac{\rho^d (1 \pm \rho)}{\sqrt{(1 \pm \rho)(1 \pm \rho^{2 d + 1})}}

    Exact, for 0 < rho < 1. Source: hotelling1936.
    """
    d = buffer + 1
    even, odd = (rho**d * sqrt((1 + s * rho) / (1 + s * rho ** (2 * d + 1))) for s in (1, -1))
    return even, odd
