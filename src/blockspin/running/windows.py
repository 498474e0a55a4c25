"""Windows: the fewest stretches of scales over each of which one effective theory holds, and a model for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np
import torch

from blockspin.answer import Verdict
from blockspin.errors import TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.running._constrained import DRAWS
from blockspin.running._ranges import FEWEST, Fits, Model, cuts_of
from blockspin.running.base import Running

LEVEL = 0.05
SURE = 0.95
"""Of the intervals by which models are told apart."""
NAMED = 4
"""Couplings that a sentence names; more are counted."""


@dataclass(frozen=True, eq=False)
class Effective:
    """What couplings that count together do within a window.

    Args:
        names: The couplings.
        order: Of their beta function; 0 where they stay.
        p_value: Of a larger misfit, if they did; of this window and these couplings alone.
        first: Each coupling at the first scale of the window, as measured; where they stay, the constant.
        last: The same at the last scale.
    """

    names: tuple[str, ...]
    order: int
    p_value: float
    first: tuple[Measurement, ...]
    last: tuple[Measurement, ...]


@dataclass(frozen=True, eq=False)
class Window:
    """One effective theory and its domain.

    Args:
        labels: The scales over which it holds.
        log_lengths: ln of the lengths of the first and the last, NaN where there are none.
        effective: What its couplings do.
        p_value: The smallest of them after their number (Bonferroni).
        goodness: The smallest p-value of the theory's own fits at these scales, None where they have none.
    """

    labels: tuple[str, ...]
    log_lengths: tuple[float, float]
    effective: tuple[Effective, ...]
    p_value: float
    goodness: float | None


@dataclass(frozen=True, eq=False)
class Cell:
    """The model of one window at the scales of one window, which it was not fitted to.

    Args:
        model: Index of the window that the model is of.
        window: Index of the window whose scales are predicted.
        miss: Mean squared miss in units of the errors of measurement; infinite where the model has no value.
        nearer: By how much the window's own model lies nearer, in the same unit; None for itself, or where infinite.
        wins: Whether the window's own model is nearer beyond errors; None for itself.
    """

    model: int
    window: int
    miss: float
    nearer: Measurement | None
    wins: bool | None


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The effective theories along a flow.

    Args:
        verdict: Yes if one is refused and several are not, no if one is not refused, cannot tell if no windows hold.
        statement: The answer in a sentence.
        windows: In order of scale; none where none hold.
        table: Every model at the scales of every window.
    """

    verdict: Verdict
    statement: str
    windows: tuple[Window, ...] = ()
    table: tuple[Cell, ...] = ()


