"""Alternatives: log-normal, exponential and cut-off power law in a tail, and whether one fits better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, log, sqrt

import numpy as np
from scipy.optimize import minimize
from scipy.stats import chi2, norm

NODES = 2001
"""Points of Simpson's rule for a normalisation."""
NEGLIGIBLE = 45.0
"""A weight of exp(-45) is none."""


@dataclass(frozen=True)
class Comparison:
    """Another law of the same tail against the power law.

    Args:
        log_likelihood_ratio: Log-likelihood of the other law less that of the power law, nats; above 0 it fits better.
        p_value: Probability of a ratio in its favour as large as this if it described the tail no better.
        parameters: Of the other law.
    """

    log_likelihood_ratio: float
    p_value: float
    parameters: Mapping[str, float]


def compare_alternatives(tail_values: np.ndarray, x_min: float) -> dict[str, Comparison]:
    r"""Return how "exponential", "log-normal" and "cut-off" fit values at or above x_min, against a power law.

    With :math:`u = \ln(x / x_\min)` the log-normal has the density :math:`\propto e^{-b u - c u^2}` and the power law
    with an exponential cut-off :math:`\propto e^{-b u - c (e^u - 1)}`, u >= 0. Both hold the power law as c = 0 at the
    edge of c >= 0, so that twice the ratio is a half-half mixture of 0 and chi-squared of one degree (self1987); the
    exponential does not, and its ratio is normalised by its scatter over the values (vuong1989), one-sided. The values
    count as independent.
    """
    u = np.log(tail_values / x_min)
    power = np.log(1 / u.mean()) - u / u.mean()  # log density of u under the power law
    rate = 1 / (np.expm1(u).mean())  # of x / x_min - 1
    found = {"exponential": _vuong(np.log(rate) - rate * np.expm1(u) + u - power, {"scale": x_min / rate})}
    b, c, ratio = _family(u, np.square, float(power.sum()))
    variance = 1 / (2 * c) if c > 0 else inf
    found["log-normal"] = _nested(ratio, {"sigma": sqrt(variance), "mu": log(x_min) - (b * variance if c > 0 else inf)})
    b, c, ratio = _family(u, np.expm1, float(power.sum()))
    found["cut-off"] = _nested(ratio, {"alpha": 1 + b, "scale": x_min / c if c > 0 else inf})
    return found


def _vuong(differences: np.ndarray, parameters: Mapping[str, float]) -> Comparison:
    ratio, scatter = float(differences.sum()), float(differences.std()) * sqrt(len(differences))
    return Comparison(ratio, float(norm.sf(ratio / scatter)) if scatter > 0 else 1.0, parameters)


def _nested(ratio: float, parameters: Mapping[str, float]) -> Comparison:
    return Comparison(ratio, float(chi2.sf(2 * ratio, 1)) / 2 if ratio > 0 else 1.0, parameters)


def _family(u: np.ndarray, curve: Callable, power: float) -> tuple[float, float, float]:
    """Return (b, c, log-likelihood ratio) of the density exp(-b u - c curve(u)) / Z at its maximum over c >= 0.

    The log-likelihood is concave; in units of the means of u and of its curve both parameters are of order one.
    """
    unit, bend = float(u.mean()), float(curve(u).mean())

    def cost(given: np.ndarray) -> tuple[float, np.ndarray]:
        b, c = given[0] / unit, given[1] / bend
        log_z, mean_u, mean_curve = _moments(b, c, curve)
        return log_z + given.sum(), np.array([1 - mean_u / unit, 1 - mean_curve / bend])

    best = np.array([1.0, 0.0])
    lowest = -power / len(u)
    for start in ((1.0, 1e-6), (0.5, 0.5), (-1.0, 2.0)):
        found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=((-200.0, 200.0), (1e-9, 1e4)))
        if found.fun < lowest - 1e-10:
            best, lowest = found.x, float(found.fun)
    return best[0] / unit, best[1] / bend, max(0.0, -power - len(u) * lowest)


def _moments(b: float, c: float, curve: Callable) -> tuple[float, float, float]:
    """Return ln Z and the means of u and of its curve under exp(-b u - c curve(u)), u >= 0, by Simpson's rule."""
    end = 1.0
    while b * end + c * curve(end) < NEGLIGIBLE + max(0.0, -2 * b * end) and end < 690:
        end *= 1.25
    grid = np.linspace(0, end, NODES)
    weights = np.full(NODES, 2.0)
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    bent = curve(grid)
    energy = b * grid + c * bent
    lowest = energy.min()
    mass = weights * np.exp(lowest - energy)
    total = mass.sum()
    return (
        float(np.log(total * end / (3 * (NODES - 1))) - lowest),
        float(mass @ grid / total),
        float(mass @ bent / total),
    )
