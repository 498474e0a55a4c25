"""Reconstruction: how much of a field's variance its lifted coarse-graining gives back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError
from blockspin.observables.base import Observable, PartMonoid, State
from blockspin.registry import register


@dataclass(frozen=True)
class Residual(PartMonoid):
    """Weight, mean and centred squares of a field, and the squared distance to a second field.

    State: "weight" [], "mean" [D], "squares" [] (sum over samples and sites of the centred squares) and "residual" [],
    all float64.
    """

    inputs = 2

    def part(self, *batches: Batch) -> State:
        """Add up one batch of the field and one of what is to stand for it."""
        field, copy = batches
        x, y = (batch.values.flatten(1).to(torch.float64) for batch in (field, copy))
        w, weight = field.weights, field.weights.sum()
        mean = (w @ x) / weight
        squares, residual = w @ (x - mean).square().sum(1), w @ (x - y).square().sum(1)
        return {"weight": weight, "mean": mean, "squares": squares, "residual": residual}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        weight = first["weight"] + second["weight"]
        gap = second["mean"] - first["mean"]
        share = second["weight"] / weight
        squares = first["squares"] + second["squares"] + first["weight"] * share * gap.square().sum()
        residual = first["residual"] + second["residual"]
        return {"weight": weight, "mean": first["mean"] + share * gap, "squares": squares, "residual": residual}


@register
@dataclass(frozen=True)
class Reconstruction(Observable):
    """Share of the variance of the first field that the second, standing for it, gives back.

    Quantity: "variance_kept" = 1 - <|x - y|^2> / <|x - <x>|^2>; at most 1, and below 0 where y is worse than the mean.
    On data that y was not fitted on it is a held-out R^2.

    Do not trust when:
        y was fitted on the very samples: what is kept is then too much, the more the fewer the samples. A few sites of
        large variance (massive activations) decide it: scale sites first where all are to count.

    Source:
        chan1983 for the sums.
    """

    name = "reconstruction"
    source = "chan1983"
    units = {"variance_kept": "1"}

    @property
    def monoid(self) -> Residual:
        """Squares and residuals."""
        return Residual()

    def value(self, state: State) -> dict[str, Tensor]:
        """Take the ratio.

        Raises:
            ConstantUnitsError: If the field does not vary.
        """
        if not state or float(state["squares"]) <= 0:
            raise ConstantUnitsError("the field does not vary over the samples", "Check the data.")
        return {"variance_kept": 1 - state["residual"] / state["squares"]}
