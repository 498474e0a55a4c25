"""Non-perturbative RG of networks: a quartic and a sextic coupling, run by the weights' scale or by a cutoff."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, gamma, pi, sqrt

import numpy as np
from scipy.integrate import solve_ivp

from blockspin.errors import ConfigError, FitFailedError


@dataclass(frozen=True)
class Couplings:
    r"""Couplings of :math:`U(\phi) = \tfrac12 u_2 \phi^2 + \tfrac{1}{4!} u_4 \phi^4 + \tfrac{1}{6!} u_6 \phi^6`.

    Args:
        quadratic: u2; sigma_w = sqrt(d u2 / 2).
        quartic: u4.
        sextic: u6.
    """

    quadratic: float
    quartic: float
    sextic: float


def active_quartic(weight_deviation: float, width: int, bias_variance: float = 1.0, dimension: int = 1) -> float:
    r"""Return u4 of the Gauss-net as its weights' scale is changed (active flow), for inputs near zero.

    .. math:: u_4 = -\frac{3 (e^{4 \sigma_b^2} - 1)}{N} \Big(\frac{2}{\pi d}\Big)^{d/2} \sigma_w^{d - 4}

    Exact for sigma_w |x| << 1 and to leading order in 1 / N; u4 is minus the connected four-point function over the
    integral of four kernels, 24 times the lambda of ``nn_qft.quartic_coupling``.

    Args:
        weight_deviation: sigma_w.
        width: N.
        bias_variance: sigma_b^2.
        dimension: d of the inputs.

    Source:
        erbin2022, re-derived.
    """
    d = dimension
    return -3 * (exp(4 * bias_variance) - 1) / width * (2 / (pi * d)) ** (d / 2) * weight_deviation ** (d - 4)


def loop_volume(dimension: float) -> float:
    r"""Return :math:`V_d = 1 / (2^d \pi^{d/2} \Gamma(d/2 + 1))`, modes per volume in a ball of radius 1."""
    return 1 / (2**dimension * pi ** (dimension / 2) * gamma(dimension / 2 + 1))


def passive_flow(start: Couplings, cutoff: float, dimension: int = 1) -> Couplings:
    r"""Return the couplings at an infrared cutoff k, from those at k = 0 (passive flow).

    The local potential approximation with Litim's regulator,

    .. math:: \partial_k U = V_d \frac{k^{d + 1}}{k^2 + U''}

    expanded about zero to sixth order. Relative accuracy 1e-9. The truncation is only as good as the field is small: at
    u4 < 0 it is u6 that keeps the flow finite.

    Args:
        start: Couplings without cutoff.
        cutoff: k at the end.
        dimension: d.

    Raises:
        FitFailedError: If the flow ends before, where k^2 + u2 vanishes.

    Source:
        erbin2022 for the truncation, litim2001 for the regulator.
    """
    V, d = loop_volume(dimension), dimension

    def slopes(k: float, u: np.ndarray) -> np.ndarray:
        return V * k ** (d + 1) * _loop(u, k**2)

    u = np.array([start.quadratic, start.quartic, start.sextic])
    found = solve_ivp(slopes, (0.0, cutoff), u, method="DOP853", rtol=1e-11, atol=1e-13)
    if not found.success or not np.isfinite(found.y[:, -1]).all():
        raise FitFailedError(f"the flow ends at k = {found.t[-1]:.4g}", "Start from a larger u6, or stop before.")
    return Couplings(*found.y[:, -1])


@dataclass(frozen=True, eq=False)
class TruncatedFixedPoint:
    """A fixed point of the couplings in units of k, V_d absorbed in u4 and u6.

    Args:
        couplings: u2, V_d u4 and V_d^2 u6.
        eigenvalues: Of the linearised flow d/d ln k, ascending.
    """

    couplings: Couplings
    eigenvalues: np.ndarray

    @property
    def correlation_exponent(self) -> float:
        """Nu, minus one over the negative eigenvalue."""
        return -1 / float(self.eigenvalues[0].real)


def truncated_fixed_point(dimension: float, sextic: bool) -> TruncatedFixedPoint:
    r"""Return the Wilson-Fisher fixed point of the potential expanded about zero, to fourth or to sixth order.

    In closed form. In three dimensions u2 = -1/13 and nu = 0.542722, or -1/7 and 0.593218, beside 0.649562 of the
    whole potential (``functional_rg.lpa_fixed_point``): the expansion about zero is a poor one.

    Args:
        dimension: 2.5 <= d < 4.
        sextic: Whether the sixth order is kept.

    Raises:
        ConfigError: If the dimension is outside of the range.

    Source:
        erbin2022.
    """
    if not 2.5 <= dimension < 4:
        raise ConfigError("dimension", dimension, "at least 2.5 and below 4")
    eps = 4 - dimension
    x, y = eps / 6, 0.0  # V_d u4 = x A^3 and V_d^2 u6 = y A^5 with A = 1 + u2
    if sextic:
        x = (42 * eps - 12 + sqrt((42 * eps - 12) ** 2 + 720 * eps * (1 - eps))) / 180
        y = 6 * x**2 - eps * x
    u2 = -x / (2 + x)
    u = np.array([u2, x * (1 + u2) ** 3, y * (1 + u2) ** 5])
    size = 3 if sextic else 2
    steps = np.eye(3)[:size] * 1e-30j
    jacobian = np.stack([scaled_flow(u + step, dimension)[:size].imag / 1e-30 for step in steps], axis=1)
    values = np.linalg.eigvals(jacobian)
    return TruncatedFixedPoint(Couplings(*map(float, u)), values[np.argsort(values.real)])


def scaled_flow(u: np.ndarray, dimension: float) -> np.ndarray:
    """Return k d/dk of (u2 / k^2, V_d u4 k^(d-4), V_d^2 u6 k^(2d-6)), complex or real [3]. Source: erbin2022."""
    d = dimension
    return np.array([-2, d - 4, 2 * d - 6]) * u + _loop(u, 1.0)


def weight_deviation(couplings: Couplings, dimension: int = 1) -> float:
    """Return sigma_w = sqrt(d u2 / 2) that goes with a quadratic coupling. Source: erbin2022."""
    return sqrt(dimension * couplings.quadratic / 2)


def _loop(u: np.ndarray, square: float) -> np.ndarray:
    """Return the second, fourth and sixth derivative at zero of 1 / (k^2 + U'')."""
    A = square + u[0]
    return np.array(
        [
            -u[1] / A**2,
            (6 * u[1] ** 2 / A - u[2]) / A**2,
            u[1] / A**3 * (30 * u[2] - 90 * u[1] ** 2 / A),
        ]
    )
