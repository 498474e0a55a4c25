"""Fixed points: where a fitted beta function vanishes, with regions of confidence, or that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.ndimage import label
from scipy.optimize import brentq, root
from scipy.stats import f as fisher
from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.errors import ConfigError
from blockspin.measurement import Measurement
from blockspin.running.beta_function import BetaFunction

GRID = {1: 4001, 2: 81, 3: 25}
"""Points along each axis of the grid over the measured range, by number of couplings."""

DRAWS = 400
"""Beta functions drawn around the fitted one."""


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A zero of a beta function.

    Args:
        names: The couplings.
        units: Their units.
        values: g*, [couplings].
        covariance: By the delta method, [couplings, couplings].
        dof: Its degrees of freedom.
        region: For each coupling the ends of the confidence region (its projection).
        level: Confidence of the region.
        bounded: Whether the region ends within the measured range.
        share: Share of beta functions drawn around the fitted one that have a zero within the region.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    dof: float
    region: tuple[tuple[float, float], ...]
    level: float
    bounded: bool
    share: float

    def measurement(self, name: str) -> Measurement:
        """Return one coupling with its error by the delta method."""
        k = self.names.index(name)
        how = "zero of the fitted beta function, delta method"
        error = float(np.sqrt(self.covariance[k, k]))
        return Measurement(float(self.values[k]), error, self.units[k], self.dof + 1, how, self.dof)


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """The fixed points in the measured range.

    Args:
        points: Those found; none is an ordinary answer.
        verdict: Yes if one is bounded on all sides, no if beta differs from zero everywhere, else cannot tell.
        statement: The answer in a sentence.
    """

    points: tuple[FixedPoint, ...]
    verdict: Verdict
    statement: str


def fixed_points(beta: BetaFunction, *, generator: torch.Generator, level: float = 0.95) -> FixedPoints:
    r"""Find the zeros of a beta function within the range in which couplings were measured.

    The region of confidence holds all g at which zero is not refused,

    .. math:: \beta(g)^T C_\beta(g)^{-1} \beta(g) \le K F_{K, \nu}(\mathrm{level}),

    which is Fieller's and needs no linearisation; it may reach the end of the range, or hold no zero of the fit at all.

    Args:
        beta: Of one to three couplings.
        generator: Randomness of the beta functions that are drawn around it.
        level: Confidence.

    Raises:
        ConfigError: If beta has more than three couplings, or the level is not between 0 and 1.

    Do not trust when:
        The polynomial bends within the region: widen the order by hand and compare.

    Source:
        fieller1954.
    """
    K = len(beta.names)
    if K not in GRID:
        raise ConfigError("couplings", K, "one to three; fit those that act on each other alone.")
    if not 0 < level < 1:
        raise ConfigError("level", level, "a number between 0 and 1.")
    axes = [np.linspace(low, high, GRID[K]) for low, high in zip(beta.corners.min(0), beta.corners.max(0), strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    value, C = beta.everywhere(grid)
    statistic = np.einsum("...i,...i->...", value, np.linalg.solve(C, value[..., None])[..., 0])
    allowed = statistic <= K * _quantile(level, K, beta.dof)
    zeros = [g for g in (_on_line(beta, axes[0], value) if K == 1 else _in_space(beta, axes)) if beta.inside(g)]
    parts = label(allowed, structure=np.ones((3,) * K))[0]
    drawn = beta.drawn(DRAWS, generator=generator)
    points = tuple(_point(beta, g, axes, parts, level, drawn) for g in zeros)
    return _answered(beta, points, bool(allowed.any()))


def _answered(beta: BetaFunction, points: tuple[FixedPoint, ...], possible: bool) -> FixedPoints:
    names = ", ".join(beta.names)
    bounded = [point for point in points if point.bounded]
    if bounded:
        shown = "; ".join(", ".join(f"{n} = {p.measurement(n)}" for n in beta.names) for p in bounded)
        return FixedPoints(points, Verdict.YES, f"{names}: fixed at {shown}")
    if possible or points:
        return FixedPoints(points, Verdict.CANNOT_TELL, f"{names}: a fixed point in the measured range is not excluded")
    return FixedPoints(points, Verdict.NO, f"{names}: no fixed point in the measured range")


def _point(
    beta: BetaFunction, g: np.ndarray, axes: list[np.ndarray], parts: np.ndarray, level: float, drawn: np.ndarray
) -> FixedPoint:
    M = beta.jacobian(g)
    inverse = np.linalg.inv(M)
    C = inverse @ beta.everywhere(g)[1] @ inverse.T
    half = float(student.ppf(0.5 + level / 2, beta.dof)) * np.sqrt(np.diag(C))
    nearest = tuple(int(np.abs(axis - x).argmin()) for axis, x in zip(axes, g, strict=True))
    cells = np.argwhere(parts == parts[nearest]) if parts[nearest] else np.empty((0, len(g)), dtype=int)
    if len(cells) > 2 ** len(g):
        ends = [(axis[cells[:, k].min()], axis[cells[:, k].max()]) for k, axis in enumerate(axes)]
        bounded = bool((cells.min(0) > 0).all() and (cells.max(0) < len(axes[0]) - 1).all())
    else:  # the region is smaller than the cells
        ends = [(x - h, x + h) for x, h in zip(g, half, strict=True)]
        bounded = all(axis[0] < low and high < axis[-1] for axis, (low, high) in zip(axes, ends, strict=True))
    region = tuple(
        (min(float(low), float(x)), max(float(high), float(x))) for (low, high), x in zip(ends, g, strict=True)
    )
    low, high = np.array(region).T
    again = [_newton(beta, g, theta) for theta in drawn]
    share = float(np.mean([bool(((low <= x) & (x <= high)).all()) for x in again]))
    return FixedPoint(beta.names, beta.units, g, C, beta.dof, region, level, bounded, share)


def _newton(beta: BetaFunction, g: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return the zero of another beta function near g, NaN where there is none."""
    x = g.copy()
    for _ in range(20):
        M = beta.jacobian(x, theta)
        if not np.isfinite(M).all() or abs(np.linalg.det(M)) == 0:
            return np.full_like(g, np.nan)
        step = np.linalg.solve(M, theta @ beta.basis.at(x))
        x = x - step
        if np.max(np.abs(step) / beta.basis.width) < 1e-10:
            return x
    return np.full_like(g, np.nan)


def _on_line(beta: BetaFunction, axis: np.ndarray, value: np.ndarray) -> list[np.ndarray]:
    def scalar(x: float) -> float:
        return float((beta.theta @ beta.basis.at(np.array([x])))[0])

    at = np.flatnonzero(np.sign(value[:-1, 0]) * np.sign(value[1:, 0]) < 0)
    exact = [np.array([axis[k]]) for k in np.flatnonzero(value[:, 0] == 0)]
    return exact + [np.array([float(brentq(scalar, axis[k], axis[k + 1]))]) for k in at]


def _in_space(beta: BetaFunction, axes: list[np.ndarray]) -> list[np.ndarray]:
    zeros: list[np.ndarray] = []
    for start in product(*[axis[:: len(axis) // 6] for axis in axes]):
        found = root(lambda x: beta.theta @ beta.basis.at(x), np.array(start), jac=beta.jacobian)
        apart = all(np.max(np.abs(found.x - other) / beta.basis.width) > 1e-6 for other in zeros)
        if found.success and apart:
            zeros.append(found.x)
    return zeros


def _quantile(level: float, K: int, dof: float) -> float:
    return float(fisher.ppf(level, K, dof if np.isfinite(dof) else 1e9))
