"""Extrapolated: one coupling carried from the scales that are fitted to others, with what the model is seen to miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blockspin.errors import BlockspinError, FitFailedError, TooFewSamplesError
from blockspin.running.curves import Curve, Stated

FIRST = 3
"""Scales from which the first rolling prediction is made; a third of them where that is more."""
GROWTH = (0, 1, 2)
"""Powers of the distance by which squared misses may grow: of scales that scatter about a curve, of steps
that add up at random, of a curve whose slope is wrong."""
BELIEVED = 1.5
"""Most of a logarithm of a likelihood that counts, in units of the mean over looks: three data, as it were. All origins
look at the same scales; to count each as a datum of its own is to believe the luckiest curve."""
TINY = 1e-300
"""Least variance, where both curve and couplings are exact."""


@dataclass(frozen=True, eq=False)
class Extrapolated:
    """One coupling at some places.

    Args:
        curve: What it was carried by; of several curves, the one that weighs most.
        value: [places].
        error: [places].
        residual: Variance that stands for what the curve misses, [places].
        dof: Degrees of freedom of the error, [places].
        gain: Derivative by the coupling at the fitted scales, [places, scales].
        looks: Sets of accessible scales from which others as far away were predicted, [places]; infinite where a theory
            is taken at its word.
    """

    curve: str
    value: np.ndarray
    error: np.ndarray
    residual: np.ndarray
    dof: np.ndarray
    gain: np.ndarray
    looks: np.ndarray


@dataclass(frozen=True, eq=False)
class Rolled:
    """Predictions of accessible scales from those farther away.

    Args:
        misses: Predicted less measured, [looks].
        variance: Of each by the errors of the measurements, [looks].
        distance: To the nearest scale that was fitted, in mean spacings, [looks].
        growth: How much faster, in squares, the coupling runs over all accessible scales than over those that were
            fitted; at least 1, [looks].
        origin: Which set of scales was fitted, ascending from 0, [looks].
    """

    misses: np.ndarray
    variance: np.ndarray
    distance: np.ndarray
    growth: np.ndarray
    origin: np.ndarray

    @property
    def origins(self) -> int:
        """How many sets of scales were fitted."""
        return int(self.origin[-1]) + 1

    def seen(self, distance: np.ndarray) -> np.ndarray:
        """Return from how many sets of scales others as far away were predicted, [places]."""
        farthest = np.array([self.distance[self.origin == o].max() for o in range(self.origins)])
        return (farthest * (1 + 1e-9) >= distance[:, None]).sum(1)

    def beyond(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is missed beyond the errors, as variances of predictions at distances, and how likely that is.

        Once for each way in which misses may grow. Where couplings run ever faster, what was missed when they were slow
        is scaled to how they run now.

        Returns:
            The variances, at least 0, [ways, places], and the logarithm of the likelihood of what was missed, [ways].
        """
        squares, rows, fits = self.misses**2, [], []
        counts = BELIEVED * self.origins / (self.origins + 1)
        for power in GROWTH:
            near = self.distance**power
            then, now = (max(0.0, float((g * (squares - self.variance) / near).mean())) for g in (1.0, self.growth))
            spread = np.maximum(self.variance + then * near, TINY)
            fits.append(-counts * float((np.log(spread) + squares / spread).mean()))
            rows.append(now * distance**power)
        return np.stack(rows), np.array(fits)


def stated(theory: Stated, x: np.ndarray, y: np.ndarray, C: np.ndarray, dof: float, at: np.ndarray) -> Extrapolated:
    """Return what a theory that is taken at its word says."""
    value, gain = theory.predict(x, y, _weights(C, 0.0), at)
    variance = _squares(gain, C)
    freedom, trusted = np.full(len(at), float(dof)), np.full(len(at), np.inf)
    return Extrapolated(theory.title, value, variance**0.5, 0 * value, freedom, gain, trusted)


