"""Asymmetric SK: magnetisation, overlap, entropy production and critical line of the kinetic model, N to infinity."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from scipy.optimize import brentq

from blockspin.errors import FitFailedError


def _gaussian_mean(f, points: int = 8001) -> float:
    """Return the mean of an analytic function of a unit Gaussian by the trapezoid rule on [-12, 12]."""
    z = np.linspace(-12, 12, points)
    return float((f(z) * np.exp(-(z**2) / 2)).sum() * (z[1] - z[0]) / sqrt(2 * pi))


def _slope(a: float, shift: float = 0.0) -> float:
    """Return the mean of 1 - tanh^2(shift + a z); for steep tanh the integral runs over its argument instead."""
    if a < 1:
        return _gaussian_mean(lambda z: 1 - np.tanh(shift + a * z) ** 2)
    u = np.linspace(-20, 20, 8001)
    weight = np.exp(-(((u - shift) / a) ** 2) / 2) / (a * sqrt(2 * pi))
    return float(((1 - np.tanh(u) ** 2) * weight).sum() * (u[1] - u[0]))


def magnetisation(beta: float, deviation: float, mean: float = 1.0) -> float:
    r"""Return m >= 0, the largest solution of :math:`m = \int Dz \tanh(\beta J_0 m + \beta \Delta J z)`.

    Synchronous updates, no field, J_0 > 0; beta Delta J up to 100. Dimensionless. Source: aguilera2023.
    """

    def excess(m: float) -> float:
        return _gaussian_mean(lambda z: np.tanh(beta * (mean * m + deviation * z))) - m

    least = 1e-9
    return float(brentq(excess, least, 1.0, xtol=1e-14)) if excess(least) > 1e-6 * least else 0.0


def lagged_overlap(beta: float, deviation: float, mean: float = 1.0) -> float:
    r"""Return q, the overlap of states one step apart: the product of two tanh whose Gaussians correlate by q.

    .. math:: q = \int Dz \Big[\int Dw
        \tanh\big(\beta J_0 m + \beta \Delta J (\sqrt q\, z + \sqrt{1 - q}\, w)\big)\Big]^2

    by iteration from m^2. Same range as ``magnetisation``, beta Delta J up to 10. Source: aguilera2023.
    """
    m = magnetisation(beta, deviation, mean)
    z = np.linspace(-9, 9, 601)
    weight = np.exp(-(z**2) / 2) * (z[1] - z[0]) / sqrt(2 * pi)
    q = m * m
    for _ in range(1000):
        inner = np.tanh(beta * (mean * m + deviation * (sqrt(q) * z[:, None] + sqrt(1 - q) * z[None]))) @ weight
        new = float(weight @ inner**2)
        if abs(new - q) < 1e-12:
            return new
        q = min(max(new, 0.0), 1.0)
    raise FitFailedError(f"the overlap at beta = {beta}, Delta J = {deviation} does not converge", "Use another point.")


def entropy_production(beta: float, deviation: float, mean: float = 1.0) -> float:
    r"""Return the entropy production per spin and step, in nats.

    .. math:: \sigma = (\beta \Delta J)^2 (1 - q) \int Dz \,[1 - \tanh^2(\beta J_0 m + \beta \Delta J z)]

    Same range as ``lagged_overlap``. Source: aguilera2023.
    """
    m, q = magnetisation(beta, deviation, mean), lagged_overlap(beta, deviation, mean)
    return (beta * deviation) ** 2 * (1 - q) * _slope(beta * deviation, beta * mean * m)


def critical_beta(deviation: float, mean: float = 1.0) -> float:
    r"""Return beta_c, where :math:`\beta J_0 \int Dz [1 - \tanh^2(\beta \Delta J z)] = 1` and m leaves 0.

    Exists for Delta J < J_0 sqrt(2 / pi). Source: aguilera2023.

    Raises:
        FitFailedError: If there is no transition.
    """
    if deviation >= mean * sqrt(2 / pi):
        raise FitFailedError(
            f"Delta J = {deviation} has no ordered phase", f"It is below {mean * sqrt(2 / pi):.6f} for this J_0."
        )
    return float(brentq(lambda b: b * mean * _slope(b * deviation) - 1, 0.5 / mean, 1e6 / mean, xtol=1e-13))


def critical_deviation(beta: float, mean: float = 1.0) -> float:
    """Return Delta J on the critical line at beta > 1 / J_0; J_0 sqrt(2 / pi) as beta grows. Source: aguilera2023."""
    return float(brentq(lambda d: beta * mean * _slope(beta * d) - 1, 1e-9, mean * sqrt(2 / pi), xtol=1e-14))
