"""Scores: predictions held against what was measured afterwards, beside the baselines, with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from blockspin.errors import TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.running.base import Running
from blockspin.running.prediction import Forecast, Prediction, quantile

BETTER, NOT_BETTER, CANNOT_TELL = "better", "not better", "cannot tell"
FREE = "free fit"
"""Half of the held-out scale's own samples, held against the other half: no prediction, but what can be reached."""
LEVEL = 0.9
SURE = 0.95
"""Level of the interval of a comparison."""


@dataclass(frozen=True)
class Point:
    """One coupling at one held-out scale.

    Args:
        label: The scale.
        coupling: Its name.
        predicted: What the model says of the coupling, with its error.
        half_width: Half of its interval: few degrees of freedom make it many errors wide.
        measured: What was measured, or None where there is no number.
        deviation: Predicted less measured in units of the error of the difference.
        inside: Whether the measured value lies within the interval for a measurement.
    """

    label: str
    coupling: str
    predicted: Measurement
    half_width: float
    measured: Measurement | None
    deviation: float | None
    inside: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        return {
            "label": self.label,
            "coupling": self.coupling,
            "predicted": self.predicted.to_dict(),
            "half_width": self.half_width,
            "measured": None if self.measured is None else self.measured.to_dict(),
            "deviation": self.deviation,
            "inside": self.inside,
        }


@dataclass(frozen=True)
class Score:
    """How one model did on the points that both it and the theory predict.

    Args:
        model: Its name.
        points: How many.
        inside: How many lie within their intervals.
        deviation: Mean squared deviation, in units of the error of the difference: 1 where errors are right.
        miss: Mean squared miss, in units of the error of the measurement alone: comparable between models.
        log_score: Mean logarithm of the density that the model gave to what was measured.
        nearer: Mean squared miss of this model less that of the theory on the same points; None for the theory itself.
        verdict: Whether the theory is better than this model; blank for the theory itself.
        reason: Why there is no score, blank where there is one.
    """

    model: str
    points: int = 0
    inside: int = 0
    deviation: float | None = None
    miss: float | None = None
    log_score: float | None = None
    nearer: Measurement | None = None
    verdict: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        return {**vars(self), "nearer": None if self.nearer is None else self.nearer.to_dict()}


@dataclass(frozen=True)
class Scored:
    """A prediction and what came of it.

    Args:
        points: Of the theory.
        scores: The theory first, then the baselines.
        verdict: Better than every baseline, not better than one of them, or cannot tell.
        statement: One sentence.
        level: Of the intervals.
    """

    points: tuple[Point, ...]
    scores: tuple[Score, ...]
    verdict: str
    statement: str
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        points, scores = ([item.to_dict() for item in items] for items in (self.points, self.scores))
        return {
            "points": points,
            "scores": scores,
            "verdict": self.verdict,
            "statement": self.statement,
            "level": self.level,
        }


