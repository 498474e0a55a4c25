"""How sharply a curve changes in the logarithm of time, against the most that relaxations can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log

import numpy as np
import torch
from scipy.stats import norm
from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.flow import Flow
from blockspin.measurement import Measurement

NOT_SEEN = 1e-12
"""Differences below this share of the largest value of a curve are rounding."""
RATES, GRID_ERROR = 1000, 1e-4
"""Rates that are tried for the most that relaxations reach, and what that grid may miss of it."""
NARROW = 1.4
"""Smallest ratio of a window: a sharper change lies within such a one, and fewer looks are more telling."""
NORMAL_MAD = 0.6745
"""Median of the absolute value of a standard normal number."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One number along a flow.

    Args:
        steps: Positions, ascending.
        values: [positions].
        errors: One standard error each: as measured, or the scatter where that is larger.
        measured: Median of the measured errors.
        jitter: Scatter about neighbouring positions.
        dof: Degrees of freedom of the measured errors.
        unit: The unit of the values.
    """

    steps: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    measured: float
    jitter: float
    dof: float
    unit: str

    @property
    def positive(self) -> int:
        """Positions after the start."""
        return int((self.steps > 0).sum())

    @property
    def widest_gap(self) -> float:
        """The largest ratio of neighbouring positions after the start."""
        after = self.steps[self.steps > 0]
        return float((after[1:] / after[:-1]).max())


@dataclass(frozen=True, eq=False)
class Sharpest:
    """The window in which a curve goes furthest beyond relaxations, in units of its errors.

    Args:
        low: Its first position.
        high: Its last.
        share: Change within the window as a share of the curve's range.
        bound: The most that relaxations reach.
        excess: Change less bound times range, in units of the curve.
        chance: One-sided p-value of the excess, for one look.
        looks: How many windows were looked at.
        seen: The largest number of errors by which a step of the whole range would go beyond the bound.
        range: The range of the curve in units of its errors.
    """

    low: float
    high: float
    share: Measurement
    bound: float
    excess: Measurement
    chance: float
    looks: int
    seen: float
    range: float

    def verdict(self, level: float, looks: int) -> Verdict:
        """Return whether there is a transition, at a chance of false alarms for all looks together.

        It is not where a step of the whole range would have been seen, or where the curve does not move at all.
        """
        if self.chance * looks < level:
            return Verdict.YES
        limit = float(norm.isf(level / looks))
        return Verdict.NO if self.seen > limit or self.range < limit else Verdict.CANNOT_TELL

    def numbers(self) -> dict[str, Measurement]:
        """Return what was measured."""
        return {"share of the range": self.share, "excess over relaxations": self.excess}


@lru_cache(maxsize=64)
def windows(steps: tuple[float, ...], factor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return first and last index of every window of a ratio from 1.4 to ``factor``, and what relaxations reach.

    That is the largest share of its own observed range by which :math:`(1 - e^{-t/\tau})^2` changes, for any
    :math:`\tau`; it also holds for a superposition of one sign, and for :math:`1 - e^{-t/\tau}`, which is less sharp.

    Args:
        steps: All positions, ascending.
        factor: The largest ratio of the ends of a window.
    """
    s = np.array(steps)
    i, j = np.triu_indices(len(s), 1)
    kept = (s[i] > 0) & (s[j] <= factor * (1 + 1e-9) * s[i]) & (s[j] >= min(NARROW, factor) * s[i])
    i, j = i[kept], j[kept]
    bound = np.array([_most(s[b] / s[a], s[-1] / s[a], s[0] / s[a]) for a, b in zip(i, j, strict=True)])
    return i, j, bound


def _most(ratio: float, end: float, begin: float) -> float:
    """Return the largest change between 1 and ``ratio``, in units of time, over that between ``begin`` and ``end``."""
    rates = np.geomspace(1e-3 / end, 50, RATES)
    shares = _change(rates, ratio * rates) / _change(begin * rates, end * rates)
    early = (ratio**2 - 1) / (end**2 - begin**2)  # where all is still quadratic in time
    return min(1.0, max(early, float(shares.max())) * (1 + GRID_ERROR))


