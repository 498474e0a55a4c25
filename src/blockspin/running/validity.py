"""Validity: where an effective theory stops to hold, by scale and by slice of the data, with false alarms bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.couplings.base import Finding
from blockspin.errors import BlockspinError, TooFewSamplesError
from blockspin.measurement import holm
from blockspin.running._extrapolated import chosen, difference, fitted, weights
from blockspin.running.base import Running
from blockspin.running.curves import EFFECTIVE, Curve, Stated
from blockspin.running.prediction import Places, coordinate_of, coordinates

WHOLE = "all"
"""The slice that is the whole of the data."""
LEVEL = 0.05
TINY = 1e-100
"""Chances below this are not told apart."""
FEWEST = 5
"""Scales from which the effective theory is tested: four of them say what the fifth should be."""
GOODNESS = "goodness of fit"
FEW = 4
"""Scales that are named one by one."""


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
    pull: float = 0.0
    """How much misfit goes where the scale is left out: it tells a scale that fails from those beside it."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        return {key: value for key, value in vars(self).items() if key != "pull"}


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


def validity(
    slices: Mapping[str, Running],
    theory: Stated | Curve | None = None,
    *,
    level: float = LEVEL,
    finding: Finding | None = None,
) -> Validity:
    """Test an effective theory at every scale and on every slice of the data.

    Two kinds of tests: the theory's own goodness of fit at each scale, where it has a p-value; and each coupling
    against what its running over the other scales says, with the joint covariance and Student's t. Of the scales that
    fail, the one that the misfit goes with is taken out before the others are tested again, so that it does not make
    its neighbours look wrong. All tests together raise a false alarm with a chance of at most ``level`` (Holm).

    Args:
        slices: The running on each part of the data, and on the whole as "all".
        theory: What couplings do between scales: a stated theory or a curve; None for beta functions of at most first
            degree, whichever predicts the other scales best.
        level: Chance of a false alarm on any scale or slice.
        finding: What a small p-value of the goodness of fit says, where that is no failure: the verdict is then that of
            those tests alone, "no" where it was found, and the running is spoken of apart.

    Do not trust when:
        The slices were chosen by looking at the values themselves: a part of a Gaussian field that is cut out by its
        values is not Gaussian. A theory that has no p-value is tested by its running alone, which sees nothing where
        all scales change alike.
    """
    checks, out = _goodness(slices), list[Check]()
    tested, untested = dict[tuple[str, str], list[Check]](), list[str]()
    for name, running in slices.items():
        for coupling in running.names:
            try:
                tested[name, coupling] = _residuals(name, running, coupling, theory, ())
            except (BlockspinError, np.linalg.LinAlgError) as reason:
                untested.append(f"{coupling} on {name}: {reason}")
    while left := [check for row in tested.values() for check in row]:
        clear = [check for check in left if check.p_value * (len(checks) + len(left)) < level]
        if not clear:
            break
        worst = max(clear, key=lambda check: check.pull)
        out.append(worst)
        key = worst.slice, worst.what
        gone = [check.scale for check in out if (check.slice, check.what) == key]
        try:
            tested[key] = _residuals(worst.slice, slices[worst.slice], worst.what, theory, gone)
        except (BlockspinError, np.linalg.LinAlgError):
            tested[key] = []  # too few scales are left to test the others
    rest = [check for row in tested.values() for check in row]
    everything = _corrected([*checks, *out, *rest], level)
    if finding is not None:
        return _found(everything, untested, level, finding)
    return _verdict(everything, untested, level)


def _goodness(slices: Mapping[str, Running]) -> list[Check]:
    return [
        Check(name, label, GOODNESS, float(goodness.p_value))
        for name, running in slices.items()
        for label, goodness in zip(running.labels, running.goodness, strict=True)
        if goodness is not None and goodness.p_value is not None
    ]


def _residuals(
    name: str, running: Running, coupling: str, theory: Stated | Curve | None, gone: Sequence[str]
) -> list[Check]:
    """Test a coupling at every scale against its running over the others, those that failed left out.

    Raises:
        TooFewSamplesError: If too few scales are left.
    """
    places, k = Places.of(running), running.names.index(coupling)
    kind = coordinate_of(places.positions, places.log_lengths)
    x = coordinates(kind, places.positions, places.log_lengths)
    known = running.known().numpy()[:, k] & np.isfinite(x)
    rows = [s for s in known.nonzero()[0] if running.labels[s] not in gone]
    flat = np.array(rows, dtype=int) * len(running.names) + k
    y, C = running.values.numpy()[rows, k], running.covariance.numpy()[np.ix_(flat, flat)]
    z, pull = _deviations(x[rows], y, C, _curve(x[rows], y, C, running.dof, theory))
    p = 2 * student.sf(np.abs(z), running.dof)
    return [
        Check(name, running.labels[s], coupling, float(p[i]), deviation=float(z[i]), pull=float(pull[i]))
        for i, s in enumerate(rows)
    ]


def _curve(x: np.ndarray, y: np.ndarray, C: np.ndarray, dof: float, theory: Stated | Curve | None) -> Curve:
    """Return the curve that scales are held against; the effective one is chosen once, from all of them.

    Raises:
        TooFewSamplesError: If there are too few scales to leave one out.
    """
    needed = FEWEST if theory is None else 1 + (len(theory.start) if isinstance(theory, Stated) else theory.parameters)
    if len(x) < needed:
        raise TooFewSamplesError(f"{len(x)} scales are too few to test how a coupling runs", f"Give {needed} or more.")
    if theory is not None:
        return theory
    name = chosen(EFFECTIVE, x, y, C, dof, x[-1:]).curve
    return next(curve for curve in EFFECTIVE if curve.name == name)


