"""Non-perturbative RG of networks: active and passive flows and fixed points of truncations, by other routes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from scipy.integrate import solve_ivp

from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import functional_rg, nn_qft
from blockspin.theory import nonperturbative_nn as theory

PASSIVE = {
    5: (1.478573, -16.73862, 52.20401),
    50: (1.140279, -4.38019, 11.27377),
    100: (1.120668, -4.17484, 13.67854),
    500: (1.110639, -4.39804, 18.17582),
    1000: (1.109861, -4.45639, 18.92871),
}
"""sigma_w, u4 and u6 at k = 100 in one dimension, by width; they start from u2 = 2 and u6 = 50."""


@register
@dataclass(frozen=True)
class NonperturbativeNNTether(Tether):
    """Run couplings of Gauss-nets, and find fixed points of the same truncations in three dimensions."""

    name = "nonperturbative-nn"
    system = "quartic and sextic couplings of Gauss-nets, local potential approximation with Litim's regulator"
    source = "erbin2022"

    def rows(self) -> Iterator[Row]:
        """Yield the active flow, the passive flow, and fixed points."""
        yield exact("u4 of the Gauss-net, N = 1, sigma_w = 1", -128.295409, theory.active_quartic(1.0, 1), 1e-6)
        for deviation in (1.0, 2.0, 5.0, 10.0):
            hidden = nn_qft.Gauss(deviation**2, 1.0)
            direct = 24 * nn_qft.quartic_coupling(hidden, np.zeros((4, 1)), 1, 12 / deviation) * deviation**3
            quantity = f"u4 sigma_w^3 from correlator and integral, sigma_w = {deviation:g}"
            yield exact(quantity, theory.active_quartic(1.0, 1), direct, 1e-8 * abs(direct))
        yield from _slopes()
        for width, known in PASSIVE.items():
            yield from _passive(width, known)
        for sextic, u2, nu in ((False, -1 / 13, 0.542722), (True, -1 / 7, 0.593218)):
            found = theory.truncated_fixed_point(3, sextic)
            where = f"d = 3, order {6 if sextic else 4} about zero"
            yield exact(f"u2 at the fixed point ({where})", u2, found.couplings.quadratic, 1e-12)
            yield exact(f"nu ({where})", nu, found.correlation_exponent, 1e-6)
            yield exact(f"flow at the fixed point ({where})", 0.0, _residue(found, sextic), 1e-12)
        nu = functional_rg.lpa_fixed_point(3, 1, 10).correlation_exponent
        yield exact("nu of order 10 about the minimum (d = 3)", 0.649576, nu, 1e-6)
        yield exact("nu of order 10 against the limit of the orders (d = 3)", 0.649562, nu, 1e-4)


def _slopes() -> Iterator[Row]:
    """Fit the power of sigma_w with the inputs of the publication, where these still are near zero."""
    x = 0.01 * np.array([[-1.0], [-0.6], [0.2], [1.0]])
    s = np.array([1.0, 2.0, 4.0])
    u4 = [-nn_qft.quartic_coupling(nn_qft.Gauss(d**2, 1.0), x, 1, 12 / d) for d in s]
    yield exact("power of sigma_w in u4, inputs up to 0.01", -3.0, np.polyfit(np.log(s), np.log(u4), 1)[0], 0.01)


def _passive(width: int, known: tuple[float, ...]) -> Iterator[Row]:
    """Integrate the flow once more in scaled couplings over ln k, from the derivatives of a potential on a circle."""
    start = theory.Couplings(2.0, -128.2954 / width, 50.0)
    found = theory.passive_flow(start, 100.0)
    got = (theory.weight_deviation(found), found.quartic, found.sextic)
    V = theory.loop_volume(1)

    def slopes(t: float, u: np.ndarray) -> np.ndarray:
        k = np.exp(t)
        return V * k**3 * _derivatives(u, k**2)

    other = solve_ivp(
        slopes, (log(1e-4), log(100.0)), [2.0, start.quartic, 50.0], method="LSODA", rtol=1e-9, atol=1e-10
    ).y[:, -1]
    for name, printed, value, again in zip(
        ("sigma_w", "u4", "u6"), known, got, (sqrt(other[0] / 2), *other[1:]), strict=True
    ):
        yield exact(f"{name} at k = 100, N = {width}", printed, value, 1e-6 * abs(printed))
        yield exact(f"{name} at k = 100, N = {width}, by another route", again, value, 1e-5 * abs(value))


def _derivatives(u: np.ndarray, square: float) -> np.ndarray:
    """Return the second, fourth and sixth derivative at zero of 1 / (k^2 + U''), by Cauchy's integral."""
    A = square + u[0]  # half of the distance at which the quartic or the sextic term is as large as it
    points, radius = 64, 0.5 * min(sqrt(2 * A / (abs(u[1]) + 1e-9)), (24 * A / (abs(u[2]) + 1e-9)) ** 0.25)
    phi = radius * np.exp(2j * np.pi * np.arange(points) / points)
    values = 1 / (A + u[1] * phi**2 / 2 + u[2] * phi**4 / 24)
    taylor = np.fft.fft(values).real / points
    return np.array([taylor[n] / radius**n * f for n, f in ((2, 2), (4, 24), (6, 720))])


def _residue(found: theory.TruncatedFixedPoint, sextic: bool) -> float:
    """Return the largest slope of the scaled couplings, from derivatives of the potential."""
    u = np.array([found.couplings.quadratic, found.couplings.quartic, found.couplings.sextic])
    flow = np.array([-2.0, -1.0, 0.0]) * u + _derivatives(u, 1.0)
    return float(np.abs(flow[: 3 if sextic else 2]).max())
