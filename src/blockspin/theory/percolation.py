"""Percolation: sizes of clusters of mean-field percolation at its critical point, as sampled by growth."""

from __future__ import annotations

import numpy as np
from scipy.special import betaln


def cluster_sizes(sizes: np.ndarray, new: float = 1 / 3) -> np.ndarray:
    r"""Return p(s), the share of clusters that have s points, once there are many.

    .. math:: p(s) = \rho B(s, \rho + 1), \quad \rho = \frac{1}{1 - \alpha}

    Simon's law for a probability alpha of a new cluster at each step; it falls as s^-(1 + rho), s^-5/2 for
    alpha = 1/3. Source: simon1955.
    """
    rho = 1 / (1 - new)
    return rho * np.exp(betaln(np.asarray(sizes, dtype=float), rho + 1))


def tail_exponent(new: float = 1 / 3) -> float:
    """Return 1 + 1 / (1 - alpha), 5/2 for mean-field percolation. Source: simon1955."""
    return 1 + 1 / (1 - new)
