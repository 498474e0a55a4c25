"""Data collapse: curves of several sizes that fall on one when rescaled, with errors of what rescales them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.interpolate import make_lsq_spline
from scipy.optimize import minimize

from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, TooFewSamplesError
from blockspin.measurement import Measurement

RESAMPLES = 100
"""Simulated data sets behind errors and p-value: errors are then known to 7 %."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity of one system size at several values of a parameter.

    Args:
        x: The parameter (temperature, coupling), ascending.
        y: The quantity.
        error: Its errors, positive, independent between points.
    """

    x: np.ndarray
    y: np.ndarray
    error: np.ndarray

    def __post_init__(self):
        for name in ("x", "y", "error"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))


@dataclass(frozen=True, eq=False)
class Collapse:
    r"""The rescaling :math:`(x - x_c) L^{1/\nu},\ y L^{-\zeta/\nu}` that makes curves fall on one.

    Args:
        critical: x_c, like the others less the bias of the minimum that simulated data sets show.
        nu: Correlation-length exponent.
        zeta: Exponent of the quantity: it scales as L^(zeta / nu) at x_c.
        minimum: (x_c, nu, zeta) at the least S itself, as packages of the field report it.
        quality: S of Houdayer and Hartmann: about 1 for a collapse within errors.
        p_value: Probability of a larger S if curves did collapse on the smooth master curve.
        one_more: Ranges of (x_c, nu, zeta) along which S stays below its least value plus one, the others held.
        covariance: Of (x_c, nu, zeta), from simulated data sets; rows of parameters that were held are zero.
        master: Points of the collapsed data: (rescaled x, rescaled y, error), in ascending x.
    """

    critical: Measurement
    nu: Measurement
    zeta: Measurement
    minimum: tuple[float, float, float]
    quality: float
    p_value: float
    one_more: tuple[tuple[float, float], ...]
    covariance: np.ndarray
    master: tuple[np.ndarray, np.ndarray, np.ndarray] = field(repr=False)


def collapse(
    curves: Mapping[float, Curve],
    start: tuple[float, float, float],
    *,
    generator: torch.Generator,
    fixed: tuple[str, ...] = (),
    window: float = np.inf,
    resamples: int = RESAMPLES,
) -> Collapse:
    r"""Find the critical point and exponents for which curves of several sizes collapse.

    .. math:: S = \frac1N \sum_{ij} \frac{(y_{ij} - Y_{ij})^2}{dy_{ij}^2 + dY_{ij}^2}

    with the master curve Y at each point the straight line through the neighbouring points of all other sizes
    (weighted least squares) and dY its error; points without such neighbours do not count. Minimised by the simplex
    method from the given start. Data sets simulated from a smooth master curve with the points' errors, each minimised
    again, give the errors (their scatter) and the bias of the minimum, which is taken out: straight lines between
    points of a bent curve shift it by more than the errors where points are sparse. S + 1 is given beside them.

    Args:
        curves: By size L > 0, at least three.
        start: Guess of (x_c, nu, zeta); a guess far off may lead to another minimum, which the p-value then tells.
        generator: Randomness of the simulated data sets.
        fixed: Names of what is held at its guess, of "critical", "nu", "zeta" (zeta = 0 for dimensionless ratios).
        window: Points further than this from x_c, in rescaled x at the guess, are left out: scaling holds near x_c.
        resamples: Simulated data sets.

    Raises:
        TooFewSamplesError: If there are fewer than three sizes, or fewer than four points at one within the window.
        NonFiniteError: If a value is not finite or an error not positive.
        ConfigError: If a size, the start or a name cannot be used.
        FitFailedError: If curves do not overlap once rescaled, or the minimum is not determined.

    Do not trust when:
        The p-value is small: corrections to scaling exceed the errors, and the exponents are effective ones. Leave out
        the smallest sizes and see whether they move. Points of one size share samples (histogram reweighting): errors
        are then too small.

    Source:
        houdayer2004 for S, bhattacharjee2001 for the collapse; S + 1 as in melchert2009.
    """
    names = ("critical", "nu", "zeta")
    guess = np.asarray(start, dtype=float)
    points = _Points.of(curves, guess, window)
    unknown = [name for name in fixed if name not in names]
    if unknown or len(set(fixed)) == 3:
        raise ConfigError("fixed", fixed, f"some but not all of {names}.")
    free = np.array([name not in fixed for name in names])
    p, least = _minimised(points, guess, free)
    x, y, error = points.rescaled(p)
    master = _smooth(x, y, error)
    back = points.size ** (p[2] / p[1])
    noise = torch.randn(resamples, len(y), generator=generator, dtype=torch.float64).numpy()
    again = [_minimised(points.replaced((master + error * z) * back), guess, free) for z in noise]
    found = np.array([q for q, _ in again])
    C = np.cov(found.T) * (1 + 1 / resamples)
    best = 2 * p - found.mean(0)
    p_value = (1 + sum(value >= least for _, value in again)) / (1 + resamples)
    how = f"collapse of {len(curves)} sizes, {resamples} simulated data sets"
    errors = np.sqrt(np.diag(C))
    critical, nu, zeta = (Measurement(best[k], errors[k], "1", len(y), how if free[k] else "held") for k in range(3))
    order = np.argsort(x)
    ranges = tuple(_one_more(points, p, least, k) if free[k] else (p[k], p[k]) for k in range(3))
    minimum = (float(p[0]), float(p[1]), float(p[2]))
    return Collapse(critical, nu, zeta, minimum, least, p_value, ranges, C, (x[order], y[order], error[order]))


@dataclass(frozen=True, eq=False)
class _Points:
    """All points of all sizes; points of one size are consecutive, in ascending x."""

    size: np.ndarray
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray
    member: np.ndarray

    @classmethod
    def of(cls, curves: Mapping[float, Curve], start: np.ndarray, window: float) -> _Points:
        if len(curves) < 3:
            raise TooFewSamplesError(f"{len(curves)} sizes do not determine a collapse", "Give at least three.")
        if start.shape != (3,) or not np.isfinite(start).all() or start[1] <= 0 or min(curves) <= 0:
            raise ConfigError("start", start.tolist(), "finite (x_c, nu > 0, zeta), and sizes above 0.")
        rows = []
        for k, (L, curve) in enumerate(sorted(curves.items())):
            if not len(curve.x) == len(curve.y) == len(curve.error) or (np.diff(curve.x) <= 0).any():
                raise ConfigError("curves", L, "x ascending, with as many values and errors.")
            if not (np.isfinite([curve.x, curve.y, curve.error]).all() and (curve.error > 0).all()):
                raise NonFiniteError(f"a value at size {L:g} is not finite, or an error not positive", "Leave it out.")
            kept = np.abs(curve.x - start[0]) * L ** (1 / start[1]) <= window
            if kept.sum() < 4:
                raise TooFewSamplesError(f"{kept.sum()} points of size {L:g} lie in the window", "Give at least four.")
            ones = np.ones(int(kept.sum()))
            rows.append((L * ones, curve.x[kept], curve.y[kept], curve.error[kept], k * ones))
        size, x, y, error, member = (np.concatenate(column) for column in zip(*rows, strict=True))
        return cls(size, x, y, error, member.astype(int))

    def replaced(self, y: np.ndarray) -> _Points:
        return _Points(self.size, self.x, y, self.error, self.member)

    def rescaled(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shrink = self.size ** (-p[2] / p[1])
        return (self.x - p[0]) * self.size ** (1 / p[1]), self.y * shrink, self.error * shrink

    def quality(self, p: np.ndarray) -> float:
        """Return S, infinite where fewer than half of the points have a master curve."""
        if not p[1] > 0:
            return np.inf
        with np.errstate(all="ignore"):
            x, y, error = self.rescaled(p)
            K = np.zeros((5, len(x)))  # sums of w, w x, w y, w x^2, w x y over the neighbours of each point
            for k in range(self.member[-1] + 1):
                own = np.flatnonzero(self.member == k)
                at = np.searchsorted(x[own], x)
                good = (at > 0) & (at < len(own)) & (self.member != k)
                for side in (own[at[good] - 1], own[at[good]]):
                    w, dx = error[side] ** -2.0, x[side] - x[good]
                    K[:, good] += w * np.stack([np.ones(len(w)), dx, y[side], dx**2, dx * y[side]])
            determinant = K[0] * K[3] - K[1] ** 2
            Y, variance = (K[3] * K[2] - K[1] * K[4]) / determinant, K[3] / determinant
            terms = (y - Y) ** 2 / (error**2 + variance)
        used = (K[0] > 0) & np.isfinite(terms)
        return float(terms[used].mean()) if used.sum() >= len(x) / 2 else np.inf


def _minimised(points: _Points, start: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the minimum of S near a start; a simplex may have collapsed too early, so that it is opened again."""
    reach = float(np.ptp(points.x))
    step = np.array([0.05 * reach, 0.1 * start[1], 0.1 * max(abs(start[2]), 0.1 * start[1])])[free]

    def moved(u: np.ndarray) -> np.ndarray:
        p = start.copy()
        p[free] += step * u
        return p

    u = np.zeros(len(step))
    if not np.isfinite(points.quality(moved(u))):
        raise FitFailedError("curves do not overlap once rescaled by the guess", "Guess nearer to the critical point.")
    for shrink in (1.0, 0.2):
        simplex = np.concatenate([u[None], u + shrink * np.eye(len(u))])
        options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-5, "maxfev": 2000}
        found = minimize(lambda v: points.quality(moved(v)), u, method="Nelder-Mead", options=options)
        u = found.x
    if not found.success or not np.isfinite(found.fun):
        raise FitFailedError(f"the quality of the collapse has no minimum: {found.message}", "Give another start.")
    return moved(u), float(found.fun)


