"""Unseen sums: what score matching needs, over the units that filters were not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.couplings._filter_basis import FilterBasis
from blockspin.couplings._score_sums import ScoreSums
from blockspin.ensemble import Batch
from blockspin.observables.base import State


@dataclass(frozen=True)
class UnseenSums(ScoreSums):
    """Score sums (see ``ScoreSums``) over the units that the filters were not learned from; the others are passed by.

    Args:
        basis: The operators.
    """

    basis: FilterBasis

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch."""
        (batch,) = batches
        return super().add(state, batch.select(~torch.isin(batch.units, self.basis.filters.seen)))
