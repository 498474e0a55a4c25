"""Invariance: whether nothing moves beyond its error as the scale changes; else, how far correlations reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import torch

from blockspin.answer import Verdict
from blockspin.errors import ConfigError, FitFailedError, TooFewSamplesError
from blockspin.measurement import Measurement, holm
from blockspin.running._decaying import decaying
from blockspin.running.base import Running
from blockspin.running.plateau import Plateau, plateau

FEWEST = 3
"""Scales, or distances, without which nothing is said."""
LEVEL = 0.05
SURE = 0.95
"""Of the intervals within which changes lie."""


@dataclass(frozen=True, eq=False)
class Change:
    """How much one coupling changes along a flow.

    Args:
        name: The coupling, or dimensionless observable.
        p_value: Of so much movement if it stays; after the number of all (Holm).
        change: Its mean over the last half of the scales less that over the first half.
        most: The largest change that its interval holds, as a share of the constant; infinite where that is 0 within
            its error.
    """

    name: str
    p_value: float
    change: Measurement
    most: float


@dataclass(frozen=True, eq=False)
class Invariance:
    """Whether a flow prefers a scale.

    Args:
        verdict: Yes if nothing moves beyond errors and changes of ``margin`` are excluded; no if something moves; else
            cannot tell.
        statement: The answer in a sentence.
        changes: One a coupling.
    """

    verdict: Verdict
    statement: str
    changes: tuple[Change, ...]


def scale_invariance(
    running: Running,
    names: Sequence[str] | None = None,
    *,
    generator: torch.Generator,
    level: float = LEVEL,
    margin: float = 0.1,
) -> Invariance:
    """Test that no coupling, and no dimensionless observable, moves beyond its error along a flow.

    A field that is rescaled as declared and prefers no scale has the same couplings at every scale. Each is tested
    against a constant by its joint covariance over the scales, all of them after Holm: something is said to move in a
    flow that is invariant with a chance of at most ``level``. That nothing moves is shown up to a margin alone.

    Args:
        running: Along scales, after the declared rescaling; or of several sizes (``joined``).
        names: Couplings and observables without a dimension; by default all.
        generator: Randomness of the simulated data sets that calibrate p-values.
        level: Chance of a false "no".
        margin: Share of a constant; a change by so much or more is excluded where yes is said. Of what is 0 within its
            error no share is taken.

    Raises:
        TooFewSamplesError: If there are fewer than three scales.
        ShapeError: If a coupling is missing at some scale.
        FitFailedError: If a coupling is exact, or a fit does not converge.
        ConfigError: If the margin is not positive.

    Do not trust when:
        A quantity has a dimension: it changes with the unit of length. A length that is divided by the size of the
        lattice along a single ladder: both are in the same spacings, and the ratio stays whatever the field; compare
        sizes. The fixed point is neared by irrelevant couplings: the first scales then move, as they should.

    Source:
        britt1973 for the fits, holm1979.
    """
    if len(running) < FEWEST:
        raise TooFewSamplesError(f"{len(running)} scales do not tell whether one is preferred", f"Give {FEWEST}.")
    chosen = running.names if names is None else tuple(names)
    parts = [running.select(names=[name]) for name in chosen]
    return invariance_of([(part, plateau(part, generator=generator)) for part in parts], level, margin)


def invariance_of(still: Sequence[tuple[Running, Plateau]], level: float = LEVEL, margin: float = 0.1) -> Invariance:
    """Say whether couplings whose constants were fitted already move; see ``scale_invariance``.

    Args:
        still: Each coupling by itself along one axis, and its constant.
        level: Chance of a false "no".
        margin: Share of a constant; a change by so much or more is excluded where yes is said.

    Raises:
        ConfigError: If the margin is not positive, or no coupling is given.
    """
    if not margin > 0:
        raise ConfigError("margin", margin, "a positive number.")
    if not still:
        raise ConfigError("names", [], "one coupling or more.")
    adjusted = holm([found.p_value for _, found in still])
    rows = tuple(_change(run, found, p) for (run, found), p in zip(still, adjusted, strict=True))
    moved = sorted((row for row in rows if row.p_value < level), key=lambda row: row.p_value)
    sized = [row.most for row in rows if row.most < inf]
    head = f"along {still[0][0].axis.name} over {max(len(run) for run, _ in still)} scales"
    count = f"{len(rows)} coupling{'s' * (len(rows) > 1)}"
    if moved:
        which = ", ".join(row.name for row in moved[:3]) + (" and others" if len(moved) > 3 else "")
        text = f"{len(moved)} of {count} move{'s' * (len(moved) == 1)} beyond errors {head}: {which}."
        return Invariance(Verdict.NO, f"Not scale invariant: {text}", rows)
    text = f"None of {count} moves beyond errors {head}"
    if sized and max(sized) < margin:
        text += f", and changes by more than {100 * max(sized):.2g} % are excluded."
        return Invariance(Verdict.YES, text, rows)
    allowed = f"by as much as {100 * max(sized):.2g} %" if sized else "of what is 0 within its error"
    return Invariance(Verdict.CANNOT_TELL, f"{text}, but changes {allowed} are not excluded.", rows)


def correlation_length(
    distance: np.ndarray, correlation: np.ndarray, covariance: np.ndarray, dof: float, *, generator: torch.Generator
) -> Measurement:
    r"""Return the length over which correlations fall off, where they do so exponentially.

    .. math:: C(r) = A e^{-r / \xi}

    fitted to the correlations themselves, not their logarithms, by their joint covariance. Values near 0 at long
    distances thus count by their errors. On periodic lattices ``observables.correlation_length`` assumes no law.

    Args:
        distance: Ascending, 0 left out, [distances].
        correlation: Connected, [distances].
        covariance: Of the correlations, [distances, distances].
        dof: Its degrees of freedom.
        generator: Randomness of the simulated data sets that calibrate the error.

    Raises:
        TooFewSamplesError: If there are fewer than three distances.
        FitFailedError: If correlations are no more than their errors, if no one exponential describes them, or if they
            do not fall off over these distances beyond the error.

    Source:
        britt1973 for the fit.
    """
    if len(distance) < FEWEST:
        raise TooFewSamplesError(f"{len(distance)} distances have no law", f"Give {FEWEST} or more.")
    x, y = np.asarray(distance, dtype=float), np.asarray(correlation, dtype=float)
    found = decaying(x, y, np.asarray(covariance), dof, np.eye(1), constant=False, generator=generator)
    if found is None or found.p_value < LEVEL:
        raise FitFailedError(
            "correlations do not fall off as one exponential"
            + ("" if found is None else f" (p = {found.p_value:.2g})"),
            "Where they fall off by a power, no length is preferred.",
        )
    (rate, size), (rate_error, size_error) = found.theta, np.sqrt(np.diag(found.covariance))
    told = Measurement(rate, rate_error, dof=dof)
    if abs(size) < told.quantile(0.5 + SURE / 2) * size_error or not told.interval(SURE)[0] > 0:
        raise FitFailedError("correlations do not fall off beyond their errors", "Measure more samples, or farther.")
    how = f"exponential over {len(x)} distances by their joint covariance (p = {found.p_value:.2g})"
    return Measurement(1 / rate, rate_error / rate**2, "lattice spacings", dof + 1, how, dof)


def _change(part: Running, still: Plateau, p_value: float) -> Change:
    ((name, constant),) = still.values.items()
    half = len(part) // 2
    weight = np.zeros(len(part))
    weight[:half], weight[-half:] = -1 / half, 1 / half
    value = float(weight @ part.values.numpy()[:, 0])
    error = float(np.sqrt(max(weight @ part.covariance.numpy() @ weight, 0.0)))
    how = f"last half of {len(part)} scales less first half; {part.how}"
    change = Measurement(value, error, part.units[0], part.dof + 1, how, part.dof)
    low, high = constant.interval(SURE)
    sized = low > 0 or high < 0
    most = max(abs(end) for end in change.interval(SURE)) / abs(constant.value) if sized else inf
    return Change(name, p_value, change, float(most))
