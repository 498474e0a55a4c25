"""Mean field: critical lines and depth scales of tanh networks, against other quadrature and iterated layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, log

import numpy as np
import torch

from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import mean_field as theory

ROUNDING = 1e-9
"""Of fixed points that converge at rates down to 0.01, found to 1e-14."""
LINE = {0.01: (1.424205, 0.273301), 0.05: (1.760955, 0.570048), 0.1: (1.986073, 0.805799)}
LENGTHS = {1.0: 3.6270, 1.3: 7.8341, 1.5: 15.791, 2.0: 25.213, 2.5: 11.796, 4.0: 6.9803}
BIAS = 0.05


@register
@dataclass(frozen=True)
class MeanFieldTether(Tether):
    """Locate order and chaos of tanh networks, and iterate layers by a trapezoidal rule of our own."""

    name = "mean-field"
    system = "signal propagation in random tanh networks of infinite width"
    source = "schoenholz2017"

    def rows(self) -> Iterator[Row]:
        """Yield critical lines, depth scales, their divergence, and limits without bias."""
        for bias, (weight, q) in LINE.items():
            found = theory.critical_weight_variance(torch.tanh, bias)
            yield exact(f"critical sigma_w^2 of tanh (sigma_b^2 = {bias})", weight, found[0], 1e-6)
            yield exact(f"q* there (sigma_b^2 = {bias})", q, found[1], 1e-6)
            yield exact("chi_1 there, by another rule", 1.0, found[0] * _line(found[1], _slope_squared), ROUNDING)
        for weight, length in LENGTHS.items():
            yield from _lengths(weight, length)
        yield from _divergence()
        free = theory.propagation(torch.tanh, 1.5, 0.0)
        yield exact("c* of an odd activation without bias (sigma_w^2 = 1.5)", 0.0, free.correlation, ROUNDING)
        relu = theory.propagation(torch.relu, 1.0, 0.1)
        yield exact("q* of ReLU off criticality: sigma_b^2 / (1 - sigma_w^2 / 2)", 0.2, relu.variance, ROUNDING)
        yield exact("xi_q of ReLU at sigma_w^2 = 1: 1 / ln 2", 1 / log(2), relu.variance_depth, ROUNDING)


def _lengths(weight: float, length: float) -> Iterator[Row]:
    """Iterate the correlation of two inputs and read the depth scale off its decay."""
    where = f"tanh, sigma_w^2 = {weight}, sigma_b^2 = {BIAS}"
    found = theory.propagation(torch.tanh, weight, BIAS)
    yield exact(f"xi_c ({where})", length, found.correlation_depth, 0.6 * 10.0 ** (-4 if length < 10 else -3))
    q = found.variance
    # the largest distance from c* that is still linear, the smallest that rounding leaves four digits of
    start = found.correlation + (-1 if found.correlation == 1 else 1) * 1e-5
    c = [start]
    for _ in range(4):
        c.append((weight * _plane(q, c[-1]) + BIAS) / q)
    decay = (c[-1] - found.correlation) / (c[0] - found.correlation)
    yield exact(
        f"xi_c from four layers of two inputs ({where})", found.correlation_depth, -4 / log(decay), 1e-4 * length
    )
    fixed = weight * _line(q, lambda z: np.tanh(z) ** 2) + BIAS
    yield exact(f"q* after one layer more, by another rule ({where})", q, fixed, ROUNDING)


def _divergence() -> Iterator[Row]:
    """Fit the power of xi_c against the distance from the line on either side."""
    critical, q = theory.critical_weight_variance(torch.tanh, BIAS)
    for side in (-1, 1):
        d = np.array([0.0025, 0.005, 0.01, 0.02])
        xi = [theory.propagation(torch.tanh, critical + side * x, BIAS).correlation_depth for x in d]
        slope = np.polyfit(np.log(d), np.log(xi), 1)[0]
        yield exact(f"power of xi_c {'above' if side > 0 else 'below'} the line", -1.0, slope, 0.05)
    on = theory.propagation(torch.tanh, critical, BIAS)
    yield exact("1 / xi_c on the line", 0.0, 0.0 if on.correlation_depth == inf else 1 / on.correlation_depth, 1e-9)
    yield exact("q* on the line, by iteration to a fixed point", q, on.variance, ROUNDING)


def _slope_squared(z: np.ndarray) -> np.ndarray:
    return np.cosh(z) ** -4.0


def _line(q: float, F) -> float:
    """Return <F> by the trapezoidal rule, which converges exponentially for analytic functions."""
    x = np.linspace(-10, 10, 1001)
    w = np.exp(-(x**2) / 2)
    return float(w @ F(np.sqrt(q) * x) / w.sum())


def _plane(q: float, c: float) -> float:
    """Return <tanh tanh> of two variables of correlation c by the trapezoidal rule in both."""
    x = np.linspace(-10, 10, 201)
    w = np.exp(-(x**2) / 2)
    u, v = np.sqrt(q) * x[:, None], np.sqrt(q) * (c * x[:, None] + np.sqrt(1 - c**2) * x)
    return float(w @ (np.tanh(u) * np.tanh(v)) @ w / w.sum() ** 2)
