"""Assembled: runnings from ensembles in memory, from fits, from measurements, and from independent runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blockspin.couplings.base import Coupling, Fit
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import AlignmentError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis, Flow, Scale
from blockspin.law import EnumeratedLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, State, accumulate
from blockspin.running._joint import entries, goodness_between, one_a_scale, scalars
from blockspin.running.base import Running, running_of

GROUPS = 20
"""Groups of units behind the errors."""


def running_of_flow(flow: Flow, couplings: Estimator | Sequence[Estimator], *, groups: int = GROUPS) -> Running:
    """Return the running of couplings along a flow whose ensembles are in memory; exact along a flow of laws.

    The same units are in the same group at every scale: consecutive ones where samples are those of chains.

    Args:
        flow: Computed by ``iterate``, over the same samples at every scale.
        couplings: What is measured: one estimator, or one a scale.
        groups: Groups of units.

    Raises:
        ShapeError: If a scale holds neither samples nor an enumerated law, or an estimator reads pairs.
        AlignmentError: If scales are not over the same samples.
        TooFewSamplesError: If a group is empty.
    """
    each = one_a_scale(couplings, len(flow))
    pairs = [estimator for estimator in each if estimator.monoid.inputs != 1]
    if pairs:
        raise ShapeError(f"{pairs[0].name} reads pairs of ensembles", "See ``scaling`` for what belongs to a step.")
    if all(isinstance(scale.ensemble, EnumeratedLaw) for scale in flow):
        return _exact(flow, each)
    return running_of(flow, each, [_states(s, e, flow[0], groups) for s, e in zip(flow, each, strict=True)])


def running_of_fits(flow: Flow, fits: Sequence[Fit]) -> Running:
    """Return the running of fitted couplings; scales count as independent, for fits alone do not tell otherwise.

    Args:
        flow: Where the scales are taken from.
        fits: One a scale.

    Raises:
        ShapeError: If there are not as many fits as scales.
    """
    if len(fits) != len(flow):
        raise ShapeError(f"{len(fits)} fits for {len(flow)} scales", "Give one a scale.")
    left_out = tuple(dict.fromkeys(operator for fit in fits for operator in fit.left_out))
    running = _diagonal(flow, [fit.parameters for fit in fits])
    return replace(running, goodness=tuple(fit.goodness for fit in fits), left_out=left_out)


def running_of_measurements(flow: Flow, keys: Iterable[str] | None = None) -> Running:
    """Return measurements that a flow carries as a running; scales count as independent.

    Args:
        flow: A flow with measurements.
        keys: Which, "observable/quantity"; by default all.

    Raises:
        ShapeError: If no scale carries any of them.
    """
    chosen = None if keys is None else set(keys)
    rows = [{k: m for k, m in scale.measurements.items() if chosen is None or k in chosen} for scale in flow]
    return _diagonal(flow, rows)


def joined(runs: Sequence[Running], axis: Axis | None = None) -> Running:
    """Return independent runs as one: networks of several widths, lattices of several sizes; block-diagonal covariance.

    Args:
        runs: Independent of each other, in ascending order of position, over the same couplings.
        axis: What they run along together; by default the axis of the first.

    Raises:
        ShapeError: If couplings differ, or positions do not ascend.
    """
    _check_alike(runs)
    return Running(
        axis or runs[0].axis,
        tuple(label for run in runs for label in run.labels),
        torch.cat([run.positions for run in runs]),
        torch.cat([run.log_lengths for run in runs]),
        runs[0].names,
        runs[0].units,
        torch.cat([run.values for run in runs]),
        torch.block_diag(*[run.covariance for run in runs]),
        min(run.dof for run in runs),
        tuple(g for run in runs for g in run.goodness),
        tuple(dict.fromkeys(operator for run in runs for operator in run.left_out)),
        f"{len(runs)} independent runs; {runs[0].how}",
    )


def averaged(runs: Sequence[Running]) -> Running:
    """Return the mean over independent runs (seeds) of the same scales; the covariance is that of the mean over runs.

    Args:
        runs: At least two, of the same couplings at the same scales.

    Raises:
        TooFewSamplesError: If there are fewer than two runs.
        ShapeError: If they differ in scales or couplings.
    """
    if len(runs) < 2:
        raise TooFewSamplesError(f"{len(runs)} run(s) give no scatter between runs", "Give at least two seeds.")
    _check_alike(runs)
    if any(run.labels != runs[0].labels or not torch.equal(run.positions, runs[0].positions) for run in runs):
        raise ShapeError("runs are not over the same scales", "Select the scales that they share.")
    stacked = torch.stack([run.values for run in runs])
    flat = stacked.reshape(len(runs), -1)
    how = f"mean over {len(runs)} independent runs, covariance between scales from their scatter"
    return replace(
        runs[0],
        values=stacked.mean(0),
        covariance=(flat.T.cov() / len(runs)).reshape(flat.shape[1], flat.shape[1]),
        dof=len(runs) - 1.0,
        goodness=(None,) * len(runs[0]),
        how=how,
    )


# --- inner workings --------------------------------------------------------------------------------------------------


def _states(scale: Scale, estimator: Estimator, first: Scale, groups: int) -> list[State]:
    if not (isinstance(scale.ensemble, Ensemble) and isinstance(first.ensemble, Ensemble)):
        raise ShapeError(f"scale {scale.label!r} holds no samples in memory", "Give the states of its groups instead.")
    if not torch.equal(scale.ensemble.ids, first.ensemble.ids):
        raise AlignmentError(
            f"{scale.label!r} and {first.label!r} are not over the same samples", "Join independent runs instead."
        )
    group = group_of(first.ensemble.units, groups, chain=first.ensemble.chain)
    parts = [(group == g).nonzero().flatten() for g in range(groups)]
    empty = [g for g, part in enumerate(parts) if not len(part)]
    if empty:
        raise TooFewSamplesError(f"{len(empty)} of {groups} groups hold no unit", "Give more samples or fewer groups.")
    return [accumulate(estimator.monoid, scale.ensemble.select(part)) for part in parts]


def _exact(flow: Flow, each: Sequence[Estimator]) -> Running:
    states = [accumulate(e.monoid, scale.ensemble) for e, scale in zip(each, flow, strict=True)]
    rows: list[dict[str, Measurement]] = []
    for estimator, state in zip(each, states, strict=True):
        found = scalars(estimator.value(state), estimator)
        rows.append({name: Measurement(value, 0.0, unit) for name, (value, unit) in found.items()})
    left_out = tuple(dict.fromkeys(o for c in each if isinstance(c, Coupling) for o in c.left_out))
    goodness = tuple(goodness_between(e, [state, state]) for e, state in zip(each, states, strict=True))
    return replace(_diagonal(flow, rows), how="exact", goodness=goodness, left_out=left_out)


def _diagonal(flow: Flow, rows: Sequence[Mapping[str, Measurement]]) -> Running:
    flat = [{name: (m, i) for key, m in row.items() for i, (name, _) in enumerate(_named(key, m))} for row in rows]
    names = tuple(dict.fromkeys(name for row in flat for name in row))
    if not names:
        raise ShapeError(f"no coupling was measured along {flow.name}", "Name quantities that it carries.")
    table = np.full((2, len(flow), len(names)), np.nan)
    units: dict[str, str] = {}
    for s, row in enumerate(flat):
        for name, (m, i) in row.items():
            table[:, s, names.index(name)] = np.ravel(m.value)[i], np.ravel(m.error)[i]
            units[name] = m.unit
    variance = torch.from_numpy(table[1]).flatten() ** 2
    variance[torch.from_numpy(table[0]).flatten().isnan()] = torch.nan
    found: list[Any] = [m for row in flat for m, _ in row.values()]
    lengths = [np.nan if scale.log_length is None else scale.log_length for scale in flow]
    return Running(
        flow.axis,
        flow.labels,
        torch.tensor([float(scale.position) for scale in flow]),
        torch.tensor(lengths),
        names,
        tuple(units[name] for name in names),
        torch.from_numpy(table[0]),
        _spread_out(variance),
        min(m.dof for m in found),
        (None,) * len(flow),
        (),
        f"{found[0].how}; scales and couplings taken as independent",
    )


def _named(key: str, m: Measurement) -> list[tuple[str, float]]:
    return entries(key, np.asarray(m.value, dtype=float))


def _spread_out(variance: Tensor) -> Tensor:
    C = torch.diag(torch.nan_to_num(variance))
    C[variance.isnan()] = torch.nan
    C[:, variance.isnan()] = torch.nan
    return C


def _check_alike(runs: Sequence[Running]) -> None:
    if not runs or any(run.names != runs[0].names or run.units != runs[0].units for run in runs):
        raise ShapeError("runs are not over the same couplings in the same units", "Select the ones that they share.")
