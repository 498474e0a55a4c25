"""Prediction: couplings at scales that were not looked at, from how they run over those that were, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from blockspin.errors import BlockspinError, FitFailedError, TooFewSamplesError
from blockspin.running._extrapolated import Extrapolated, chosen, stated
from blockspin.running.base import Running
from blockspin.running.baselines import baselines
from blockspin.running.curves import DOUBTED, Stated

LENGTH, RATIO, COUNT = "ln length", "ln position", "position"
THEORY = "effective theory"


@dataclass(frozen=True, eq=False)
class Places:
    """Scales to predict at: what is known of them without a measurement.

    Args:
        labels: Their names.
        positions: Where they lie on the axis, [places].
        log_lengths: ln of their lengths, NaN where there is none, [places].
    """

    labels: tuple[str, ...]
    positions: np.ndarray
    log_lengths: np.ndarray

    @classmethod
    def of(cls, running: Running) -> Places:
        """Return the scales of a running."""
        return cls(running.labels, running.positions.numpy(), running.log_lengths.numpy())


@dataclass(frozen=True, eq=False)
class Forecast:
    """What one model says of couplings at scales that it was not fitted to; NaN where it says nothing.

    Args:
        model: Its name.
        curves: Of each coupling the curve that predicts accessible scales best, blank where there is none.
        values: [places, couplings].
        errors: One standard error: that of the fitted scales carried forward, and what the model misses, in squares.
        residual: Variance that stands for what the model misses, [places, couplings].
        dof: Degrees of freedom of the errors, for Student's t, [places, couplings].
        gains: Derivative of values by the couplings at the fitted scales, [places, couplings, scales].
        looks: From how many sets of accessible scales others as far away were predicted, [places, couplings]: what the
            residual and its degrees of freedom rest on. Infinite where a theory is taken at its word; of 0 the interval
            is a guess.
        reasons: Why a coupling has no number, by name.
    """

    model: str
    curves: tuple[str, ...]
    values: np.ndarray
    errors: np.ndarray
    residual: np.ndarray
    dof: np.ndarray
    gains: np.ndarray
    looks: np.ndarray
    reasons: dict[str, str] = field(default_factory=dict)

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the two-sided interval of the couplings themselves (a measurement adds its own error)."""
        half = quantile(0.5 + level / 2, self.dof) * self.errors
        return self.values - half, self.values + half


@dataclass(frozen=True, eq=False)
class Prediction:
    """Forecasts of the effective theory and of the baselines, made from the same scales.

    Args:
        coordinate: What the curves run along: "ln length", "ln position" or "position".
        fitted: Labels of the scales that were fitted.
        places: What was predicted at.
        names: The couplings.
        units: The unit of each.
        theory: What the effective theory says.
        baselines: What the baselines say.
    """

    coordinate: str
    fitted: tuple[str, ...]
    places: Places
    names: tuple[str, ...]
    units: tuple[str, ...]
    theory: Forecast
    baselines: tuple[Forecast, ...]


def predict(running: Running, places: Places, theory: Stated | None = None) -> Prediction:
    r"""Predict couplings where they were not measured.

    Without a stated theory each coupling runs by the beta functions of at most first degree (constant, proportional,
    linear). Each predicts the accessible scales from those farther away (rolling origin); the prediction is their mean,
    weighted by how likely their misses are. The error, which knows of a local parabola as well, is

    .. math:: \sigma^2 = G\, \Sigma\, G^T + \sum_c w_c \left[\tau_c^2 d^2 + (g_c - \bar g)^2\right]

    with the joint covariance :math:`\Sigma` of the fitted scales, the derivative G of the prediction, the distance d to
    the nearest fitted scale in mean spacings, :math:`\tau_{cp}^2` what rolling predictions of the curve c missed beyond
    their errors one spacing away (scaled up where couplings run faster than they did then), and how far each curve
    lies from the mean. What is missed grows as the power p of the distance: 0 where scales scatter about a curve each
    by itself, as layers do, 1 where steps add up at random, 2 where a slope is wrong; the weights :math:`w_{cp}` of
    curves and powers are likelihoods of what was missed. The degrees of freedom are the number of sets of scales from
    which others as far away were predicted. Baselines are treated alike; each is one curve. A stated theory is taken at
    its word, no residual: the validity detector tells where it fails.

    Curves run along the logarithm of the length where there is one, else along positions or their logarithms, whichever
    are spaced more evenly (a position of 0, as the start of a training, is then left out).

    Args:
        running: The accessible scales, and no others.
        places: What to predict at.
        theory: A theory of every coupling, or None.

    Raises:
        TooFewSamplesError: If there are fewer than four accessible scales, or than a stated theory has parameters.

    Do not trust when:
        Something sets in between the fitted scales and the predicted ones: a jump after the last fitted scale is
        within no interval (``docs/running.md`` has the coverage). With four fitted scales there is one origin, and the
        90 % interval is six errors wide on either side: read it as "cannot tell". Places farther away than any
        accessible scale was predicted from (``Forecast.looks`` of 0) are told in the statement of their scores.
    """
    whole = _joined(Places.of(running), places)
    kind = coordinate_of(whole.positions, whole.log_lengths)
    x, at = (coordinates(kind, part.positions, part.log_lengths) for part in (Places.of(running), places))
    if np.isfinite(x).sum() < (4 if theory is None else len(theory.start)):
        raise TooFewSamplesError(
            f"{int(np.isfinite(x).sum())} accessible scales do not tell how couplings run", "Give four or more."
        )
    origin = None if kind != COUNT else float(whole.positions.min() - np.ptp(whole.positions) / (len(whole.labels) - 1))

    def forecast(name: str, predict: Callable[..., Extrapolated]) -> Forecast:
        return _forecast(name, running, x, at, predict)

    own = (lambda *d: chosen(DOUBTED, *d)) if theory is None else (lambda *d: stated(theory, *d))
    beside = tuple(forecast(c.name, lambda *d, c=c: chosen((c,), *d)) for c in baselines(origin))
    name = THEORY if theory is None else theory.title
    return Prediction(kind, running.labels, places, running.names, running.units, forecast(name, own), beside)


