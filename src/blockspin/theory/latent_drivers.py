"""Latent drivers: rates and covariances of independent logistic units that share Gaussian latents."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from scipy.special import expit


def rates(weights: np.ndarray, bias: float) -> np.ndarray:
    r"""Return :math:`\int Dz\, \sigma(b + |w_i| z)` of each unit, W float [units, latents] and unit latents.

    Trapezoid rule, to 1e-10 for |w| up to 10. A probability. Source: morrell2021 for the model.
    """
    z = np.linspace(-10, 10, 2001)
    density = np.exp(-(z**2) / 2) * (z[1] - z[0]) / sqrt(2 * pi)
    return expit(bias + np.linalg.norm(weights, axis=1)[:, None] * z) @ density


def covariance(first: np.ndarray, second: np.ndarray, bias: float) -> float:
    """Return the covariance of two different units with weights [latents] each: that of their chances alone.

    Trapezoid rule in two dimensions, to 1e-9 for |w| up to 10. Source: morrell2021 for the model.
    """
    s, t = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    r = float(first @ second) / (s * t)
    z = np.linspace(-10, 10, 801)
    density = np.exp(-(z**2) / 2) * (z[1] - z[0]) / sqrt(2 * pi)
    one = expit(bias + s * z)
    two = expit(bias + t * (r * z[:, None] + sqrt(max(0.0, 1 - r * r)) * z[None])) @ density
    return float((density * one) @ two - (density @ one) * (density @ two))
