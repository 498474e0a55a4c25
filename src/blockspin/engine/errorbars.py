"""Error bars: delete-group jackknife for smooth numbers, random halves of the units for the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from blockspin.errors import TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, Monoid, RowMonoid, State, SubsetEstimator

HALVES = 100
"""How many random halves are drawn: the error is then known to 1 / sqrt(2 * 99) = 7 %."""


def measure_error(
    estimator: Estimator, group_states: Sequence[State], *, generator: torch.Generator, units: float | None = None
) -> dict[str, Measurement]:
    """Return an estimator's numbers with the error bar that suits it.

    Smooth numbers get the delete-group jackknife. Others, and whatever keeps rows, get random halves: a state that
    keeps a bounded number of rows would be refilled from the other groups when one is left out, which the jackknife
    does not allow for.

    Args:
        estimator: What is measured.
        group_states: The state of each group of units, in order.
        generator: Randomness of the halves.
        units: Effective number of independent units, where it is known.
    """
    if estimator.smooth and not isinstance(estimator.monoid, RowMonoid):
        return jackknife(estimator, group_states, units=units)
    return halves(estimator, group_states, generator=generator, units=units)


def jackknife(
    estimator: Estimator, group_states: Sequence[State], *, units: float | None = None
) -> dict[str, Measurement]:
    r"""Return the numbers of all groups together, with errors of the delete-group jackknife.

    .. math:: \sigma^2 = \frac{G - 1}{G} \sum_g (\theta_{-g} - \bar\theta)^2

    with Student's t for G - 1 degrees of freedom. The estimate is that of all the data: the jackknife's own estimate
    of the bias is not subtracted, because its noise is as large as the bias wherever that matters little.

    A number that does not exist when some group is left out (or has another shape then) gets the error NaN, and says
    so in ``how``.

    Args:
        estimator: What is measured; smooth in the data.
        group_states: The state of each group of units, in order; units are independent between groups.
        units: Effective number of independent units; by default what the state tells.

    Raises:
        TooFewSamplesError: If a group is empty, or there are fewer than two.

    Source:
        quenouille1956.
    """
    groups = len(group_states)
    _check_groups(estimator.monoid, group_states)
    total = merged(estimator.monoid, group_states)
    value = estimator.value(total)
    replicas = [estimator.value(rest) for rest in leave_one_out(estimator.monoid, group_states)]
    how = f"delete-group jackknife, {groups} groups"
    n_eff = units or _units_of(estimator.monoid, total, groups)
    scale = (groups - 1) / groups**0.5
    rows = {}
    for key, whole in value.items():
        error = _spread(whole, [replica.get(key) for replica in replicas], scale)
        rows[key] = _measurement(estimator.units[key], whole, error, units=n_eff, how=how, dof=groups - 1)
    return rows


def halves(
    estimator: Estimator,
    group_states: Sequence[State],
    *,
    generator: torch.Generator,
    count: int = HALVES,
    units: float | None = None,
) -> dict[str, Measurement]:
    r"""Return the numbers of all groups together, with the spread over random halves as their errors.

    Halves are drawn without replacement: of the units where the state keeps rows, of the groups otherwise. The mean of
    m units out of n scatters by :math:`\sigma \sqrt{(n - m) / (n m)}` around that of all, which at m = n / 2 is the
    standard error of the mean of all; for m = (n - 1) / 2 the factor is put right. The error of a statistic that
    converges faster than :math:`1 / \sqrt n` comes out too large (by 1.7 for a degenerate U-statistic). With
    replacement a pair statistic would meet the same sample twice, which puts back the diagonal that debiasing takes
    out.

    Args:
        estimator: What is measured.
        group_states: The state of each group of units, in order.
        generator: Randomness of the halves.
        count: How many halves.
        units: Effective number of independent units; by default what the state tells.

    Raises:
        TooFewSamplesError: If a group is empty, or there are fewer than four units (groups) to halve.

    Source:
        politis1994.
    """
    monoid = estimator.monoid
    if isinstance(monoid, RowMonoid):
        total = merged(monoid, group_states)
        distinct, member = torch.unique(total["units"], return_inverse=True)
        n, what = len(distinct), "units"
        chosen = _random_halves(n, count, generator)[:, member]
        everything = torch.ones(1, len(member), dtype=torch.bool)  # goes with the halves, so that kernels are made once
        whole_value, *values = _values_on_rows(estimator, monoid, total, torch.cat([everything, chosen]))
        n_eff = float(n)
    else:
        _check_groups(monoid, group_states)
        total = merged(monoid, group_states)
        n, what = len(group_states), "groups"
        chosen = _random_halves(n, count, generator)
        parts = ([group_states[g] for g in half.nonzero().flatten().tolist()] for half in chosen)
        whole_value, values = estimator.value(total), [estimator.value(merged(monoid, part)) for part in parts]
        n_eff = units or _units_of(monoid, total, n)
    how = f"{count} random halves of the {n} {what}, without replacement"
    scale = (n // 2 / (n - n // 2)) ** 0.5
    dof = min(n, count) - 1
    rows = {}
    for key, whole in whole_value.items():
        error = _spread(whole, [value.get(key) for value in values], scale)
        rows[key] = _measurement(estimator.units[key], whole, error, units=n_eff, how=how, dof=dof)
    return rows


# --- merging ---------------------------------------------------------------------------------------------------------


def merged(monoid: Monoid, states: Sequence[State]) -> State:
    """Return the state of all parts, merged in order."""
    total = monoid.start()
    for i in range(len(states)):
        total = monoid.merge(total, states[i])
    return total


def leave_one_out(monoid: Monoid, states: Sequence[State], rest: State | None = None) -> Iterator[State]:
    """Yield, for each part in order, the state of all the others; halving needs but log2 of them in memory at a time.

    Args:
        monoid: What is added up.
        states: The parts.
        rest: What belongs to every one of the results.
    """
    rest = monoid.start() if rest is None else rest
    if len(states) == 1:
        yield rest
        return
    middle = len(states) // 2
    left, right = states[:middle], states[middle:]
    yield from leave_one_out(monoid, left, monoid.merge(rest, merged(monoid, right)))
    yield from leave_one_out(monoid, right, monoid.merge(rest, merged(monoid, left)))


# --- inner workings --------------------------------------------------------------------------------------------------


def _random_halves(n: int, count: int, generator: torch.Generator) -> Tensor:
    """Return masks [count, n], each of n // 2 true entries."""
    if n < 4:
        raise TooFewSamplesError(f"{n} independent units cannot be halved for an error bar", "Give more units.")
    masks = torch.zeros(count, n, dtype=torch.bool)
    for mask in masks:
        mask[torch.randperm(n, generator=generator)[: n // 2]] = True
    return masks


def _values_on_rows(estimator: Estimator, monoid: RowMonoid, total: State, masks: Tensor) -> list[Mapping[str, Tensor]]:
    if isinstance(estimator, SubsetEstimator):
        return list(estimator.values_of(total, masks))
    return [estimator.value(monoid.restrict(total, mask)) for mask in masks]


def _spread(whole: Tensor, replicas: Sequence[Tensor | None], scale: float) -> Tensor | None:
    """Return the scaled standard deviation of the replicas, or None where one is missing or has another shape."""
    found = [replica for replica in replicas if replica is not None and replica.shape == whole.shape]
    if len(found) < len(replicas):
        return None
    return torch.stack(found).to(torch.float64).std(0) * scale


def _measurement(unit: str, whole: Tensor, error: Tensor | None, *, units: float, how: str, dof: float) -> Measurement:
    """Return value and error as a measurement; without an error it says why."""
    value = whole.to(torch.float64).numpy()
    if error is None:
        return Measurement(value, np.nan, unit, units, f"{how}; not defined on all of them", dof)
    return Measurement(value, error.numpy(), unit, units, how, dof)


def _check_groups(monoid: Monoid, states: Sequence[State]) -> None:
    if len(states) < 2:
        raise TooFewSamplesError(f"{len(states)} group(s) of units give no error bar", "Use at least two groups.")
    start = monoid.start()
    empty = [g for g in range(len(states)) if _same(states[g], start)]
    if empty:
        raise TooFewSamplesError(
            f"{len(empty)} of {len(states)} groups hold no unit (the first is group {empty[0]})",
            "Give more samples, or use fewer groups.",
        )


def _same(state: State, other: State) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[key], other[key]) for key in state)


def _units_of(monoid: Monoid, state: State, groups: int) -> float:
    """Return what a state tells about the number of independent units; at least, there are as many as groups."""
    if isinstance(monoid, RowMonoid):
        return float(len(torch.unique(state["units"])))
    if "weight" in state and "squares" in state and not state["squares"].ndim:
        return float(state["weight"]) ** 2 / float(state["squares"])
    return float(groups)