def chosen(
    curves: Sequence[Curve], x: np.ndarray, y: np.ndarray, C: np.ndarray, dof: float, at: np.ndarray
) -> Extrapolated:
    """Return the mean of what curves say, each weighted by how well it predicts accessible scales.

    Weights are likelihoods of what a curve missed on accessible scales, these growing with the distance in one of
    several ways. The error holds, weighted alike, what each curve misses that way and how far it lies from the mean:
    curves that are not told apart by the accessible scales may part beyond. To choose one instead, and to take what it
    missed as its error, is to believe the luckiest of them. A curve of doubt counts for the error alone: far away, a
    parabola's share would move the mean by much. The error has as many degrees of freedom as there were looks as far.

    Raises:
        TooFewSamplesError: If there are fewer than four scales.
        FitFailedError: If no curve can pass through the values.
    """
    if len(x) <= FIRST:
        raise TooFewSamplesError(f"{len(x)} scales do not tell what a model misses", f"Give {FIRST + 1} or more.")
    found: dict[Curve, tuple[Rolled, tuple[np.ndarray, np.ndarray]]] = {}
    reasons = []
    for curve in curves:
        try:
            found[curve] = rolled(curve, x, y, C, at), fitted(curve, x, y, C, at)
        except (BlockspinError, np.linalg.LinAlgError) as reason:
            reasons.append(f"{curve.name}: {reason}")
    believed = np.array([not curve.doubt for curve in found])
    if not believed.any():
        raise FitFailedError("; ".join(reasons))
    values, gains = (np.stack(column) for column in zip(*(said for _, said in found.values()), strict=True))
    away = distances(x, at)
    missed, fits = (np.stack(column) for column in zip(*(r.beyond(away) for r, _ in found.values()), strict=True))
    weight, mean = _shares(fits), _shares(fits[believed]).sum(1)
    value, gain = mean @ values[believed], np.einsum("c,cas->as", mean, gains[believed])
    apart = weight.sum(1) @ (values - value) ** 2
    carried, residual = _squares(gain, C), np.einsum("cw,cwa->a", weight, missed) + apart
    total, looks = carried + residual, next(iter(found.values()))[0].seen(away)
    with np.errstate(invalid="ignore", divide="ignore"):  # Welch and Satterthwaite
        freedom = np.where(total > 0, total**2 / (carried**2 / dof + residual**2 / np.maximum(looks, 1)), dof)
    best = [curve for curve in found if not curve.doubt][int(mean.argmax())]
    return Extrapolated(best.name, value, total**0.5, residual, freedom, gain, looks)


def _shares(fits: np.ndarray) -> np.ndarray:
    """Return weights that add up to one from logarithms of likelihoods."""
    weight = np.exp(fits - fits.max())
    return weight / weight.sum()


def rolled(curve: Curve, x: np.ndarray, y: np.ndarray, C: np.ndarray, at: np.ndarray) -> Rolled:
    """Predict accessible scales from those farther away from the places, one scale more each time."""
    order = np.argsort(-np.abs(x[:, None] - at).min(1), kind="stable")
    looks, whole = list[tuple[np.ndarray, ...]](), _speed(x, y)
    for count in range(max(FIRST, len(x) // 3), len(x)):
        near, far = order[count:], np.sort(order[:count])
        value, gain = fitted(curve, x[far], y[far], C[np.ix_(far, far)], x[near])
        variance = difference(gain, C, far, near)
        slow = _speed(x[far], y[far])
        growth = np.full(len(near), max(1.0, whole / slow) if slow > 0 else 1.0)
        away, origin = distances(x[far], x[near], spacing(x)), np.full(len(near), len(looks))
        looks.append((value - y[near], variance.diagonal(), away, growth, origin))
    misses, variance, distance, growth, origin = (np.concatenate(column) for column in zip(*looks, strict=True))
    return Rolled(misses, variance, distance, growth, origin)


def _speed(x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean squared rate at which a coupling runs between neighbouring scales."""
    return float(np.square(np.diff(y) / np.diff(x)).mean())


def fitted(curve: Curve, x: np.ndarray, y: np.ndarray, C: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a curve says, and its derivative by y."""
    return curve.predict(x, y, weights(curve, x, y, C), at)


def weights(curve: Curve, x: np.ndarray, y: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Return what scales weigh: by their errors, and by the curve's misfit beyond them."""
    weight, free = _weights(C, 0.0), len(x) - curve.parameters
    if free <= 0:
        return weight
    left = y - curve.predict(x, y, weight, x)[0]
    return _weights(C, max(0.0, float(weight @ left**2 - free) / float(weight.sum())))


def difference(gain: np.ndarray, C: np.ndarray, fitted: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the covariance of (predicted less measured): the same samples stand behind both."""
    across = gain @ C[np.ix_(fitted, at)]
    return C[np.ix_(at, at)] + gain @ C[np.ix_(fitted, fitted)] @ gain.T - across - across.T


def distances(x: np.ndarray, at: np.ndarray, unit: float | None = None) -> np.ndarray:
    """Return how far places lie from the nearest scale, in mean spacings of the scales."""
    return np.abs(at[:, None] - x).min(1) / (unit or spacing(x))


def spacing(x: np.ndarray) -> float:
    """Return the mean distance of neighbouring scales."""
    return float(np.ptp(x)) / (len(x) - 1) or 1.0


def _weights(C: np.ndarray, more: float) -> np.ndarray:
    """Return inverse variances; what is exact weighs alike."""
    variance = np.clip(C.diagonal(), 0, None) + more
    floor = 1e-12 * variance.max()
    return 1 / np.maximum(variance, floor) if floor > 0 else np.ones(len(variance))


def _squares(gain: np.ndarray, C: np.ndarray) -> np.ndarray:
    return np.clip(np.einsum("as,st,at->a", gain, C, gain), 0, None)
