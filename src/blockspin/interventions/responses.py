"""Responses: whether shifted features move others as couplings that were only observed predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.answer import Verdict
from blockspin.engine.errorbars import leave_one_out, merged
from blockspin.interventions.graph import inverse
from blockspin.interventions.shifts import Hop, Mean, Means
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.observables.covariance import Moments, estimated

GIVEN, WHOLE = "given features", "whole activation"
"""What the prediction takes for the parents of an answer: the features alone, or the whole activation they are of."""
SLOPE, SHARE, STRENGTH, FIT = "slope", "share explained", "mean squared coupling", "variance explained"
CHANCE, SPECIFIC, BENT = "slope of random directions", "random over features", "bent"
PREDICTED, MEASURED = "predicted", "measured"


@dataclass(frozen=True)
class Groups:
    """What was added up of one hop, group by group of units.

    Args:
        choosing: States of ``Moments`` of the groups that choose features and edges.
        measuring: The same of the groups that measure.
        shifted: States of ``Means`` of the measuring groups, in their order.
    """

    choosing: Sequence[State]
    measuring: Sequence[State]
    shifted: Sequence[State]


@dataclass(frozen=True, eq=False)
class Response:
    """Predicted and measured responses of one hop.

    Args:
        hop: Where from and where to.
        measured: [k, k'], standard deviations of the answering feature per standard deviation of shift.
        predicted: The same of the predictions, by what they take for parents.
        numbers: By what they take for parents: "slope" of measured on predicted responses, "share explained" of the
            measured ones squared, "mean squared coupling", of predicted ones, free of their noise, "variance explained"
            of the answering features by the linear prediction, on units that it was not made on, and "slope of random
            directions": of the answers to these on what was predicted for the features.
        bent: Mean square of what a shift up and a shift down have in common, over that of the measured responses.
        random: Mean square response to random directions of the same norm, over that of the features.
    """

    hop: Hop
    measured: Measurement
    predicted: Mapping[str, Measurement]
    numbers: Mapping[str, Mapping[str, Measurement]]
    bent: Measurement
    random: Measurement

    def verdict(self, parents: str, margin: float, level: float) -> Verdict:
        """Return whether responses are as predicted, to within a margin of slope and share explained.

        Args:
            parents: "given features" or "whole activation".
            margin: How far from 1 both may lie.
            level: Of the intervals: yes where they lie within the margin, no where one of them lies outside of it.
        """
        row = self.numbers[parents]
        low, high = row[SLOPE].interval(level)
        least, most = row[SHARE].interval(level)
        if not low <= high or not least <= most:  # NaN: nothing was predicted
            return Verdict.CANNOT_TELL
        if high < 1 - margin or low > 1 + margin or most < 1 - margin:
            return Verdict.NO
        return Verdict.YES if low >= 1 - margin and high <= 1 + margin and least >= 1 - margin else Verdict.CANNOT_TELL


def response(hop: Hop, groups: Groups, delta: float) -> Response:
    r"""Return the responses of one hop, predicted and measured, with errors over groups of units.

    A prediction is made twice, on units that share nothing: p on those that chose the features and p' on those whose
    answers m are measured. So the noise of neither flattens the slope or counts as unexplained:

    .. math:: \text{slope} = \frac{\sum m p}{\sum p' p}, \qquad
        \text{share explained} = 1 - \frac{\sum (m - p)(m - p')}{\sum m^2}

    over all pairs of a shifted and an answering feature.

    Args:
        hop: Where from and where to; its spread is what shifts were in units of.
        groups: What was added up.
        delta: Standard deviations of a shift.

    Raises:
        TooFewSamplesError: If a half has fewer than two samples.
    """
    found = two_halves(lambda *states: _numbers(hop, delta, *states), groups)
    numbers = {
        parents: {key: _known(found, f"{parents}/{key}") for key in (SLOPE, SHARE, STRENGTH, FIT, CHANCE)}
        for parents in (GIVEN, WHOLE)
    }
    predicted = {parents: found[f"{parents}/{PREDICTED}"] for parents in (GIVEN, WHOLE)}
    return Response(hop, found[MEASURED], predicted, numbers, found[BENT], found[SPECIFIC])


def _known(found: Mapping[str, Measurement], key: str) -> Measurement:
    """Return a number, or none where predictions are not told from zero: their product over both halves is not."""
    strength, number = found[f"{key.partition('/')[0]}/{STRENGTH}"], found[key]
    if strength.interval(0.95)[0] > 0 or key.endswith((SHARE, STRENGTH, FIT)):
        return number
    nothing = f"{number.how}; predictions are not told from zero"
    return Measurement(float("nan"), float("nan"), number.unit, number.n_eff, nothing, number.dof)


def two_halves(value: Callable[[State, State, State], Mapping[str, Tensor]], groups: Groups) -> dict[str, Measurement]:
    """Return numbers of two halves of the units with errors of the delete-group jackknife over both.

    Each half adds the variance that leaving out its groups one by one gives; the degrees of freedom are those of the
    smaller half.

    Args:
        value: From the merged states of the choosing and of the measuring groups, and what was shifted in these.
        groups: The states.
    """
    moments, means = Moments(), Means()
    whole = (
        merged(moments, groups.choosing),
        merged(moments, groups.measuring),
        merged(means, groups.shifted),
    )
    first = [value(rest, *whole[1:]) for rest in leave_one_out(moments, groups.choosing)]
    pairs = zip(leave_one_out(moments, groups.measuring), leave_one_out(means, groups.shifted), strict=True)
    second = [value(whole[0], *pair) for pair in pairs]
    dof = min(len(first), len(second)) - 1
    how = f"delete-group jackknife, {len(first)} + {len(second)} groups"
    n_eff = float(len(first) + len(second))
    found = {}
    for key, best in value(*whole).items():
        variance = sum(_variance(torch.stack([replica[key] for replica in half])) for half in (first, second))
        found[key] = Measurement(best.numpy(), torch.as_tensor(variance).sqrt().numpy(), "1", n_eff, how, dof)
    return found


def _variance(replicas: Tensor) -> Tensor:
    return replicas.var(0) * (len(replicas) - 1) ** 2 / len(replicas)


def _numbers(hop: Hop, delta: float, chosen: State, seen: State, shifted: State) -> dict[str, Tensor]:
    """Return all numbers of one hop: see ``Response``."""
    k, answers = len(hop.given), len(hop.answering)
    sizes = [k * answers] * 3 + [k * k]
    odd, even, chance, own = Mean().value(shifted)["mean"].split(sizes)
    deviation = delta * estimated(chosen).diagonal()[-answers:].clamp(min=0).sqrt()
    unit = torch.where(deviation > 0, 1 / deviation, 0.0)
    m, bent, r = (part.reshape(k, answers) * unit for part in (odd, even, chance))
    moved = {GIVEN: own.reshape(k, k), WHOLE: delta * hop.shifts @ hop.basis.T}
    squares = m.square().sum()
    found = {MEASURED: m, BENT: bent.square().sum() / squares, SPECIFIC: r.square().sum() / squares}
    for parents, shift in moved.items():
        B, other = (_regression(state, hop, parents) * unit for state in (chosen, seen))
        first, second = shift @ B, shift @ other
        strength = (second * first).mean()
        found |= {
            f"{parents}/{PREDICTED}": first,
            f"{parents}/{STRENGTH}": strength,
            f"{parents}/{SLOPE}": (m * first).mean() / strength,
            f"{parents}/{SHARE}": 1 - ((m - first) * (m - second)).sum() / squares,
            f"{parents}/{FIT}": _explained(seen, hop, parents, B, unit),
            f"{parents}/{CHANCE}": (r * first).mean() / strength,
        }
    return found


def _regression(state: State, hop: Hop, parents: str) -> Tensor:
    """Return the answer of the target's features to each parent, from what was only observed: [parents, k']."""
    C, (own, answers) = estimated(state), _columns(hop, parents)
    return inverse(C[own, own]) @ C[own, answers]


def _explained(state: State, hop: Hop, parents: str, B: Tensor, unit: Tensor) -> Tensor:
    """Return which share of the variance of the answering features, in units of their own, a regression gives."""
    C, (own, answers) = estimated(state), _columns(hop, parents)
    total = (C[answers, answers].diagonal() * unit.square()).sum()
    missed = ((C[own, own] @ B) * B).sum() - 2 * (C[own, answers] * unit * B).sum()
    return -missed / total


def _columns(hop: Hop, parents: str) -> tuple[slice, slice]:
    """Return where the parents and the answering features stand in the field of a hop."""
    r, k = len(hop.basis), len(hop.given)
    return slice(r, r + k) if parents == GIVEN else slice(r), slice(r + k, None)


def locality(states: Sequence[State]) -> float:
    """Return the square of what shifts at other positions add to an answer, over that of the whole answer."""
    others, every = merged(Means(), states)["total"].tolist()
    return others / every if every > 0 else 0.0


def spread(states: Sequence[State], hop: Hop) -> Tensor:
    """Return the standard deviations of a hop's features at its source."""
    r, k = len(hop.basis), len(hop.given)
    return estimated(merged(Moments(), states)).diagonal()[r : r + k].clamp(min=0).sqrt()
