"""Curves: ways in which one coupling may run along a coordinate, each fitted to some scales and predicting others."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import least_squares

from blockspin.errors import ConfigError, FitFailedError

GROWTHS = (0.05, 8.0)
"""Least and largest growth over the whole range of the fitted scales: e-folds of an exponential."""
GRID, ZOOMS = 24, 7
"""Growth rates of each sign at which an exponential is tried, and how often the grid is made finer about the best."""
STEP = 1e-6
"""Relative step of numerical derivatives by parameters."""
NEAREST = 4
"""Scales that a local parabola is fitted to: one more than it has parameters."""


class Curve(abc.ABC):
    """A family of curves g(x). Members are frozen dataclasses."""

    name: ClassVar[str]
    parameters: ClassVar[int]
    """How many scales a fit needs at the least."""
    doubt: ClassVar[bool] = False
    """Whether it counts for the error of a prediction alone, and not for its value."""

    @abc.abstractmethod
    def predict(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit by weighted least squares and return (g at the points ``at``, its derivative by y [at, scales]).

        Args:
            x: Coordinates of the scales that are fitted.
            y: The coupling there.
            weight: Of each scale, positive.
            at: Coordinates to predict at.

        Raises:
            FitFailedError: If the curve cannot pass through such values.
        """


@dataclass(frozen=True)
class Fixed(Curve):
    """No beta function, dg/dx = 0: the coupling stands at a fixed point, or moves by less than can be seen."""

    name = "fixed point"
    parameters = 1

    def predict(self, x, y, weight, at):
        """Return the weighted mean."""
        gain = np.broadcast_to(weight / weight.sum(), (len(at), len(x)))
        return gain @ y, gain


@dataclass(frozen=True)
class Linear(Curve):
    """A constant beta function, dg/dx = b: the coupling is marginal and drifts."""

    name = "constant beta function"
    parameters = 2

    def predict(self, x, y, weight, at):
        """Fit a straight line."""
        return _least_squares(lambda t: np.stack([np.ones_like(t), t - x.mean()], 1), x, y, weight, at)


@dataclass(frozen=True)
class Scaling(Curve):
    """One scaling operator, dg/dx = y g: g = A e^(y x), a power of the length where x is its logarithm."""

    name = "scaling"
    parameters = 2

    def predict(self, x, y, weight, at):
        """Fit amplitude and exponent."""
        return _exponential(x, y, weight, at, floor=False)


@dataclass(frozen=True)
class Relaxation(Curve):
    """A linear beta function, dg/dx = y (g - g*): the coupling nears, or leaves, a fixed point g*."""

    name = "linear beta function"
    parameters = 3

    def predict(self, x, y, weight, at):
        """Fit fixed point, amplitude and exponent."""
        return _exponential(x, y, weight, at, floor=True)


@dataclass(frozen=True)
class LocalParabola(Curve):
    """No beta function, dg/dx changes with x itself: a parabola through the scales nearest to each place.

    A flow of one coupling alone is monotonic. This curve turns back, as couplings do that others act on; it stands
    beside the effective theory so that intervals know of it.
    """

    name = "local parabola"
    parameters = 3
    doubt = True

    def predict(self, x, y, weight, at):
        """Fit a parabola to the nearest scales of each place."""
        gain = np.zeros((len(at), len(x)))
        for place, row in zip(at, gain, strict=True):
            near = np.argsort(np.abs(x - place), kind="stable")[:NEAREST]
            powers = ((x[near] - place) / (np.ptp(x[near]) or 1.0))[:, None] ** np.arange(3)
            row[near] = _gain(powers, weight[near])[0]
        return gain @ y, gain


