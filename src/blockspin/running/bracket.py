"""Bracket: a fixed point between two values of a parameter, from lattices of two sizes."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student

from blockspin.errors import FitFailedError, ShapeError, TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.running.base import Running

STRAIGHT = 0.1
"""Level at which differences are refused to lie on a straight line."""


@dataclass(frozen=True, eq=False)
class Bracket:
    """Where a quantity that does not change with size at a fixed point stops to fall with size and begins to rise.

    Args:
        low: Last value of the parameter at which the sizes differ one way.
        high: First value at which they differ the other way.
        crossing: Where they agree, on a straight line through as many differences between low and high as lie on one.
    """

    low: float
    high: float
    crossing: Measurement


def bracket(larger: Running, smaller: Running, name: str, *, level: float = 0.05) -> Bracket:
    """Bracket a fixed point by a quantity of lattices of two sizes along one parameter.

    A cumulant ratio, a correlation length over the size, or any observable of the larger lattice coarse-grained once
    more than the smaller one (two-lattice matching). Signs are told by Student's t at ``level`` over the number of
    parameters, so that the bracket is wrong in at most that share of cases.

    Args:
        larger: Running along the parameter (a bare coupling), of the larger lattice.
        smaller: Of the smaller one, at the same values, from samples of its own.
        name: The quantity.
        level: Level of all signs together.

    Raises:
        ShapeError: If the two are not at the same values of the parameter, or the quantity is missing at one.
        TooFewSamplesError: If there are fewer than three values.
        FitFailedError: If there is no change of sign beyond errors, or more than one.

    Do not trust when:
        Values are so far apart that differences bend between them: only as many as lie on a line within errors are
        used, but two always do. Lattices are small: the crossing is shifted by corrections to scaling, which the error
        does not hold; follow it with size (``corrections``).

    Source:
        binder1981.
    """
    first, second = larger.select(names=[name]), smaller.select(names=[name])
    x = first.positions.numpy()
    if len(first) != len(second) or not np.array_equal(x, second.positions.numpy()):
        raise ShapeError("the two lattices were not measured at the same values of the parameter", "Select those.")
    if not bool((first.known() & second.known()).all()):
        raise ShapeError(f"{name} is missing, or has no error, at some value", "Select the others.")
    if len(x) < 3:
        raise TooFewSamplesError(f"{len(x)} values of the parameter give no bracket", "Measure at three or more.")
    D = (first.values - second.values)[:, 0].numpy()
    C = (first.covariance + second.covariance).numpy()
    dof = min(first.dof, second.dof)
    quantile = float(student.ppf(1 - level / len(x) / 2, dof))
    sign = np.where(np.abs(D) > quantile * np.sqrt(np.diag(C)), np.sign(D), 0)
    told = np.flatnonzero(sign)
    changes = np.flatnonzero(np.diff(sign[told]) != 0)
    if len(changes) != 1:
        raise FitFailedError(
            f"{name} of the two lattices changes order {len(changes)} times beyond errors",
            "Take more samples, or a range that holds one fixed point.",
        )
    between = np.arange(told[changes[0]], told[changes[0] + 1] + 1)
    near = _straight(between, x, D, C)
    where, error = _crossing(x[near], D[near], C[np.ix_(near, near)])
    how = f"crossing of two sizes on a line through {len(near)} values, delta method"
    unit = first.axis.unit
    return Bracket(float(x[between[0]]), float(x[between[-1]]), Measurement(where, error, unit, dof + 1, how, dof))


def _straight(between: np.ndarray, x: np.ndarray, D: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Return the values around the crossing on which differences are not refused to lie on a straight line."""
    near = between
    while len(near) > 2:
        part = C[np.ix_(near, near)]
        X = np.stack([np.ones(len(near)), x[near] - x[near].mean()], 1)
        weight = np.linalg.inv(part)
        rest = D[near] - X @ np.linalg.solve(X.T @ weight @ X, X.T @ weight @ D[near])
        if chi2.sf(rest @ weight @ rest, len(near) - 2) >= STRAIGHT:
            break
        where = _crossing(x[near], D[near], part)[0]
        near = near[1:] if where - x[near[0]] > x[near[-1]] - where else near[:-1]
    return near


def _crossing(x: np.ndarray, D: np.ndarray, C: np.ndarray) -> tuple[float, float]:
    """Return the zero of the weighted straight line through D(x), and its error."""
    X = np.stack([np.ones(len(x)), x - x.mean()], 1)
    weight = 1 / np.diag(C)
    A = np.linalg.solve(X.T * weight @ X, X.T * weight)
    level, slope = A @ D
    by = np.array([-1 / slope, level / slope**2])
    return float(x.mean() - level / slope), sqrt(float(by @ A @ C @ A.T @ by))
