"""Halves: second moments of the two halves of the units, so that products of both carry no noise of either."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.ensemble import Batch, group_of
from blockspin.errors import TooFewSamplesError
from blockspin.observables.base import PartMonoid, State, is_law, merged_moments, moments_of

KEYS = ("weight", "squares", "mean", "scatter")
PARTS = ("one", "two")


@dataclass(frozen=True)
class HalfMoments(PartMonoid):
    """Weight, mean and centred scatter of the flattened field in either half of the units, divided by hash.

    State: "one_weight", "one_squares" [], "one_mean" [D], "one_scatter" [D, D], and the same for "two", float64.
    """

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        first = group_of(batch.units, 2, salt=11) == 0
        parts = []
        for mask in (first, ~first):
            x = batch.values[mask].flatten(1).to(torch.float64)
            size = x.shape[1]
            empty = {"mean": torch.zeros(size), "scatter": torch.zeros(size, size)}
            none = {"weight": torch.zeros(()), "squares": torch.zeros(()), **empty}
            found = moments_of(x, batch.weights[mask])[0] if len(x) else none
            parts.append({key: found[key].to(torch.float64) for key in KEYS})
        return _packed(parts)

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        pairs = zip(halves_of(first), halves_of(second), strict=True)
        return _packed([_merged(one, two) for one, two in pairs])


def _merged(one: State, two: State) -> State:
    if not float(one["weight"]) or not float(two["weight"]):
        return one if float(one["weight"]) else two
    return merged_moments(one, two)


def _packed(parts: list[State]) -> State:
    return {f"{name}_{key}": part[key] for name, part in zip(PARTS, parts, strict=True) for key in KEYS}


def halves_of(state: State) -> list[State]:
    """Return the moments of either half.

    Raises:
        TooFewSamplesError: If there is no sample.
    """
    if not state:
        raise TooFewSamplesError("there is no sample", "Give more samples.")
    return [{key: state[f"{name}_{key}"] for key in KEYS} for name in PARTS]


def two_estimates(state: State) -> list[State]:
    """Return moments that share no noise: those of either half, or twice those of a law, which has none."""
    whole = both_halves(state)
    return [whole, whole] if is_law(whole) else halves_of(state)


def both_halves(state: State) -> State:
    """Return the moments of all units."""
    return _merged(*halves_of(state))