@dataclass(frozen=True, eq=False)
class Stated(Curve):
    """A theory that is known but for some parameters: g = function(x, parameters).

    Args:
        function: From coordinates [n] and parameters [p] to couplings [n]; smooth in the parameters.
        start: Where the search for the parameters starts, [p].
        title: What predictions call the theory.

    Raises:
        ConfigError: If there is no parameter to fit.
    """

    name = "stated theory"
    parameters = 1
    function: Callable[[np.ndarray, np.ndarray], np.ndarray]
    start: Sequence[float]
    title: str = "stated theory"

    def __post_init__(self):
        if not len(self.start):
            raise ConfigError("start", self.start, "at least one parameter.")

    def predict(self, x, y, weight, at):
        """Fit the parameters."""
        if len(x) < len(self.start):
            raise FitFailedError(f"{len(x)} scales do not determine {len(self.start)} parameters", "Give more scales.")
        root = np.sqrt(weight)
        start = np.asarray(self.start, dtype=float)
        with np.errstate(all="ignore"):
            found = least_squares(lambda theta: root * (self.function(x, theta) - y), start, x_scale="jac", method="lm")
        if not found.success or not np.isfinite(found.fun).all():
            raise FitFailedError(f"{self.title} did not converge ({found.message})", "Start nearer to the parameters.")
        here, there = (_jacobian(self.function, points, found.x) for points in (x, at))
        return self.function(at, found.x), there @ _gain(here, weight)


EFFECTIVE: tuple[Curve, ...] = (Fixed(), Linear(), Scaling(), Relaxation())
"""The effective theory where none is stated: beta functions of at most first degree, one a coupling."""
DOUBTED: tuple[Curve, ...] = (*EFFECTIVE, LocalParabola())
"""The same, and what may hold instead."""


# --- inner workings --------------------------------------------------------------------------------------------------


def _least_squares(columns, x, y, weight, at):
    """Fit what is linear in its parameters."""
    gain = _gain(columns(x), weight)
    return columns(at) @ (gain @ y), columns(at) @ gain


def _gain(J: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the derivative of the parameters by y, (J^T W J)^-1 J^T W [parameters, scales], at a good fit."""
    root = np.sqrt(weight)
    return np.linalg.pinv(J * root[:, None], rcond=1e-9) * root


def _exponential(x, y, weight, at, *, floor: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fit A e^(y x), plus a constant with ``floor``; for a given rate it is linear, so that one search is over one."""
    middle, width = x.mean(), float(np.ptp(x))
    if width == 0:
        raise FitFailedError("all scales lie at one point", "Give scales at several.")

    def columns(rate: float, t: np.ndarray) -> np.ndarray:
        growth = np.exp(rate * (t - middle))
        return np.stack([np.ones_like(t), growth], 1) if floor else growth[:, None]

    def miss(rates: np.ndarray) -> np.ndarray:
        growth, left = np.exp(rates[:, None] * (x - middle)), y
        if floor:
            growth, left = growth - (growth @ weight / weight.sum())[:, None], y - weight @ y / weight.sum()
        amplitude = growth @ (weight * left) / (growth**2 @ weight)
        return (left - amplitude[:, None] * growth) ** 2 @ weight

    rate = _best(miss, width)
    J = columns(rate, x)
    theta = _gain(J, weight) @ y

    def full(t: np.ndarray) -> np.ndarray:
        growth = np.exp(rate * (t - middle))
        return np.column_stack([columns(rate, t), theta[-1] * (t - middle) * growth])

    return columns(rate, at) @ theta, full(at) @ _gain(full(x), weight)


def _best(miss: Callable[[np.ndarray], np.ndarray], width: float) -> float:
    """Return the growth rate of least misfit: a grid over both signs, made finer about its best point."""
    rates = np.geomspace(*GROWTHS, GRID) / width
    rates = np.concatenate([-rates[::-1], rates])
    for _ in range(ZOOMS):
        k = int(miss(rates).argmin())
        best = rates[k]
        rates = np.linspace(rates[max(k - 1, 0)], rates[min(k + 1, len(rates) - 1)], GRID + 1)
    return float(best)


def _jacobian(function, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return the derivative of a theory by its parameters, by central differences [x, parameters]."""
    columns = []
    for k in range(len(theta)):
        step = np.zeros_like(theta)
        step[k] = STEP * max(abs(theta[k]), 1e-3)
        columns.append((function(x, theta + step) - function(x, theta - step)) / (2 * step[k]))
    return np.stack(columns, 1)
