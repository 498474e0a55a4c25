"""Replicas: couplings at one scale, and what they are when each group is left out; put together they are a running."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from blockspin.couplings.base import Coupling, Goodness
from blockspin.engine.errorbars import leave_one_out, merged
from blockspin.errors import BlockspinError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, State
from blockspin.running._joint import goodness_between, jackknife_covariance, scalars
from blockspin.running.base import Running

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Replicas:
    """Couplings at one scale; scales are kept apart so that some can be read without the others.

    Args:
        values: By name.
        replicas: With each group left out [groups], by name.
        units: By name.
        goodness: How well the theory fits, or None.
        left_out: Operators that the theory does not have.
        notes: Ranks and conditioning, by name.
        reason: Why there are no couplings, no goodness or no remarks, each under its name; blank where there are.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    replicas: Mapping[str, Sequence[float]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    goodness: Goodness | None = None
    left_out: tuple[str, ...] = ()
    notes: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    @classmethod
    def of(cls, estimator: Estimator, states: Sequence[State]) -> Replicas:
        """Return the couplings of one scale; what an estimator refuses is kept as the reason.

        Arrays of more entries than the coupling's ``followed`` are left out.

        Args:
            estimator: A coupling, or an observable.
            states: Of each group of units.
        """
        monoid, left_out = estimator.monoid, getattr(estimator, "left_out", ())
        try:
            state = merged(monoid, states)
            whole = estimator.value(state)
            rest = [_scalars(estimator.value(s), estimator) for s in leave_one_out(monoid, states)]
        except BlockspinError as reason:
            return cls(left_out=left_out, reason=str(reason))
        noted = estimator.noted if isinstance(estimator, Coupling) else ()
        found = {name: row for name, row in _scalars(whole, estimator).items() if all(name in r for r in rest)}
        goodness, unfit = _or_why("goodness of fit", lambda: goodness_between(estimator, states))
        remarks, unsaid = _or_why(
            "remarks", lambda: estimator.remarks(state) if isinstance(estimator, Coupling) else {}
        )
        return cls(
            {name: value for name, (value, _) in found.items()},
            {name: [row[name][0] for row in rest] for name in found},
            {name: unit for name, (_, unit) in found.items()},
            goodness,
            left_out,
            {key: float(whole[key]) for key in noted if key in whole and whole[key].ndim == 0} | dict(remarks or {}),
            "; ".join(filter(None, (unfit, unsaid))),
        )

    def halves(self, name: str) -> tuple[float, float]:
        """Return a coupling from the even and from the odd groups, to first order in their influence."""
        rest = np.asarray(self.replicas[name])
        pseudo = len(rest) * self.values[name] - (len(rest) - 1) * rest
        return float(pseudo[::2].mean()), float(pseudo[1::2].mean())

    def measurement(self, name: str) -> Measurement:
        """Return one coupling with its error."""
        rest = np.asarray(self.replicas[name])
        groups = len(rest)
        error = float(rest.std(ddof=1) * (groups - 1) / groups**0.5)
        how = f"delete-group jackknife, {groups} groups"
        return Measurement(self.values[name], error, self.units[name], groups, how, groups - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        goodness = None if self.goodness is None else self.goodness.to_dict()
        plain = {key: dict(getattr(self, key)) for key in ("values", "units", "notes")}
        replicas = {name: list(map(float, rest)) for name, rest in self.replicas.items()}
        rest = {"goodness": goodness, "left_out": list(self.left_out), "reason": self.reason}
        return {**plain, "replicas": replicas, **rest}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Replicas:
        """Return what ``to_dict`` wrote."""
        g = row["goodness"]
        goodness = None if g is None else Goodness.from_dict(g)
        values, replicas, units, notes = (row[key] for key in ("values", "replicas", "units", "notes"))
        return cls(values, replicas, units, goodness, tuple(row["left_out"]), notes, row["reason"])


def _or_why(what: str, make: Callable[[], T]) -> tuple[T | None, str]:
    """Return what was made, or None and why it could not be, told under its own name."""
    try:
        return make(), ""
    except BlockspinError as reason:
        return None, f"{what}: {reason}"


def _scalars(numbers: Mapping[str, Tensor], estimator: Estimator) -> dict[str, tuple[float, str]]:
    most = estimator.followed if isinstance(estimator, Coupling) else Coupling.followed
    return scalars({key: tensor for key, tensor in numbers.items() if tensor.numel() <= most}, estimator)


def halves_of(rows: Sequence[Replicas], names: Sequence[str]) -> np.ndarray:
    """Return couplings of several scales from either half of the groups, NaN where there is none.

    Args:
        rows: One a scale.
        names: The couplings.

    Returns:
        [2, scales, couplings].
    """
    found = np.full((2, len(rows), len(names)), np.nan)
    for at in np.ndindex(len(rows), len(names)):
        row, name = rows[at[0]], names[at[1]]
        if name in row.values:
            found[:, *at] = row.halves(name)
    return found


def together(
    axis: Axis, labels: Sequence[str], positions: Sequence[float], lengths: Sequence[float], rows: Sequence[Replicas]
) -> Running:
    """Return the running of couplings whose replicas are over the same groups at every scale.

    Args:
        axis: What the scale runs along.
        labels: The scales.
        positions: Where they lie, ascending.
        lengths: ln of their lengths, NaN where there is none.
        rows: One a scale.

    Raises:
        ShapeError: If no scale has a coupling, or scales differ in their number of groups.
        TooFewSamplesError: If there are fewer than two groups.
    """
    units = {name: unit for row in rows for name, unit in row.units.items()}
    groups = {len(rest) for row in rows for rest in row.replicas.values()}
    if not groups:
        reasons = list(dict.fromkeys(row.reason for row in rows if row.reason))
        more = f", and {len(reasons) - 1} more reasons" if len(reasons) > 1 else ""
        why = f" ({reasons[0].rstrip('.')}{more})" if reasons else ""  # a theory may find nothing to have couplings of
        raise ShapeError(f"no coupling exists at any of {len(rows)} scales{why}", "Look at other scales.")
    if len(groups) != 1:
        raise ShapeError(f"couplings of {sorted(groups)} groups", "Measure every scale over the same groups.")
    (count,) = groups
    if count < 2:
        raise TooFewSamplesError(f"{count} group of units gives no error bar", "Use at least two groups.")
    absent = [np.nan] * count
    values = np.array([[row.values.get(name, np.nan) for name in units] for row in rows])
    table = np.array([row.replicas.get(name, absent) for row in rows for name in units])
    left_out = tuple(dict.fromkeys(operator for row in rows for operator in row.left_out))
    return Running(
        axis,
        tuple(labels),
        torch.tensor(positions, dtype=torch.float64),
        torch.tensor(lengths, dtype=torch.float64),
        tuple(units),
        tuple(units.values()),
        torch.tensor(values),
        jackknife_covariance(torch.tensor(table).T),
        count - 1,
        tuple(row.goodness for row in rows),
        left_out,
        f"delete-group jackknife of all scales at once, {count} groups",
    )