def windows(
    running: Running,
    groups: Sequence[Sequence[str]] | None = None,
    *,
    generator: torch.Generator,
    level: float = LEVEL,
) -> Hierarchy:
    r"""Find the fewest windows of consecutive scales over each of which one effective theory is not refused.

    Over a window a theory holds if every group of couplings stays there, or obeys one beta function, a polynomial of
    degree 1 to 4 that leaves two steps to test it by, at the level divided by the number of windows and groups
    (Bonferroni, so that what scales and couplings have in common does not matter). One window is tried, then two, and
    so on; the first number for which some windows hold is the answer. Where the truth has k windows, theirs are refused
    with a chance of at most ``level``: so is the chance to name more than k, which makes the number a lower bound. Of
    several partitions the one of least misfit plus twice its coefficients is taken.

    Each model is then carried to all scales: from its fitted trajectory, those of its own window each predicted without
    that scale. The table holds the squared misses.

    Args:
        running: Along any axis; scales at which a coupling does not exist are passed over.
        groups: Couplings that act on each other; by default each by itself.
        generator: Randomness of the simulated data sets that calibrate p-values.
        level: Chance of naming more windows than there are.

    Raises:
        TooFewSamplesError: If there are fewer than three scales.
        FitFailedError: If a coupling is exact.

    Do not trust when:
        A flow is smooth but of a higher order than is tried: it is then divided. A window is so short, or errors so
        large, that theories of its neighbours hold there too; the table tells. Errors of the table are those of the
        measurements that are predicted, for the models as fitted.

    Source:
        britt1973 for the fits, bai1998 for breaks named one number after the other.
    """
    chosen = tuple((name,) for name in running.names) if groups is None else tuple(map(tuple, groups))
    part = _whole(running, [name for names in chosen for name in names])
    if len(part) < FEWEST:
        raise TooFewSamplesError(f"{len(part)} scale(s) have no windows", f"Measure {FEWEST} or more.")
    fits = Fits(part, chosen, generator)
    for count in range(1, len(part) // FEWEST + 1):
        threshold = level / (count * len(chosen))
        if isfinite(part.dof) and threshold < 1 / (1 + DRAWS):
            break  # simulated p-values do not go so low: nothing would be refused
        cuts = cuts_of(fits, count, threshold)
        if cuts:
            return _found(fits, cuts, threshold, level)
    return Hierarchy(
        Verdict.CANNOT_TELL,
        f"{_listed(part.names)} along {part.axis.name}: no windows of at least {FEWEST} scales were found over each "
        f"of which couplings stay or obey a beta function ({100 * level:g} %).",
    )


# --- what was found ---------------------------------------------------------------------------------------------------


def _found(fits: Fits, cuts: Sequence[int], threshold: float, level: float) -> Hierarchy:
    parts = [range(start, end) for start, end in zip((0, *cuts), cuts, strict=False)]
    models = [fits.accepted(part, threshold) or () for part in parts]
    found = tuple(_window(fits, part, each) for part, each in zip(parts, models, strict=True))
    table = _table(fits, parts, models) if len(found) > 1 else ()
    verdict = Verdict.YES if len(found) > 1 else Verdict.NO
    return Hierarchy(verdict, _statement(fits.running, found, table, level), found, table)


def _window(fits: Fits, scales: Sequence[int], models: Sequence[Model]) -> Window:
    run = fits.running
    rows = []
    for names, model in zip(fits.groups, models, strict=True):
        ends = [tuple(run.measurement(s, name) for name in names) for s in (scales[0], scales[-1])]
        if not model.order:
            how = f"constant over {len(scales)} scales; {run.how}"
            errors = np.sqrt(np.diag(model.solution.covariance))
            still = zip(names, model.solution.theta, errors, strict=True)
            units = dict(zip(run.names, run.units, strict=True))
            ends = [
                tuple(Measurement(float(v), float(e), units[n], run.dof + 1, how, run.dof) for n, v, e in still)
            ] * 2
        rows.append(Effective(names, model.order, model.solution.p_value, *ends))
    p_value = min(1.0, len(rows) * min(row.p_value for row in rows))
    own = [g.p_value for s in scales if (g := run.goodness[s]) is not None and g.p_value is not None]
    lengths = float(run.log_lengths[scales[0]]), float(run.log_lengths[scales[-1]])
    return Window(tuple(run.labels[s] for s in scales), lengths, tuple(rows), p_value, min(own) if own else None)


def _table(fits: Fits, parts: Sequence[range], models: Sequence[Sequence[Model]]) -> tuple[Cell, ...]:
    """Hold every model against the scales of every window."""
    said = [_said(fits, part, each) for part, each in zip(parts, models, strict=True)]
    return tuple(_cell(fits.running, said, m, w, part) for w, part in enumerate(parts) for m in range(len(parts)))


def _said(fits: Fits, part: range, models: Sequence[Model]) -> np.ndarray:
    """Return what the models of a window say at every scale, not having seen it, [scales, couplings]."""
    rows = []
    for s, x in enumerate(fits.coordinates):
        row = []
        for group, model in enumerate(models):
            rest = [other for other in part if other != s]
            used = model if s not in part else fits.fit(rest, group, model.order, spare=0)
            row.append(np.full(len(fits.groups[group]), np.nan) if used is None else used.predict(float(x)))
        rows.append(np.concatenate(row))
    return np.array(rows)


def _cell(run: Running, said: Sequence[np.ndarray], model: int, window: int, part: range) -> Cell:
    rows = list(part)
    y, errors = run.values.numpy()[rows], run.errors.numpy()[rows]
    own, other = said[window][rows], said[model][rows]
    with np.errstate(over="ignore", invalid="ignore"):
        miss = float((((other - y) / errors) ** 2).mean())
    if model == window or not isfinite(miss) or not np.isfinite(own).all():
        wins = None if model == window else bool(np.isfinite(own).all())
        return Cell(model, window, miss if isfinite(miss) else inf, None, wins)
    gap = (other - own) / errors
    value = float((gap * (other + own - 2 * y) / errors).mean())
    slope = (-2 * gap / errors / gap.size).ravel()  # the difference of the squares is linear in what was measured
    K = len(run.names)
    flat = np.arange(rows[0] * K, (rows[-1] + 1) * K)
    error = float(np.sqrt(max(slope @ run.covariance.numpy()[np.ix_(flat, flat)] @ slope, 0.0)))
    how = f"squared misses in units of the error, {gap.size} points; error of the measurements with their covariance"
    nearer = Measurement(value, error, "1", run.dof + 1, how, run.dof)
    return Cell(model, window, miss, nearer, bool(nearer.interval(SURE)[0] > 0))


def _statement(run: Running, found: Sequence[Window], table: Sequence[Cell], level: float) -> str:
    head = f"{_listed(run.names)} along {run.axis.name}"
    if len(found) == 1:
        return (
            f"{head}: one effective theory is not refused over all {len(run)} scales (p = {found[0].p_value:.2g}); "
            "more than one is not called for."
        )
    spans = "; ".join(f"{w.labels[0]} to {w.labels[-1]}, {_what(w)}" for w in found)
    others = [cell for cell in table if cell.model != cell.window]
    won = sum(cell.wins is True for cell in others)
    return (
        f"{head}: one effective theory is refused and {len(found)} are not ({100 * level:g} %): {spans}. At scales "
        f"held out, the model of a window is nearer there than that of another in {won} of {len(others)} comparisons."
    )


def _what(window: Window) -> str:
    stay = [name for e in window.effective for name in e.names if not e.order]
    run = [name for e in window.effective for name in e.names if e.order]
    parts = [f"{_listed(names)} {word}" for names, word in ((stay, "constant"), (run, "running")) if names]
    return " and ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} couplings"


def _whole(running: Running, names: Sequence[str]) -> Running:
    """Return the scales at which all couplings exist; without lengths, unless all have one."""
    part = running.select(names=names)
    part = part.select(scales=part.known().all(1).nonzero().flatten().tolist())
    if bool(part.log_lengths.isfinite().all()):
        return part
    return replace(part, log_lengths=torch.full_like(part.log_lengths, torch.nan))
