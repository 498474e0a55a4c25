"""Lines: a straight line through numbers with errors, and how well it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from blockspin.measurement import Measurement


@dataclass(frozen=True, eq=False)
class Line:
    """Intercept and slope of a weighted least-squares line.

    Args:
        intercept: At zero.
        slope: Per unit of the axis.
        chance: p-value of the squared residuals; 1 where two points leave none.
        points: How many numbers it goes through.
    """

    intercept: Measurement
    slope: Measurement
    chance: float
    points: int


def line(x: Sequence[float], numbers: Sequence[Measurement]) -> Line:
    """Fit numbers with known errors that are taken as independent, at two different places at least.

    Degrees of freedom are the fewest of the numbers' errors.
    """
    at, value, error = (np.asarray(c, float) for c in (x, [m.value for m in numbers], [m.error for m in numbers]))
    error = np.maximum(error, 1e-12 * np.abs(value).max() + 1e-300)  # an exact number still has a finite weight
    design = np.stack([np.ones_like(at), at], 1) / error[:, None]
    spread = np.linalg.inv(design.T @ design)
    found = spread @ design.T @ (value / error)
    left = float(np.square(value / error - design @ found).sum())
    dof, n_eff = min(m.dof for m in numbers), min(m.n_eff for m in numbers)
    how = f"weighted least squares through {len(at)} numbers, errors taken as independent"
    unit = numbers[0].unit
    intercept, slope = (Measurement(found[k], spread[k, k] ** 0.5, unit, n_eff, how, dof) for k in (0, 1))
    return Line(intercept, slope, float(chi2.sf(left, len(at) - 2)) if len(at) > 2 else 1.0, len(at))
