"""Unseen sums: what score matching needs, over the units that filters were not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.couplings._filter_basis import FilterBasis
from blockspin.couplings._score_sums import ScoreSums
from blockspin.ensemble import Batch
from blockspin.observables.base import Monoid, State


@dataclass(frozen=True)
class UnseenSums(Monoid):
    """Score sums (see ``ScoreSums``) over the units that the filters were not learned from; the others are passed by.

    Args:
        basis: The operators.
    """

    basis: FilterBasis

    def start(self) -> State:
        """Return the empty state."""
        return {}

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch."""
        (batch,) = batches
        return ScoreSums(self.basis).add(state, batch.select(~torch.isin(batch.units, self.basis.filters.seen)))

    def merge(self, first: State, second: State) -> State:
        """Merge two parts."""
        return ScoreSums(self.basis).merge(first, second)

    def scale(self, state: State, key: str) -> Tensor:
        """Return the largest entry that is finite."""
        return ScoreSums(self.basis).scale(state, key)
