"""Tally: how many independent units a pass has read, whatever is measured on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.ensemble import Batch
from blockspin.observables.base import Monoid, State


@dataclass(frozen=True)
class Tally(Monoid):
    """The weight of every unit. State: "units" int64 [units], sorted, and "weights" float64 [units]."""

    def start(self) -> State:
        """Return the empty state."""
        return {"units": torch.zeros(0, dtype=torch.int64), "weights": torch.zeros(0, dtype=torch.float64)}

    def add(self, state: State, *batches: Batch) -> State:
        """Count the units of one batch."""
        return self.merge(state, {"units": batches[0].units, "weights": batches[0].weights})

    def merge(self, first: State, second: State) -> State:
        """Add the weights unit by unit."""
        units = torch.cat([first["units"], second["units"]])
        weights = torch.cat([first["weights"], second["weights"]])
        distinct, index = torch.unique(units, return_inverse=True)
        return {
            "units": distinct,
            "weights": torch.zeros(len(distinct), dtype=torch.float64).index_add_(0, index, weights),
        }


def effective_units(state: State) -> float:
    """Return the effective number of units of a tally (Kish): (sum of weights)^2 over the sum of their squares."""
    weights = state["weights"]
    return float(weights.sum() ** 2 / weights.square().sum())