def _change(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (1 - exp(-b))^2 - (1 - exp(-a))^2 without cancellation."""
    return np.exp(-a) * -np.expm1(a - b) * (-np.expm1(-a) - np.expm1(-b))


def curve_of(flow: Flow, key: str) -> Curve | None:
    """Return one number along a flow, where it is a number with an error; None if nowhere."""
    rows = [(scale.position, scale.measurements[key]) for scale in flow if key in scale.measurements]
    rows = [(x, m) for x, m in rows if np.ndim(m.value) == 0 and np.isfinite([m.value, m.error]).all()]
    if len(rows) < 2:
        return None
    steps, values, errors = (np.array(c, float) for c in zip(*((x, m.value, m.error) for x, m in rows), strict=True))
    jitter = scatter(steps, values)
    floor = NOT_SEEN * float(np.abs(values).max())
    found = np.maximum(np.maximum(errors, jitter), max(floor, 1e-300))
    dof = min(m.dof for _, m in rows)
    return Curve(steps, values, found, float(np.median(errors)), jitter, dof, rows[0][1].unit)


def scatter(steps: np.ndarray, values: np.ndarray) -> float:
    """Return the scatter of points about the line through their neighbours, in log(step), by the median of its size.

    What bends smoothly is counted as scatter too, so that it is rather too large.
    """
    x, y = np.log(steps[steps > 0]), values[steps > 0]
    if len(x) < 3:
        return 0.0
    right = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    off = y[1:-1] - (1 - right) * y[:-2] - right * y[2:]
    return float(np.median(np.abs(off) / np.sqrt(1 + right**2 + (1 - right) ** 2)) / NORMAL_MAD)


def sharpest(curve: Curve, factor: float) -> Sharpest:
    """Return the window of at most so large a ratio in which a curve goes furthest beyond relaxations."""
    i, j, bound = windows(tuple(curve.steps.tolist()), factor)
    y, e = curve.values, curve.errors
    top, bottom = int(y.argmax()), int(y.argmin())
    span, of_span = float(y[top] - y[bottom]), float(np.hypot(e[top], e[bottom]))
    if not len(i) or span <= NOT_SEEN * float(np.abs(y).max()):
        return _nothing(curve, len(i))
    change, own = np.abs(y[j] - y[i]), np.hypot(e[i], e[j])
    error = np.hypot(own, bound * of_span)
    k = int(((change - bound * span) / error).argmax())
    excess = float(change[k] - bound[k] * span)
    count, how = float(len(y)), f"largest of {len(i)} windows; errors as if independent from step to step"
    share = Measurement(change[k] / span, own[k] / span, "1", count, how, curve.dof)
    beyond = Measurement(excess, error[k], curve.unit, count, how, curve.dof)
    z = excess / float(error[k])
    chance = float(student.sf(z, curve.dof) if np.isfinite(curve.dof) else norm.sf(z))
    seen = float(((1 - bound) * span / error).max()) if curve.widest_gap <= factor else 0.0
    ends = float(curve.steps[i[k]]), float(curve.steps[j[k]])
    return Sharpest(*ends, share, float(bound[k]), beyond, chance, len(i), seen, span / of_span)


def _nothing(curve: Curve, looks: int) -> Sharpest:
    """Return what is found on a curve that does not change, or whose positions lie too far apart."""
    ends = float(curve.steps[0]), float(curve.steps[-1])
    none = Measurement(0.0, float(np.median(curve.errors)), curve.unit, how="no window to look at")
    still = 0.0 if looks else inf
    return Sharpest(*ends, Measurement(0.0, 0.0, how=none.how), 1.0, none, 1.0, max(looks, 1), 0.0, still)


def false_alarms(
    curves: Mapping[str, Curve], factor: float, level: float, draws: int, generator: torch.Generator
) -> Measurement:
    """Return how often relaxations of the same ranges, steps and errors as some curves raise an alarm on any of them.

    Each draw takes one rate for all curves, so that the worst ones are among them.
    """
    alarms = 0
    for _ in range(draws):
        place = float(torch.rand((), generator=generator, dtype=torch.float64))
        found = [sharpest(_relaxation(curve, place, generator), factor) for curve in curves.values()]
        looks = sum(item.looks for item in found)
        alarms += any(item.chance * looks < level for item in found)
    share = (alarms + 1) / (draws + 2)
    how = f"{draws} draws, one rate each; mean and error of a uniform prior"
    return Measurement(alarms / draws, (share * (1 - share) / draws) ** 0.5, "1", float(draws), how)


def _relaxation(curve: Curve, place: float, generator: torch.Generator) -> Curve:
    """Return a squared relaxation of the range of a curve, whose time lies at a share of its logarithmic steps."""
    first, last = log(curve.steps[curve.steps > 0][0]), log(curve.steps[-1])
    time = exp(first + place * (last - first))
    span = float(curve.values.max() - curve.values.min())
    noise = torch.randn(len(curve.steps), generator=generator, dtype=torch.float64).numpy()
    values = span * (1 - np.exp(-curve.steps / time)) ** 2 + curve.errors * noise
    return Curve(curve.steps, values, curve.errors, curve.measured, curve.jitter, curve.dof, curve.unit)