def _deviations(x: np.ndarray, y: np.ndarray, C: np.ndarray, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return (measured less predicted from the other scales) in units of the error, and each scale's pull, [scales].

    By leaving a scale out the weighted sum of squares falls by weight * residual * deleted residual (exact where the
    curve is linear in its parameters).
    """
    z, missed = np.zeros(len(x)), np.zeros(len(x))
    weight = weights(curve, x, y, C)
    for s in range(len(x)):
        rest, here = np.delete(np.arange(len(x)), s), np.array([s])
        value, gain = fitted(curve, x[rest], y[rest], C[np.ix_(rest, rest)], x[here])
        variance = float(difference(gain, C, rest, here)[0, 0])
        missed[s] = miss = float(y[s] - value[0])
        z[s] = miss / variance**0.5 if variance > 0 else np.sign(miss) * np.inf if abs(miss) > 1e-9 * abs(y[s]) else 0.0
    return z, weight * (y - curve.predict(x, y, weight, x)[0]) * missed


def _corrected(checks: list[Check], level: float) -> tuple[Check, ...]:
    """Correct the p-values of checks for their number."""
    adjusted = holm([check.p_value for check in checks])
    return tuple(replace(c, adjusted=p, fired=p < level) for c, p in zip(checks, adjusted, strict=True))


def _verdict(checks: tuple[Check, ...], untested: list[str], level: float) -> Validity:
    fired = sorted((check for check in checks if check.fired), key=lambda check: check.p_value)
    if not checks:
        return Validity(Verdict.CANNOT_TELL, "Where the theory holds could not be tested.", checks, tuple(untested))
    if not fired:
        text = f"None of {len(checks)} tests of scales and slices refuses the theory at the {100 * level:.0f} % level."
        return Validity(Verdict.YES, text, checks, tuple(untested))
    first = fired[0]
    text = (
        f"The theory fails in {len(fired)} of {len(checks)} tests, most clearly at {first.scale}{_part(first, checks)} "
        f"by its {first.what} ({_chance(first)})."
    )
    return Validity(Verdict.NO, text, checks, tuple(untested))


def _found(checks: tuple[Check, ...], untested: list[str], level: float, finding: Finding) -> Validity:
    """Word what the goodness of fit found, and at which scales; then how couplings run."""
    asked = [check for check in checks if check.what == GOODNESS]
    ran = [check for check in checks if check.what != GOODNESS]
    verdict, text = _seen(asked, level, finding)
    if missed := [check for check in ran if check.fired]:
        clearest = min(missed, key=lambda check: check.p_value)
        text += f" In {len(missed)} of {len(ran)} tests a coupling does not run as its other scales say, most clearly "
        text += f"{clearest.what} at {clearest.scale}{_part(clearest, ran)} ({_chance(clearest)})."
    return Validity(verdict, text, checks, tuple(untested))


def _seen(asked: Sequence[Check], level: float, finding: Finding) -> tuple[Verdict, str]:
    """Return the verdict on "nothing of the kind is there", and where something was found: on the whole, if there."""
    if not asked:
        return Verdict.CANNOT_TELL, f"Whether {finding.seen} could not be tested at any scale."
    fired = [check for check in asked if check.fired]
    if not fired:
        tests = f"in {len(asked)} tests of scales and slices at the {100 * level:.0f} % level"
        return Verdict.YES, f"{finding.unseen[0].upper() + finding.unseen[1:]} seen {tests}."
    part = WHOLE if any(check.slice == WHOLE for check in fired) else fired[0].slice
    scales = [check.scale for check in asked if check.slice == part]
    where = [check.scale for check in fired if check.slice == part]
    clearest = min((check for check in fired if check.slice == part), key=lambda check: check.p_value)
    onward = len(where) > 1 and scales[-len(where) :] == where
    every = len(scales) > 1 and where == scales
    place = "at every scale" if every else f"from {where[0]} on" if onward else f"at {_listed(where)}"
    words = finding.seen[0].upper() + finding.seen[1:]
    others = len({check.slice for check in fired} - {part})
    also = f", and on {others} {'slice' if others == 1 else 'slices'}" if others and part == WHOLE else ""
    whose = f"{_part(clearest, asked)}{also}".strip()
    clear = f", most clearly at {clearest.scale}" if len(where) > 1 else ""
    return Verdict.NO, f"{words} {place}{f' ({whose})' if whose else ''}{clear} ({_chance(clearest)})."


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:FEW])
    return f"{shown} and {len(labels) - FEW} more" if len(labels) > FEW else shown


def _part(check: Check, checks: Sequence[Check]) -> str:
    """Return on which part of the data a test was, where there are several."""
    if len({other.slice for other in checks}) == 1:
        return ""
    return f" on {'the whole' if check.slice == WHOLE else check.slice}"


def _chance(check: Check) -> str:
    chance = f"= {check.adjusted:.1g}" if check.adjusted > TINY else f"below {TINY:g}"
    return f"p {chance} after all tests"