def _smooth(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return a cubic spline through the collapsed points, with knots at quantiles, at each of them."""
    order = np.argsort(x, kind="stable")
    spread = x[order] + 1e-12 * np.ptp(x) * np.arange(len(x)) / len(x)  # equal x would be refused
    inner = np.quantile(spread, np.linspace(0, 1, max(2, min(12, len(x) // 6)))[1:-1])
    knots = np.concatenate([[spread[0]] * 4, inner, [spread[-1]] * 4])
    spline = make_lsq_spline(spread, y[order], knots, k=3, w=1 / error[order])
    smooth = np.empty_like(y)
    smooth[order] = spline(spread)
    return smooth


def _one_more(points: _Points, p: np.ndarray, least: float, k: int) -> tuple[float, float]:
    """Return how far parameter k can be moved either way before S exceeds its least value by one."""
    ends = []
    for sign in (-1, 1):
        near, step = 0.0, 1e-3 * max(abs(p[k]), 1e-2)
        while step < 1e3 * max(abs(p[k]), 1) and points.quality(_moved(p, k, sign * step)) < least + 1:
            near, step = step, 2 * step
        for _ in range(30):
            middle = (near + step) / 2
            near, step = (middle, step) if points.quality(_moved(p, k, sign * middle)) < least + 1 else (near, middle)
        ends.append(float(p[k] + sign * near))
    return ends[0], ends[1]


def _moved(p: np.ndarray, k: int, shift: float) -> np.ndarray:
    q = p.copy()
    q[k] += shift
    return q
