"""N-point functions: what their first two say of a stationary Gaussian field on a ring, and that they say all."""

from __future__ import annotations

from math import log, pi

import numpy as np


def log_density(one: float, two: np.ndarray, mean: float, covariance: np.ndarray) -> float:
    r"""Return the log density of a field from its translation averages alone, in nats.

    .. math:: \ln p = -\tfrac L2 \sum_r (C^{-1})_r [G_2(r) - 2 m G_1 + m^2] - \tfrac12 \ln\det C - \tfrac L2 \ln 2\pi

    The first two n-point functions are sufficient for a stationary Gaussian field: G_3 and higher ones add nothing.
    Exact; a field with interactions needs G_4.

    Args:
        one: G_1, the field's mean over sites.
        two: G_2(r) [L], the mean over x of phi(x) phi(x + r).
        mean: m of the law.
        covariance: C(r) [L] of the law, symmetric.

    Source:
        berman2024 for the n-point functions as a code; the density is the Gaussian's.
    """
    spectrum = np.fft.fft(covariance).real
    inverse = np.fft.ifft(1 / spectrum).real
    L = len(two)
    return float(-L / 2 * inverse @ (two - 2 * mean * one + mean**2) - np.log(spectrum).sum() / 2 - L / 2 * log(2 * pi))
