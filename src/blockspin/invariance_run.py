"""Invariance run: whether the computed flows of a run prefer a scale, and how far correlations reach where they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from blockspin.answer import Verdict
from blockspin.couplings_measured import LARGEST
from blockspin.engine.errorbars import leave_one_out, merged
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import BlockspinError, FitFailedError
from blockspin.flow import Direction, Flow
from blockspin.geometry import Grid
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate
from blockspin.registry import member
from blockspin.running._joint import jackknife_covariance
from blockspin.running.base import Running
from blockspin.running.course import Course
from blockspin.running.invariance import correlation_length, invariance_of
from blockspin.study import DATA

MOST = 16
"""Distances that a length is read off."""


def invariances(runs: Mapping[tuple[str, str], Running], courses: Mapping[tuple[str, str], Sequence[Course]]) -> Any:
    """Return of every coarsening flow with a length whether its couplings prefer a scale.

    Args:
        runs: By flow and theory.
        courses: What became of each coupling alone; those whose constant could not be fitted are left out.
    """
    rows = []
    for flow in dict.fromkeys(slug for slug, _ in courses):
        still = [
            (runs[key].select(names=item.names, scales=[runs[key].labels.index(s) for s in item.labels]), item.plateau)
            for key, items in courses.items()
            for item in items
            if key[0] == flow and len(item.names) == 1 and item.plateau is not None and _coarsens(runs[key])
        ]
        if still:
            found = invariance_of(still)
            rows.append({"flow": flow, "verdict": found.verdict.value, "statement": found.statement})
    return rows


def reaches(flows: Mapping[str, Flow], groups: int, seed: int) -> dict[str, Measurement]:
    """Return how far correlations reach at the finest level of every flow over a lattice, where that is a length.

    Args:
        flows: By slug; their scales carry ensembles.
        groups: Of units, behind the errors.
        seed: Randomness of the data sets that calibrate errors.
    """
    found = {}
    for slug, flow in flows.items():
        finest = next((scale.ensemble for scale in flow if scale.label != DATA), None)
        if not isinstance(finest, Ensemble) or not isinstance(finest.geometry, Grid):
            continue
        try:
            found[slug] = _reach(finest, finest.geometry, groups, seed)
        except (BlockspinError, np.linalg.LinAlgError):
            continue  # no length describes how correlations fall off, and none is named
    return found


def invariance_sentences(rows: Sequence[Mapping[str, Any]], lengths: Mapping[str, Measurement]) -> list[str]:
    """Return one sentence a flow: whether a scale is preferred, and the length of correlations where one is.

    Args:
        rows: What ``invariances`` returned.
        lengths: What ``reaches`` returned.
    """
    said = []
    for row in rows:
        length = lengths.get(row["flow"])
        named = row["verdict"] == Verdict.NO.value and length is not None
        more = f" Correlations at the finest level fall off exponentially over {length}." if named else ""
        said.append(f"{row['flow'].capitalize()} flow, fields brought to unit variance. {row['statement']}{more}")
    return said


def _coarsens(run: Running) -> bool:
    return run.axis.direction is Direction.COARSENING and bool(run.log_lengths.isfinite().all())


def _reach(field: Ensemble, geometry: Grid, groups: int, seed: int) -> Measurement:
    """Fit the correlations of a field by their joint jackknife covariance.

    Raises:
        FitFailedError: If no exponential describes them, or the field is too large.
        GeometryError: If a lattice is too small.
    """
    if field.values[0].numel() > LARGEST:
        raise FitFailedError(f"a field of more than {LARGEST} values", "Coarse-grain it first.")
    estimator = member("observables", "correlation")(geometry)
    group = group_of(field.units, groups, chain=field.chain)
    states = [accumulate(estimator.monoid, field.select((group == g).nonzero().flatten())) for g in range(groups)]
    whole = estimator.value(merged(estimator.monoid, states))
    keep = slice(1, MOST + 1)
    rest = [estimator.value(state)["correlation"][keep] for state in leave_one_out(estimator.monoid, states)]
    distance, correlation = (whole[key][keep].numpy() for key in ("distance", "correlation"))
    covariance = jackknife_covariance(torch.stack(rest)).numpy()
    generator = torch.Generator().manual_seed(seed)
    return correlation_length(distance, correlation, covariance, groups - 1, generator=generator)
