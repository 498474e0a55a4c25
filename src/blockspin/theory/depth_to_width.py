"""Depth to width: the ratio at which a truncated series says that layers share most information."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, logsumexp

WARNING = "The optimum is that of a series cut after its second term; the whole of it grows with depth for ever."


def optimal_ratio(outputs: int, growth: float) -> float:
    r"""Return :math:`r^* = L/n = 4 / ((20 + 3 n_L) \nu)`.

    Do not trust it as an optimum: it is where the first two terms of ``information_series`` are largest, beyond the
    range in which they are a good approximation. ``mutual_information`` of the same law has no maximum (``WARNING``).

    Args:
        outputs: n_L, neurons of the last layer.
        growth: nu of ``criticality.vertex_growth``.

    Source:
        roberts2022, appendix A.
    """
    return 4 / ((20 + 3 * outputs) * growth)


def information_series(block: int, coupling: float) -> float:
    r"""Return the mutual information in nats of two blocks of m neurons of one layer, to third order.

    .. math:: I = \frac{m^2}{8} [w^2 - (m + \tfrac{10}{3}) w^3 + O(w^4)], \qquad w = V / (n K^2)

    Args:
        block: m.
        coupling: w.

    Source:
        roberts2022, appendix A, coefficients re-derived.
    """
    m, w = block, coupling
    return m**2 / 8 * (w**2 - (m + 10 / 3) * w**3)


def mutual_information(block: int, log_variance: float, points: int = 1000) -> float:
    r"""Return the mutual information in nats of two blocks of m neurons that share a log-normal scale.

    Given the scale s, all neurons are independent N(0, s), ln s ~ N(-v/2, v): to leading order in 1 / width the law of
    a deep layer with w = exp(v) - 1. Twice the entropy of one block less that of both, from the densities of the
    radius by Gauss-Hermite quadrature of the scale and the trapezoidal rule, exponentially accurate here, in the
    logarithm of the radius. Accuracy about 1e-12 for v up to 1, 1e-6 up to 8.

    Args:
        block: m.
        log_variance: v.
        points: Of the rule.
    """
    return 2 * _entropy(block, log_variance, points) - _entropy(2 * block, log_variance, points)


def _entropy(m: int, v: float, points: int) -> float:
    """Return the entropy of m neurons, less the terms that cancel in the mutual information."""
    x, weight = np.polynomial.hermite_e.hermegauss(120)
    log_weight = np.log(weight / weight.sum(), where=weight > 0, out=np.full_like(weight, -800.0))
    log_scale = -v / 2 + np.sqrt(v) * x
    y = np.linspace(-v / 2 - 9 * np.sqrt(v) - 72 / m, -v / 2 + 9 * np.sqrt(v) + 6, points)  # log of the squared radius
    exponent = -0.5 * m * (np.log(2 * np.pi) + log_scale) - 0.5 * np.exp(y[:, None] - log_scale)
    log_density = logsumexp(exponent + log_weight, axis=1)
    log_sphere = np.log(2) + 0.5 * m * np.log(np.pi) - gammaln(m / 2)
    measure = np.exp(log_density + log_sphere + m * y / 2) / 2
    return -float((measure * log_density).sum() * (y[1] - y[0]))