def coordinate_of(positions: np.ndarray, log_lengths: np.ndarray) -> str:
    """Return what curves run along: lengths where there are, else positions or their logarithms."""
    if np.isfinite(log_lengths).all():
        return LENGTH
    later = np.sort(positions[positions > 0])
    if len(later) < max(len(positions) - 1, 3) or positions.min() < 0:
        return COUNT
    return RATIO if _uneven(np.log(later)) < _uneven(later) else COUNT


def coordinates(kind: str, positions: np.ndarray, log_lengths: np.ndarray) -> np.ndarray:
    """Return the coordinates of scales; NaN for one that has none."""
    if kind == LENGTH:
        return np.asarray(log_lengths, dtype=float)
    with np.errstate(divide="ignore"):
        x = np.log(positions) if kind == RATIO else np.asarray(positions, dtype=float)
    return np.where(np.isfinite(x), x, np.nan)


def quantile(probability: float, dof: np.ndarray) -> np.ndarray:
    """Return the quantile of Student's t, normal for infinite degrees of freedom."""
    finite = np.isfinite(dof)
    return np.where(finite, student.ppf(probability, np.where(finite, dof, 1.0)), norm.ppf(probability))


# --- inner workings --------------------------------------------------------------------------------------------------


def _forecast(
    name: str, running: Running, x: np.ndarray, at: np.ndarray, predict: Callable[..., Extrapolated]
) -> Forecast:
    """Let a model predict every coupling from the scales where it is known."""
    H, K, S = len(at), len(running.names), len(running)
    values, errors, residual, dof, looks = (np.full((H, K), np.nan) for _ in range(5))
    gains, curves, reasons = np.zeros((H, K, S)), [""] * K, {}
    known = running.known().numpy() & np.isfinite(x)[:, None]
    for k, coupling in enumerate(running.names):
        rows = known[:, k].nonzero()[0]
        try:
            found = predict(x[rows], *_of(running, k, rows), at)
        except (BlockspinError, np.linalg.LinAlgError) as reason:
            reasons[coupling] = str(reason)
            continue
        values[:, k], errors[:, k], residual[:, k], dof[:, k] = found.value, found.error, found.residual, found.dof
        gains[:, k, rows], curves[k], looks[:, k] = found.gain, found.curve, found.looks
    return Forecast(name, tuple(curves), values, errors, residual, dof, gains, looks, reasons)


def _of(running: Running, k: int, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray, float]:
    """Return one coupling at some scales, its covariance there, and the degrees of freedom."""
    if len(rows) < 2:
        raise FitFailedError(f"{running.names[k]} is known at {len(rows)} accessible scales", "Measure it at more.")
    flat = np.asarray(rows) * len(running.names) + k
    return running.values.numpy()[rows, k], running.covariance.numpy()[np.ix_(flat, flat)], running.dof


def _joined(first: Places, second: Places) -> Places:
    return Places(
        first.labels + second.labels,
        np.concatenate([first.positions, second.positions]),
        np.concatenate([first.log_lengths, second.log_lengths]),
    )


def _uneven(ascending: np.ndarray) -> float:
    gaps = np.diff(ascending)
    return float(gaps.std() / gaps.mean())
