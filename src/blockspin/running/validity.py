"""Validity: where an effective theory stops to hold, by scale and by slice of the data, with false alarms bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.errors import BlockspinError
from blockspin.running._extrapolated import chosen, difference, fitted, stated
from blockspin.running.base import Running
from blockspin.running.curves import EFFECTIVE, Curve, Stated
from blockspin.running.prediction import Places, coordinate_of, coordinates

WHOLE = "all"
"""The slice that is the whole of the data."""
LEVEL = 0.05
GOODNESS = "goodness of fit"


@dataclass(frozen=True)
class Check:
    """One test of the theory.

    Args:
        slice: Part of the data.
        scale: Label of the scale.
        what: "goodness of fit", or the coupling whose running was tested.
        p_value: Of this test alone, if the theory holds.
        adjusted: The same after the number of all tests (Holm).
        deviation: Measured less predicted from the other scales, in units of the error; None for a goodness of fit.
        fired: Whether the theory fails here.
    """

    slice: str
    scale: str
    what: str
    p_value: float
    adjusted: float = 1.0
    deviation: float | None = None
    fired: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Validity:
    """Whether a theory holds over all scales and slices that were tested.

    Args:
        verdict: Yes, no, or cannot tell where nothing could be tested.
        statement: One sentence that names scale and slice.
        checks: All tests.
        untested: What could not be tested, and why.
    """

    verdict: Verdict
    statement: str
    checks: tuple[Check, ...]
    untested: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        checks = [check.to_dict() for check in self.checks]
        return {
            "verdict": self.verdict.value,
            "statement": self.statement,
            "checks": checks,
            "untested": list(self.untested),
        }


def validity(slices: Mapping[str, Running], theory: Stated | Curve | None = None, *, level: float = LEVEL) -> Validity:
    """Test an effective theory at every scale and on every slice of the data.

    Two kinds of tests: the theory's own goodness of fit at each scale, where it has a p-value; and each coupling
    against what its running over the other scales says, with the joint covariance and Student's t. The scale that is
    farthest off is taken out before the others are tested again, so that one that fails does not make its neighbours
    look wrong. All tests together raise a false alarm with a chance of at most ``level`` (Holm).

    Args:
        slices: The running on each part of the data, and on the whole as "all".
        theory: What couplings do between scales: a stated theory or a curve; None for beta functions of at most first
            degree, whichever predicts the other scales best.
        level: Chance of a false alarm on any scale or slice.

    Do not trust when:
        The slices were chosen by looking at the values themselves: a part of a Gaussian field that is cut out by its
        values is not Gaussian. A theory that has no p-value is tested by its running alone, which sees nothing where
        all scales change alike.
    """
    checks, out = _goodness(slices), dict[tuple[str, str, str], Check]()
    untested: list[str] = []
    while True:
        left, reasons = _residuals(slices, theory, set(out))
        untested = untested or reasons
        tests = [*checks, *out.values(), *left]
        if not left:
            break
        worst = min(left, key=lambda check: check.p_value)
        if worst.p_value * (len(checks) + len(left)) >= level:
            break
        out[worst.slice, worst.what, worst.scale] = worst
    return _verdict(_holm(tests, level), untested, level)


def _goodness(slices: Mapping[str, Running]) -> list[Check]:
    return [
        Check(name, label, GOODNESS, float(goodness.p_value))
        for name, running in slices.items()
        for label, goodness in zip(running.labels, running.goodness, strict=True)
        if goodness is not None and goodness.p_value is not None
    ]


def _residuals(
    slices: Mapping[str, Running], theory: Stated | Curve | None, out: set[tuple[str, str, str]]
) -> tuple[list[Check], list[str]]:
    """Test every coupling at every scale against its running over the others, those that failed left out."""
    checks, reasons = [], []
    for name, running in slices.items():
        places = Places.of(running)
        kind = coordinate_of(places.positions, places.log_lengths)
        x = coordinates(kind, places.positions, places.log_lengths)
        known = running.known().numpy() & np.isfinite(x)[:, None]
        for k, coupling in enumerate(running.names):
            rows = [s for s in known[:, k].nonzero()[0] if (name, coupling, running.labels[s]) not in out]
            flat = np.array(rows, dtype=int) * len(running.names) + k
            y, C = running.values.numpy()[rows, k], running.covariance.numpy()[np.ix_(flat, flat)]
            try:
                z = _deviations(x[rows], y, C, running.dof, theory)
            except (BlockspinError, np.linalg.LinAlgError) as reason:
                reasons.append(f"{coupling} on {name}: {reason}")
                continue
            for s, deviation in zip(rows, z, strict=True):
                p = float(2 * student.sf(abs(deviation), running.dof))
                checks.append(Check(name, running.labels[s], coupling, p, deviation=float(deviation)))
    return checks, reasons


def _deviations(x: np.ndarray, y: np.ndarray, C: np.ndarray, dof: float, theory: Stated | Curve | None) -> np.ndarray:
    """Return (measured less predicted from the other scales) in units of the error, [scales]."""
    z = np.zeros(len(x))
    for s in range(len(x)):
        rest, here = np.delete(np.arange(len(x)), s), np.array([s])
        value, gain = _predicted(x[rest], y[rest], C[np.ix_(rest, rest)], dof, x[here], theory)
        variance = float(difference(gain, C, rest, here)[0, 0])
        miss = float(y[s] - value[0])
        z[s] = miss / variance**0.5 if variance > 0 else np.sign(miss) * np.inf if abs(miss) > 1e-9 * abs(y[s]) else 0.0
    return z


def _predicted(x, y, C, dof, at, theory: Stated | Curve | None) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(theory, Stated):
        found = stated(theory, x, y, C, dof, at)
        return found.value, found.gain
    if theory is not None:
        return fitted(theory, x, y, C, at)
    found = chosen(EFFECTIVE, x, y, C, dof, at)
    return found.value, found.gain


def _holm(checks: list[Check], level: float) -> tuple[Check, ...]:
    order = sorted(range(len(checks)), key=lambda i: checks[i].p_value)
    rows, largest = list(checks), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, checks[i].p_value * (len(checks) - rank)))
        c = checks[i]
        rows[i] = Check(c.slice, c.scale, c.what, c.p_value, largest, c.deviation, largest < level)
    return tuple(rows)


def _verdict(checks: tuple[Check, ...], untested: list[str], level: float) -> Validity:
    fired = sorted((check for check in checks if check.fired), key=lambda check: check.p_value)
    if not checks:
        return Validity(Verdict.CANNOT_TELL, "Where the theory holds could not be tested.", checks, tuple(untested))
    if not fired:
        text = f"The theory holds at the {100 * level:.0f} % level in all {len(checks)} tests of scales and slices."
        return Validity(Verdict.YES, text, checks, tuple(untested))
    first = fired[0]
    slices = {check.slice for check in checks}
    part = "" if len(slices) == 1 else f" on {'the whole' if first.slice == WHOLE else first.slice}"
    text = (
        f"The theory fails in {len(fired)} of {len(checks)} tests, most clearly at {first.scale}{part} by its "
        f"{first.what} (p = {first.adjusted:.1g} after all tests)."
    )
    return Validity(Verdict.NO, text, checks, tuple(untested))
