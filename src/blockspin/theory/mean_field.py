"""Mean field of signal propagation: order and chaos in random networks of infinite width, for any activation."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log

from scipy.optimize import brentq

from blockspin.errors import ConfigError, FitFailedError
from blockspin.theory.gaussian_average import Function, average, pair_average, slope

LARGEST = 1e6
"""Largest variance at which a fixed point is sought."""


@dataclass(frozen=True)
class Propagation:
    """Where variance and correlation of signals settle, and how fast.

    Args:
        variance: q*, of a pre-activation.
        correlation: c*, of two inputs' pre-activations.
        susceptibility: chi_1 = sigma_w^2 <phi'^2>: by what the difference of two nearly equal inputs grows each layer.
        variance_depth: xi_q in layers, infinite on a critical line.
        correlation_depth: xi_c in layers, infinite on a critical line.
    """

    variance: float
    correlation: float
    susceptibility: float
    variance_depth: float
    correlation_depth: float

    @property
    def phase(self) -> str:
        """Ordered where inputs merge, chaotic where they part, critical to 1e-9 of the susceptibility between."""
        if abs(self.susceptibility - 1) < 1e-9:
            return "critical"
        return "ordered" if self.susceptibility < 1 else "chaotic"


def variance_map(phi: Function, q: float, weight_variance: float, bias_variance: float) -> float:
    r"""Return the variance after one layer, :math:`q' = \sigma_w^2 \langle \phi^2 \rangle_q + \sigma_b^2`.

    Exact for infinite width, to the accuracy of ``gaussian_average.average``. Source: poole2016.
    """
    return weight_variance * average(lambda z: phi(z).square(), q) + bias_variance


def correlation_map(phi: Function, c: float, q: float, weight_variance: float, bias_variance: float) -> float:
    r"""Return the correlation after one layer of two inputs, both of the variance q that is a fixed point.

    .. math:: c' = (\sigma_w^2 \langle \phi(u) \phi(v) \rangle + \sigma_b^2) / q, \quad \langle u v \rangle = c q

    Source: poole2016.
    """
    return (weight_variance * pair_average(phi, phi, (q, c * q, q)) + bias_variance) / q


def susceptibility(phi: Function, q: float, weight_variance: float) -> float:
    r"""Return :math:`\chi_1 = \sigma_w^2 \langle \phi'^2 \rangle_q`. Source: poole2016."""
    derivative = slope(phi)
    return weight_variance * average(lambda z: derivative(z).square(), q)


def variance_slope(phi: Function, q: float, weight_variance: float) -> float:
    r"""Return dq'/dq, as :math:`\sigma_w^2 \langle z \phi \phi' \rangle_q / q`, or its limit chi_1 at q = 0.

    The same as :math:`\chi_1 + \sigma_w^2 \langle \phi \phi'' \rangle` without a second derivative. Source:
    schoenholz2017.
    """
    derivative = slope(phi)
    if q == 0:
        return susceptibility(phi, 0.0, weight_variance)
    return weight_variance * average(lambda z: z * phi(z) * derivative(z), q) / q


def propagation(phi: Function, weight_variance: float, bias_variance: float) -> Propagation:
    r"""Return where signals settle in a deep random network.

    .. math:: 1/\xi_q = -\ln \frac{dq'}{dq}, \qquad 1/\xi_c = -\ln[\sigma_w^2 \langle \phi'(u) \phi'(v) \rangle_{c^*}]

    q* is the largest variance that is kept; roots are bracketed, not iterated, so that the neighbourhood of a critical
    line costs no more. Of the fixed points of the correlation it is the one that a generic pair goes to: below 1 where
    chi_1 > 1. The mean-field limit: at width n the depth scales hold down to about n layers.

    Args:
        phi: Activation, in torch.
        weight_variance: sigma_w^2.
        bias_variance: sigma_b^2.

    Raises:
        ConfigError: If a variance is negative.
        FitFailedError: If the variance grows without bound, or every variance is kept (ReLU at criticality).

    Source:
        poole2016 for the maps, schoenholz2017 for the depth scales.
    """
    if weight_variance <= 0 or bias_variance < 0:
        raise ConfigError("variances", (weight_variance, bias_variance), "above 0 for weights, at least 0 for biases")
    q = _fixed_variance(phi, weight_variance, bias_variance)
    chi = susceptibility(phi, q, weight_variance)
    xi_q = _depth(variance_slope(phi, q, weight_variance))
    if q == 0 or chi <= 1:
        return Propagation(q, 1.0, chi, xi_q, _depth(chi))
    c = _fixed_correlation(phi, q, weight_variance, bias_variance)
    derivative = slope(phi)
    stretch = weight_variance * pair_average(derivative, derivative, (q, c * q, q))
    return Propagation(q, c, chi, xi_q, _depth(stretch))


def critical_weight_variance(phi: Function, bias_variance: float, reach: float = 50.0) -> tuple[float, float]:
    """Return sigma_w^2 and q* on the critical line chi_1 = 1.

    The line is followed in q: sigma_w^2 = 1 / <phi'^2>_q, and the first q above 0 at which the variance is kept.
    Without bias an odd saturating activation has q* = 0 there.

    Args:
        phi: Activation, in torch.
        bias_variance: sigma_b^2, at least 0.
        reach: Largest q* sought.

    Raises:
        FitFailedError: If the line is not met below ``reach``.

    Source:
        schoenholz2017.
    """

    def excess(q: float) -> float:
        return variance_map(phi, q, 1 / susceptibility(phi, q, 1.0), bias_variance) - q

    if bias_variance == 0 and abs(average(phi, 0.0)) == 0:
        return 1 / susceptibility(phi, 0.0, 1.0), 0.0
    low = 1e-12
    high = low
    while high < reach and excess(high) > 0:
        low, high = high, 1.2 * high
    if not excess(low) > 0 >= excess(high):
        raise FitFailedError(f"no critical line below q = {reach} for sigma_b^2 = {bias_variance}", "Raise reach.")
    q = brentq(excess, low, high, xtol=1e-15, rtol=1e-13)
    return 1 / susceptibility(phi, q, 1.0), q


def _fixed_variance(phi: Function, weight_variance: float, bias_variance: float) -> float:
    """Return the largest fixed point of the variance: the last sign change of q' - q on a geometric grid."""

    def excess(log_q: float) -> float:
        q = exp(log_q)
        return variance_map(phi, q, weight_variance, bias_variance) / q - 1

    grid = [log(1e-12) + i * 0.1 for i in range(int((log(LARGEST) - log(1e-12)) / 0.1))]
    values = [excess(x) for x in grid]
    if max(abs(v) for v in values[len(values) // 2 :]) < 1e-12:
        raise FitFailedError("every variance is kept", "It stays that of the input: there is no fixed point to find.")
    if values[-1] > 0:
        raise FitFailedError(f"the variance grows beyond {LARGEST:g}", "Lower sigma_w^2: there is no fixed point.")
    last = max((i for i, v in enumerate(values) if v > 0), default=-1)
    if last < 0:
        return 0.0
    return exp(brentq(excess, grid[last], grid[last + 1], xtol=1e-14, rtol=1e-14))


def _fixed_correlation(phi: Function, q: float, weight_variance: float, bias_variance: float) -> float:
    """Return the fixed point below 1; the map is convex for c >= 0, so that there is one at most."""

    def excess(c: float) -> float:
        return correlation_map(phi, c, q, weight_variance, bias_variance) - c

    if excess(0.0) <= 0:  # odd, without bias: pairs end up uncorrelated
        return 0.0
    high = 1 - 1e-4
    while excess(high) > 0 and high < 1 - 1e-13:
        high = 1 - (1 - high) / 4
    return brentq(excess, 0.0, high, xtol=1e-14) if excess(high) < 0 else 1.0


def _depth(factor: float) -> float:
    """Return the layers over which a factor a layer makes 1/e; infinite at 1, and 0 where nothing is left."""
    if abs(factor - 1) < 1e-12:
        return inf
    return 0.0 if factor <= 0 else -1 / log(factor)