def score(
    prediction: Prediction, running: Running, *, halves: np.ndarray | None = None, level: float = LEVEL
) -> Scored:
    r"""Hold predictions against measurements.

    The theory is better than a baseline b where the mean over held-out points of
    :math:`[(b - m)^2 - (p - m)^2] / \sigma_m^2` exceeds zero by more than its error, which is that of the measured m
    with its joint covariance: a statement about these points, not about others.

    Args:
        prediction: Made without the held-out scales.
        running: All scales: those that were fitted, and those that were predicted.
        halves: The couplings at the held-out scales from either half of the groups [2, places, couplings], for the
            free fit; None where there are none.
        level: Of the intervals.

    Raises:
        TooFewSamplesError: If no coupling was measured at a scale where it was predicted.
    """
    found = _Measured.of(prediction, running)
    known = found.known & np.isfinite(prediction.theory.errors)
    if not known.any():
        raise TooFewSamplesError("no coupling was both predicted and measured", "Measure it at the held-out scales.")
    rows = [_score(prediction, f, found, known, level) for f in (prediction.theory, *prediction.baselines)]
    if halves is not None:
        rows.append(_free(prediction, found, known, halves, level))
    words = [row.verdict for row in rows[1:] if row.verdict and row.model != FREE]
    verdict = BETTER if words and set(words) == {BETTER} else NOT_BETTER if NOT_BETTER in words else CANNOT_TELL
    points = _points(prediction, found, level)
    blind = int((known & (prediction.theory.looks < 1)).sum())
    return Scored(points, tuple(rows), verdict, _statement(prediction, rows, blind, level), level)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Couplings at the held-out scales, and their covariance with those that were fitted."""

    values: np.ndarray
    errors: np.ndarray
    known: np.ndarray
    covariance: np.ndarray
    dof: float
    how: str
    fitted: list[int]
    held: list[int]

    @classmethod
    def of(cls, prediction: Prediction, running: Running) -> _Measured:
        fitted, held = (
            [running.labels.index(x) for x in part] for part in (prediction.fitted, prediction.places.labels)
        )
        part = running.select(names=prediction.names)
        values, errors, known = (getattr(part, what) for what in ("values", "errors", "known"))
        C = np.nan_to_num(part.covariance.numpy())
        return cls(
            values.numpy()[held], errors.numpy()[held], known().numpy()[held], C, part.dof, part.how, fitted, held
        )

    def flat(self, rows: Sequence[int], k: int, count: int) -> np.ndarray:
        return np.asarray(rows) * count + k


def _spread(prediction: Prediction, forecast: Forecast, found: _Measured) -> np.ndarray:
    """Return the standard error of (predicted less measured), [places, couplings]; both rest on the same samples."""
    K, out = len(prediction.names), np.full(forecast.values.shape, np.nan)
    for k in range(K):
        f, h = found.flat(found.fitted, k, K), found.flat(found.held, k, K)
        G, C = forecast.gains[:, k], found.covariance
        across = np.einsum("hs,sh->h", G, C[np.ix_(f, h)])
        carried = np.einsum("hs,st,ht->h", G, C[np.ix_(f, f)], G)
        out[:, k] = np.clip(C[h, h] + carried - 2 * across, 0, None) + forecast.residual[:, k]
    return out**0.5


def _score(prediction: Prediction, forecast: Forecast, found: _Measured, known: np.ndarray, level: float) -> Score:
    at = known & np.isfinite(forecast.errors)
    if not at.any():
        return Score(forecast.model, reason="; ".join(sorted(set(forecast.reasons.values()))) or "no number")
    spread, miss = _spread(prediction, forecast, found)[at], (forecast.values - found.values)[at]
    spread = np.maximum(spread, 1e-300)
    dof = np.minimum(forecast.dof[at], found.dof)
    z, finite = miss / spread, np.isfinite(dof)
    density = np.where(finite, student.logpdf(z, np.where(finite, dof, 1.0)), norm.logpdf(z)) - np.log(spread)
    own = np.maximum(found.errors[at], 1e-300)
    nearer = word = None
    if forecast is not prediction.theory:
        nearer = _nearer(prediction.theory.values, forecast.values, found, at)
        word = _word(nearer)
    return Score(
        forecast.model,
        int(at.sum()),
        int((np.abs(z) <= quantile(0.5 + level / 2, dof)).sum()),
        float((z**2).mean()),
        float(((miss / own) ** 2).mean()),
        float(density.mean()),
        nearer,
        word or "",
    )


def _nearer(theory: np.ndarray, other: np.ndarray, found: _Measured, at: np.ndarray, share: float = 1.0) -> Measurement:
    """Return by how much the theory lies nearer than another model, in squared errors of the measurement, a point."""
    m, own = found.values[at], np.maximum(found.errors[at] * share**0.5, 1e-300)
    p, b, n = theory[at], other[at], int(at.sum())
    value = float((((b - m) ** 2 - (p - m) ** 2) / own**2).mean())
    slope = -2 * (b - p) / own**2 / n  # the difference of the squares is linear in what was measured
    K = at.shape[1]
    flat = np.array([found.held[h] * K + k for h, k in np.argwhere(at)])
    error = float(np.sqrt(max(share * slope @ found.covariance[np.ix_(flat, flat)] @ slope, 0.0)))
    how = f"squared misses in units of the error, {n} held-out points; error of the measurements with their covariance"
    return Measurement(value, error, "1", found.dof + 1, how, found.dof)


def _word(nearer: Measurement) -> str:
    low, high = nearer.interval(SURE)
    return BETTER if low > 0 else NOT_BETTER if high < 0 else CANNOT_TELL


def _free(prediction: Prediction, found: _Measured, known: np.ndarray, halves: np.ndarray, level: float) -> Score:
    """Score one half of the held-out data by the other: half the data, twice the variance each."""
    first, second = halves
    at = known & np.isfinite(first) & np.isfinite(second)
    if not at.any():
        return Score(FREE, reason="no coupling can be fitted to half of the data")
    rest = _Measured(
        second, found.errors, found.known, found.covariance, found.dof, found.how, found.fitted, found.held
    )
    z = (first - second)[at] / np.maximum(2 * found.errors[at], 1e-300)
    nearer = _nearer(prediction.theory.values, first, rest, at, share=2.0)
    inside = int((np.abs(z) <= quantile(0.5 + level / 2, np.asarray(found.dof))).sum())
    return Score(
        FREE, int(at.sum()), inside, float((z**2).mean()), float(2 * (z**2).mean()), None, nearer, _word(nearer)
    )


def _points(prediction: Prediction, found: _Measured, level: float) -> tuple[Point, ...]:
    theory, spread, rows = prediction.theory, _spread(prediction, prediction.theory, found), []
    for h, label in enumerate(prediction.places.labels):
        for k, name in enumerate(prediction.names):
            if not np.isfinite(theory.errors[h, k]):
                continue
            unit, dof = prediction.units[k], float(theory.dof[h, k])
            predicted = Measurement(theory.values[h, k], theory.errors[h, k], unit, how=theory.curves[k], dof=dof)
            half = predicted.quantile(0.5 + level / 2) * float(theory.errors[h, k])
            if not found.known[h, k]:
                rows.append(Point(label, name, predicted, half, None, None, None))
                continue
            measured = Measurement(found.values[h, k], found.errors[h, k], unit, found.dof + 1, found.how, found.dof)
            z = float((theory.values[h, k] - found.values[h, k]) / max(spread[h, k], 1e-300))
            limit = float(quantile(0.5 + level / 2, np.asarray(min(dof, found.dof))))
            rows.append(Point(label, name, predicted, half, measured, z, abs(z) <= limit))
    return tuple(rows)


def _statement(prediction: Prediction, rows: Sequence[Score], blind: int, level: float) -> str:
    own, others = rows[0], [row for row in rows[1:] if row.verdict and row.model != FREE]
    scales = len(prediction.places.labels)
    text = (
        f"{own.inside} of {own.points} numbers at {scales} held-out "
        f"scale{'s' * (scales > 1)} lie within their {100 * level:.0f} % intervals"
    )
    if blind:  # what curves miss at such distances cannot be told from the accessible scales
        text += (
            f" ({blind} of them lie farther away than any accessible scale was predicted from: cannot tell how wide)"
        )
    names = {word: [row.model for row in others if row.verdict == word] for word in (BETTER, NOT_BETTER, CANNOT_TELL)}
    parts = [f"{prefix} {', '.join(names[word])}" for word, prefix in _PREFIX.items() if names[word]]
    return f"{text}; the {prediction.theory.model} is {'; '.join(parts) or 'compared with nothing'}."


_PREFIX = {
    BETTER: "nearer than",
    NOT_BETTER: "farther off than",
    CANNOT_TELL: "not told apart from",
}
