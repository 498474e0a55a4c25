"""Comparison: a measured flow beside a theory's, scale by scale, with joint errors and all looks counted."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan, sqrt

import numpy as np
from scipy.stats import t as student

from blockspin.errors import AlignmentError
from blockspin.flow import Flow
from blockspin.measurement import Measurement, holm

ROUNDING = 1e-9
"""Numbers without errors agree if they do to this share of the larger."""


@dataclass(frozen=True, eq=False)
class Departure:
    """One number at one scale, and what theory says that it is.

    Args:
        label: The scale.
        position: Where it lies on the axis.
        key: "observable/quantity".
        measured: What was found; of an array the entry that is least likely under the theory.
        expected: What theory says, with its own error (0 where it is exact).
        chance: Two-sided p-value of the difference; of an array that of its entry times the number of entries. NaN
            where there is no error.
        adjusted: The same after Holm's correction for all numbers that were compared.
    """

    label: str
    position: float
    key: str
    measured: Measurement
    expected: Measurement
    chance: float
    adjusted: float = nan

    @property
    def difference(self) -> Measurement:
        """Measured less expected, with the joint error."""
        m = self.measured
        error = joint_error(m, self.expected)
        dof = min(m.dof, self.expected.dof)
        return Measurement(m.value - self.expected.value, error, m.unit, m.n_eff, f"{m.how}; less theory", dof)

    @property
    def z(self) -> float:
        """The difference in joint errors."""
        d = self.difference
        return d.value / d.error if d.error > 0 else 0.0 if d.value == 0 else inf

    def departs(self, level: float) -> bool:
        """Whether it differs from theory by more than errors and the number of looks allow."""
        return self.adjusted <= level


def departures(measured: Flow, theory: Flow) -> tuple[Departure, ...]:
    """Compare every number that both flows have at a position, with joint errors and Holm's correction.

    Where errors are known from few groups, Student's t of the fewer degrees of freedom is used, which errs on the side
    of agreement. Numbers that one of the flows lacks are not compared.

    Args:
        measured: What was measured.
        theory: Flow over the same axis with the same positions and the same names of numbers.

    Raises:
        AlignmentError: If the axes differ, or there is nothing that both have.

    Source:
        holm1979 for the correction, which holds whatever the dependence of the numbers.
    """
    if measured.axis.name != theory.axis.name:
        raise AlignmentError(
            f"{measured.name} flows over {measured.axis.name}, {theory.name} over {theory.axis.name}",
            "Compare flows over the same axis.",
        )
    known = {scale.position: scale.measurements for scale in theory}
    found = [
        _departure(scale.label, scale.position, key, number, known[scale.position][key])
        for scale in measured
        for key, number in scale.measurements.items()
        if key in known.get(scale.position, {})
    ]
    if not found:
        raise AlignmentError(
            f"{measured.name} and {theory.name} have no number in common at any {measured.axis.name}",
            "Give the theory at the measured positions, under the same names.",
        )
    adjusted = holm([row.chance for row in found])
    return tuple(
        Departure(r.label, r.position, r.key, r.measured, r.expected, r.chance, p)
        for r, p in zip(found, adjusted, strict=True)
    )


def chance_beyond(size: float, error: float, dof: float, within: float = 0.0) -> float:
    """Return the largest p-value of a difference of this size under all true values of at most ``within``.

    .. math:: p = P(t > (|d| - w) / e) + P(t > (|d| + w) / e)

    with Student's t; two-sided for w = 0. NaN where the error is.
    """
    size = abs(size)
    if error == 0:
        return 1.0 if size <= within else 0.0
    return float(student.sf((size - within) / error, dof) + student.sf((size + within) / error, dof))


def joint_error(first: Measurement, second: Measurement) -> float:
    """Return the error of a difference of two independent numbers."""
    return sqrt(first.error**2 + second.error**2)


def _departure(label: str, position: float, key: str, measured: Measurement, expected: Measurement) -> Departure:
    """Compare entry by entry and keep the least likely one."""
    if np.shape(measured.value) != np.shape(expected.value):
        raise AlignmentError(
            f"{key} at {label} has the shape {np.shape(measured.value)}, the theory's {np.shape(expected.value)}",
            "Give the theory's number in the same shape.",
        )
    pairs = [
        (_entry(measured, v, e), _entry(expected, w, u))
        for v, e, w, u in zip(
            *map(np.ravel, (measured.value, measured.error, expected.value, expected.error)), strict=True
        )
    ]
    chances = [_chance(*pair) for pair in pairs]
    worst = int(np.argmin([2.0 if isnan(p) else p for p in chances]))
    return Departure(label, position, key, *pairs[worst], min(1.0, len(pairs) * chances[worst]))


def _entry(m: Measurement, value: float, error: float) -> Measurement:
    return Measurement(value, error, m.unit, m.n_eff, m.how, m.dof)


def _chance(measured: Measurement, expected: Measurement) -> float:
    rounding = ROUNDING * max(abs(measured.value), abs(expected.value))
    dof = min(measured.dof, expected.dof)
    return chance_beyond(measured.value - expected.value, joint_error(measured, expected), dof, rounding)
