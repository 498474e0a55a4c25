"""Tail: the maximum-likelihood power law above every x_min, and the x_min of least Kolmogorov distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blockspin.errors import ConstantUnitsError, NonFiniteError, ShapeError, TooFewSamplesError

LEAST = 3
"""Fewest values that a search makes sense on."""
FIRST_CUTS = 48
"""How many candidates are evaluated exactly before any is left out."""


@dataclass(frozen=True)
class Tail:
    r"""A power law :math:`p(x) = (\alpha - 1) x_\min^{\alpha - 1} x^{-\alpha}` above x_min.

    Args:
        alpha: The exponent, above 1.
        x_min: Where the law begins, in the unit of the values: the smallest value in the tail.
        count: How many values are in the tail.
        decades: log10 of the largest value over x_min.
        distance: Largest distance of the cumulative distributions over the tail.
    """

    alpha: float
    x_min: float
    count: int
    decades: float
    distance: float

    @property
    def textbook_error(self) -> float:
        """Standard error of alpha for independent values and known x_min: (alpha - 1) / sqrt(count)."""
        return (self.alpha - 1) / self.count**0.5


def sorted_positive(values: object) -> np.ndarray:
    """Return the values sorted, float64.

    Raises:
        ShapeError: If they are not one axis.
        NonFiniteError: If one is NaN or infinite.
        ConstantUnitsError: If one is zero or negative, or all are equal.
        TooFewSamplesError: If there are fewer than three.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise ShapeError(f"values of shape {x.shape} are no sample", "Give one axis.")
    if not np.isfinite(x).all():
        raise NonFiniteError(
            f"{int((~np.isfinite(x)).sum())} of {len(x)} values are NaN or infinite", "Leave them out."
        )
    if len(x) < LEAST:
        raise TooFewSamplesError(f"{len(x)} values have no tail", f"Give at least {LEAST}, better some hundred.")
    x = np.sort(x)
    if x[0] <= 0:
        below = int((x <= 0).sum())
        raise ConstantUnitsError(
            f"{below} of {len(x)} values are zero or negative", "A power law is of positive values."
        )
    if x[0] == x[-1]:
        raise ConstantUnitsError(f"all {len(x)} values equal {x[0]:g}", "A constant has no tail.")
    return x


def find_tail(values: object) -> Tail:
    """Return the power-law tail of positive values, x_min searched over all distinct values but the largest.

    The distance is that of clauset2009, of the fitted cumulative distribution from k / m at the k-th of the m values in
    the tail (k from 0). The search is exact: see ``least_distance``. Of equal distances the smallest x_min is taken.

    Raises:
        ShapeError: If values are not one axis.
        NonFiniteError: If one is NaN or infinite.
        ConstantUnitsError: If one is zero or negative, or all are equal.
        TooFewSamplesError: If there are fewer than three.
    """
    x = sorted_positive(values)
    logs = np.log(x)
    slopes = hill_slopes(logs)
    first, distance = least_distance(logs, slopes)
    return _tail(x, first, slopes[first], distance)


def tail_above(values: object, x_min: float) -> Tail:
    """Return the power law fitted above a given x_min, which stays as it is.

    Raises:
        TooFewSamplesError: If fewer than two distinct values are at or above it; otherwise as ``find_tail``.
    """
    x = sorted_positive(values)
    x = x[np.searchsorted(x, x_min) :]
    if len(x) < 2 or x[0] == x[-1]:
        raise TooFewSamplesError(f"{len(x)} values at or above x_min = {x_min:g} have no exponent", "Lower x_min.")
    logs = np.log(x) - np.log(x_min)
    slope = 1 / logs.mean()
    distance = float(np.abs(1 - np.exp(-slope * logs) - np.arange(len(x)) / len(x)).max())
    return Tail(1 + slope, x_min, len(x), float(logs[-1] / np.log(10)), distance)


def hill_slopes(logs: np.ndarray) -> np.ndarray:
    """Return alpha - 1 of the tail that begins at each of the sorted logarithms; 0 where it is no candidate.

    Candidates begin at the first of equal values and hold two distinct ones. The sums of logarithms over x_min are
    added up from the gaps, all of one sign, so that nothing cancels.
    """
    count = np.arange(len(logs), 0, -1)
    gaps = np.diff(logs)
    sums = np.append(np.cumsum((count[1:] * gaps)[::-1])[::-1], 0.0)
    candidate = np.append(True, gaps > 0) & (sums > 0)
    return np.divide(count, sums, out=np.zeros(len(logs)), where=candidate)


def least_distance(logs: np.ndarray, slopes: np.ndarray) -> tuple[int, float]:
    """Return the candidate of least distance and that distance, without evaluating most candidates in full.

    The distance is a maximum over the tail, so that its value at a few points is a lower bound. Points where a
    neighbouring candidate has its maximum make that bound tight. Candidates are evaluated in the order of their bounds
    until no bound lies below the best distance found: exact, and linear in memory.
    """
    candidates = np.flatnonzero(slopes)
    bounds, known = np.zeros(len(logs)), np.zeros(len(logs), dtype=bool)
    bounds[slopes == 0] = np.inf
    reach = max(2, len(candidates) // FIRST_CUTS)
    best, distance = -1, np.inf
    start = np.unique(np.linspace(0, len(candidates) - 1, min(FIRST_CUTS, len(candidates))).astype(int))
    queue = list(candidates[start])
    while queue:
        i = queue.pop()
        found, cuts = _distance(logs, slopes, i)
        known[i], bounds[i] = True, found
        if found < distance or (found == distance and i < best):
            best, distance = i, found
        _raise_bounds(bounds, known, logs, slopes, (i, reach, cuts))
        if not queue:
            reach = max(2, len(candidates) // (4 * FIRST_CUTS))
            i = int(np.where(known, np.inf, bounds).argmin())
            queue = [] if known[i] or bounds[i] > distance else [i]
    return int(best), float(distance)


def _distance(logs: np.ndarray, slopes: np.ndarray, i: int) -> tuple[float, tuple[int, int]]:
    """Return the distance of candidate i, and where the law lies furthest above and furthest below."""
    m = len(logs) - i
    gap = logs[i:] - logs[i]
    gap *= -slopes[i]
    np.exp(gap, out=gap)
    gap += np.arange(m) / m
    low, high = int(gap.argmin()), int(gap.argmax())
    return max(abs(1 - gap[low]), abs(1 - gap[high])), (i + low, i + high)


def _raise_bounds(bounds: np.ndarray, known: np.ndarray, logs: np.ndarray, slopes: np.ndarray, cut: tuple) -> None:
    """Raise the lower bounds of the candidates within ``reach`` of one that was evaluated, at its extreme points."""
    i, reach, points = cut
    for j in set(points):
        near = slice(max(0, i - reach), min(i + reach, j) + 1)
        if near.stop <= near.start:
            continue
        index = np.arange(near.start, near.stop)
        value = np.abs(1 - np.exp(-slopes[near] * (logs[j] - logs[near])) - (j - index) / (len(logs) - index))
        value[(slopes[near] == 0) | known[near]] = 0.0
        np.maximum(bounds[near], value, out=bounds[near])


def _tail(x: np.ndarray, first: int, slope: float, distance: float) -> Tail:
    return Tail(1 + float(slope), float(x[first]), len(x) - first, float(np.log10(x[-1] / x[first])), distance)
