"""Joint values: all couplings at all scales as one vector, its jackknife covariance, and what a record must satisfy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from blockspin.couplings.base import Coupling, Goodness
from blockspin.engine.errorbars import leave_one_out, merged
from blockspin.errors import NonFiniteError, ShapeError, TooFewSamplesError
from blockspin.observables.base import Estimator, State

if TYPE_CHECKING:
    from blockspin.running.base import Running

ROUNDING = 1e-9
"""Share of the largest entry by which correlations may miss symmetry, or their smallest eigenvalue positivity."""


def check_running(running: Running) -> None:
    """Refuse a record whose parts do not agree.

    Raises:
        ShapeError: If shapes do not agree, positions do not ascend, names repeat, or the covariance is none.
        NonFiniteError: If a position is not finite, a coupling infinite, or a coupling without value has a variance.
    """
    S, K = len(running.labels), len(running.names)
    shapes = {
        "positions": (S,),
        "log_lengths": (S,),
        "values": (S, K),
        "covariance": (S * K, S * K),
    }
    for field, expected in shapes.items():
        shape = tuple(getattr(running, field).shape)
        if shape != expected:
            raise ShapeError(f"{field} of the shape {shape} for {S} scales of {K} couplings", f"Give {expected}.")
    for field, count in (("units", K), ("goodness", S)):
        if len(getattr(running, field)) != count:
            raise ShapeError(f"{len(getattr(running, field))} {field} for {count}", "Give one each.")
    for field in ("names", "labels"):
        repeated = [name for name in getattr(running, field) if getattr(running, field).count(name) > 1]
        if repeated:
            raise ShapeError(f"the name {repeated[0]!r} stands twice among the {field}", "Rename one of them.")
    if not S or not K:
        raise ShapeError(f"{S} scales of {K} couplings are no running", "Give at least one of each.")
    _check_numbers(running)
    _check_covariance(running)


def _check_numbers(running: Running) -> None:
    if not bool(running.positions.isfinite().all()) or bool(running.log_lengths.isinf().any()):
        raise NonFiniteError(f"a position along {running.axis.name} is NaN or infinite", "Leave the scale out.")
    if bool((running.positions.diff() <= 0).any()):
        raise ShapeError(f"positions {running.positions.tolist()} do not ascend", "Sort the scales, name each once.")
    if bool(running.values.isinf().any()):
        scale, column = (int(i) for i in running.values.isinf().nonzero()[0])
        raise NonFiniteError(
            f"{running.names[column]} is infinite at {running.labels[scale]}", "Enter NaN where a coupling is missing."
        )
    if isnan(running.dof) or running.dof <= 0:
        raise NonFiniteError(f"dof = {running.dof} degrees of freedom", "Give groups - 1, or infinity.")


def _check_covariance(running: Running) -> None:
    C = running.covariance
    variance = C.diagonal()
    missing = variance.isnan()
    if bool((~missing & running.values.flatten().isnan()).any()):
        raise NonFiniteError("a coupling without value has a variance", "Enter NaN in its rows and columns.")
    C, variance = C[~missing][:, ~missing], variance[~missing]
    if not bool(C.isfinite().all()):
        raise NonFiniteError("a covariance between couplings that exist is NaN or infinite", "Enter it.")
    root = variance.clamp(min=0).sqrt()
    unit = torch.where(root > 0, root, 1.0)
    R = C / unit[:, None] / unit
    if bool((variance < 0).any()) or bool(((R - R.T).abs() > ROUNDING).any()) or _least(R) < -ROUNDING * max(len(R), 1):
        raise ShapeError("the covariance is not symmetric with eigenvalues of at least 0", "Take it from replicas.")


def _least(R: Tensor) -> float:
    return float(torch.linalg.eigvalsh(R)[0]) if len(R) else 0.0


# --- from states -----------------------------------------------------------------------------------------------------


def one_a_scale(couplings: Estimator | Sequence[Estimator], scales: int) -> list[Estimator]:
    """Return an estimator for every scale.

    Raises:
        ShapeError: If there are not as many as scales.
    """
    each = [couplings] * scales if isinstance(couplings, Estimator) else list(couplings)
    if len(each) != scales:
        raise ShapeError(f"{len(each)} couplings for {scales} scales", "Give one, or one a scale.")
    return each


def joint_values(
    each: Sequence[Estimator], states: Sequence[Sequence[State]]
) -> tuple[tuple[str, ...], tuple[str, ...], Tensor, Tensor, int]:
    """Return names, units, values [scales, couplings], their joint covariance, and the number of groups.

    Raises:
        ShapeError: If rows of states do not go with the estimators, or differ in their number of groups.
        TooFewSamplesError: If there are fewer than two groups.
    """
    groups = len(states[0]) if states else 0
    if len(states) != len(each) or any(len(row) != groups for row in states):
        raise ShapeError(
            f"states of {[len(row) for row in states]} groups for {len(each)} scales", "Give the same groups at each."
        )
    if groups < 2:
        raise TooFewSamplesError(f"{groups} group(s) of units give no error bar", "Use at least two groups.")
    whole, rest = [], []
    for estimator, row in zip(each, states, strict=True):
        whole.append(scalars(estimator.value(merged(estimator.monoid, row)), estimator))
        rest.append([scalars(estimator.value(s), estimator) for s in leave_one_out(estimator.monoid, row)])
    units = {name: unit for row in whole for name, (_, unit) in row.items()}
    names = tuple(units)
    values = _table(whole, names)
    replicas = torch.stack([_table([row[g] for row in rest], names).flatten() for g in range(groups)])
    covariance = jackknife_covariance(replicas)
    covariance[values.flatten().isnan()] = torch.nan
    covariance[:, values.flatten().isnan()] = torch.nan
    return names, tuple(units.values()), values, covariance, groups


def jackknife_covariance(replicas: Tensor) -> Tensor:
    """Return the covariance [entries, entries] of values whose replicas leave out a group each, [groups, entries]."""
    groups, entries = replicas.shape
    return (replicas.T.cov() * (groups - 1) ** 2 / groups).reshape(entries, entries)


def scalars(numbers: Mapping[str, Tensor], estimator: Estimator) -> dict[str, tuple[float, str]]:
    """Return (value, unit) of every coupling; entries of an array by name, notes left out."""
    noted = estimator.noted if isinstance(estimator, Coupling) else ()
    named = estimator.entries if isinstance(estimator, Coupling) else {}
    units = {key: estimator.units[key] for key in numbers if key not in noted}
    return {
        name: (value, unit)
        for key, unit in units.items()
        for name, value in entries(key, np.asarray(numbers[key]), named.get(key, ()))
    }


def entries(name: str, values: np.ndarray, of: Sequence[str] = ()) -> list[tuple[str, float]]:
    """Return the entries of an array by name, counted from one: ("pair[1]", ...), ("matrix[1,2]", ...).

    Args:
        name: Of the array.
        values: Of any shape.
        of: Names of the entries of a row, where there are.
    """
    if not values.ndim:
        return [(name, float(values))]
    if of:
        return [(f"{name}[{entry}]", float(value)) for entry, value in zip(of, values, strict=True)]
    return [(f"{name}[{','.join(str(i + 1) for i in at)}]", float(value)) for at, value in np.ndenumerate(values)]


def _table(rows: Sequence[Mapping[str, tuple[float, str]]], names: Sequence[str]) -> Tensor:
    absent = (torch.nan, "")
    return torch.tensor([[row.get(name, absent)[0] for name in names] for row in rows], dtype=torch.float64)


def goodness_between(estimator: Estimator, row: Sequence[State]) -> Goodness | None:
    """Return how well couplings fitted to every second group describe the others; None for what is no coupling."""
    if not isinstance(estimator, Coupling):
        return None
    return estimator.goodness(merged(estimator.monoid, row[::2]), merged(estimator.monoid, row[1::2]))
