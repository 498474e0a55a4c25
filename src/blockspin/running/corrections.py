"""Corrections: numbers at several sizes extrapolated to infinite size, with what corrections to scaling leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import t as student

from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, TooFewSamplesError
from blockspin.running._constrained import working
from blockspin.running.base import Running

Interval = tuple[float, float]
EXPONENTS = (0.25, 4.0)
"""Exponents of corrections thought possible: slower ones cannot be told from a drift, faster ones from none."""

GRID = 301

MISFIT, NEEDED = 0.01, 0.05
"""Levels at which the law, and a constant, are refused."""


@dataclass(frozen=True, eq=False)
class Extrapolation:
    r"""A fit of :math:`y(L) = y_\infty + a L^{-\omega}`.

    Args:
        limit: y at infinite size: best fit and interval.
        amplitude: Best fit of a.
        exponent: omega of the best fit and its interval, within the exponents thought possible.
        needed: Whether a constant without correction is refused, at the level of 5 %.
        constant: The mean without correction and its error, for comparison.
        level: Confidence of the intervals.
        p_value: Probability of a worse misfit if the law were true.
        sizes: The sizes.
    """

    limit: tuple[float, Interval]
    amplitude: float
    exponent: tuple[float, Interval]
    needed: bool
    constant: tuple[float, float]
    level: float
    p_value: float
    sizes: tuple[float, ...]
    profile: _Profile

    def predict(self, size: float) -> tuple[float, Interval]:
        """Return y at another size with its interval: larger sizes widen toward that of the limit.

        Raises:
            ConfigError: If the size is not positive.
        """
        if not size > 0:
            raise ConfigError("size", size, "a positive number.")
        return self.profile.interval(size)


def extrapolate(
    sizes: Sequence[float],
    values: Sequence[float],
    covariance: np.ndarray,
    *,
    dof: float = np.inf,
    exponents: Interval = EXPONENTS,
    level: float = 0.95,
) -> Extrapolation:
    r"""Extrapolate numbers measured at several sizes (widths, contexts, sample counts, lattices) to infinite size.

    Intervals hold the values at which some exponent in the range, with its best amplitude, fits within the quantile of
    the best fit (profile): what the data do not say about the correction widens them, also where no correction is seen.

    Args:
        sizes: L > 0, different from each other.
        values: y(L).
        covariance: Of the values, [sizes, sizes]; diagonal for independent runs.
        dof: Its degrees of freedom.
        exponents: Least and largest omega; equal where theory knows it.
        level: Confidence.

    Raises:
        TooFewSamplesError: If there are fewer than four sizes (three where omega is known).
        ConfigError: If sizes are not positive and different, or the exponents are not 0 < least <= largest.
        NonFiniteError: If a value or error is not finite, or an error is zero.
        FitFailedError: If no such law fits at the level of 1 %.

    Do not trust when:
        Sizes span less than a factor of four, or a second correction is as large as the first: the p-value sees only
        what exceeds the noise. The limit lies beyond omega's range.

    Source:
        ferrenberg2018 for the practice in lattice models.
    """
    L, y, C = (np.asarray(x, dtype=float) for x in (sizes, values, covariance))
    _check(L, y, C, exponents)
    profile = _Profile.of(L, y, C, dof, np.geomspace(*exponents, GRID if exponents[1] > exponents[0] else 1), level)
    best = int(np.argmin(profile.misfit))
    spare = len(L) - (2 if best in (0, len(profile.omega) - 1) else 3)  # at an end of its range omega was not fitted
    p_value = _tail(profile.least / spare, spare, dof)
    if p_value < MISFIT:
        raise FitFailedError(
            f"no single power of 1/L corrects {len(L)} sizes (p = {p_value:.2g})", "Leave out the smallest sizes."
        )
    mean, error, misfit = _constant(y, C, profile.weight)
    needed = _tail(misfit / (len(L) - 1), len(L) - 1, dof) < NEEDED
    limit = profile.interval(np.inf)
    possible = profile.omega[profile.misfit - profile.least <= profile.threshold]
    exponent = float(profile.omega[best]), (float(possible.min()), float(possible.max()))
    about = (needed, (mean, error), level, p_value, tuple(float(x) for x in L))
    return Extrapolation(limit, float(profile.theta[best, 1]), exponent, *about, profile)


def extrapolate_running(
    running: Running, name: str, *, exponents: Interval = EXPONENTS, level: float = 0.95
) -> Extrapolation:
    """Extrapolate one coupling along an axis of sizes (positions are L): width, context length, sample count.

    Raises:
        TooFewSamplesError: As ``extrapolate``.
        NonFiniteError: Where the coupling does not exist at a scale.
    """
    part = running.select(names=[name])
    C = part.covariance.numpy()
    return extrapolate(
        part.positions.tolist(), part.values[:, 0].tolist(), C, dof=part.dof, exponents=exponents, level=level
    )


@dataclass(frozen=True, eq=False)
class _Profile:
    """The best straight law at every exponent: y = theta_0 + theta_1 (L / L_0)^-omega."""

    omega: np.ndarray
    theta: np.ndarray
    covariance: np.ndarray
    misfit: np.ndarray
    weight: np.ndarray
    middle: float
    threshold: float

    @classmethod
    def of(cls, L: np.ndarray, y: np.ndarray, C: np.ndarray, dof: float, omega: np.ndarray, level: float) -> _Profile:
        W = working(C, dof, len(L))
        weight = np.linalg.inv(W)
        middle = float(np.exp(np.log(L).mean()))
        X = np.stack([np.ones((len(omega), len(L))), (L / middle) ** -omega[:, None]], -1)
        normal = np.swapaxes(X, 1, 2) @ weight @ X
        A = np.linalg.solve(normal, np.swapaxes(X, 1, 2) @ weight)
        theta = A @ y
        rest = y - np.einsum("oli,oi->ol", X, theta)
        misfit = np.einsum("ol,lk,ok->o", rest, weight, rest)
        threshold = float(student.ppf(0.5 + level / 2, dof)) ** 2
        return cls(omega, theta, A @ C @ np.swapaxes(A, 1, 2), misfit, weight, middle, threshold)

    @property
    def least(self) -> float:
        """Misfit of the best law."""
        return float(self.misfit.min())

    def interval(self, size: float) -> tuple[float, Interval]:
        """Return y at a size by the best law, and the values that some law gives within the threshold."""
        x = np.stack(
            [np.ones_like(self.omega), (size / self.middle) ** -self.omega if np.isfinite(size) else 0 * self.omega], -1
        )
        at = (x * self.theta).sum(1)
        spread = np.sqrt(np.einsum("oi,oij,oj->o", x, self.covariance, x))
        left = self.threshold - (self.misfit - self.least)
        inside = left >= 0
        half = spread[inside] * np.sqrt(left[inside])
        best = float(at[np.argmin(self.misfit)])
        return best, (float((at[inside] - half).min()), float((at[inside] + half).max()))


def _constant(y: np.ndarray, C: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    a = weight.sum(0) / weight.sum()
    mean = float(a @ y)
    rest = y - mean
    return mean, float(np.sqrt(a @ C @ a)), float(rest @ weight @ rest)


def _tail(statistic: float, spare: int, dof: float) -> float:
    return float(fisher.sf(statistic, spare, dof if np.isfinite(dof) else 1e9))


def _check(L: np.ndarray, y: np.ndarray, C: np.ndarray, exponents: Interval) -> None:
    if not 0 < exponents[0] <= exponents[1]:
        raise ConfigError("exponents", exponents, "0 < least <= largest.")
    need = 3 if exponents[0] == exponents[1] else 4
    if len(L) < need:
        raise TooFewSamplesError(f"{len(L)} sizes do not determine a correction to scaling", f"Give at least {need}.")
    if not (L > 0).all() or len(np.unique(L)) < len(L) or y.shape != L.shape or C.shape != (len(L), len(L)):
        raise ConfigError("sizes", L.tolist(), "positive sizes, each once, with one value and one row of covariance.")
    if not (np.isfinite(y).all() and np.isfinite(C).all() and (np.diag(C) > 0).all()):
        raise NonFiniteError("a value or an error is NaN, infinite, or an error zero", "Leave the size out.")
