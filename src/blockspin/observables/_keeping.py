"""Keeping: which rows of a bounded subsample are kept when two are merged, whatever the order of merging."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.ensemble import mix


def merged_rows(first: dict[str, Tensor], second: dict[str, Tensor], limit: int) -> dict[str, Tensor]:
    """Return the rows that are kept of two states with "ids" and "units" beside other tensors, rows first.

    Of every unit the sample with the smallest scrambled id, of all units those with the smallest scrambled key.

    Args:
        first: One state.
        second: Another.
        limit: Most units that are kept.
    """
    return kept_rows({key: torch.cat([first[key], second[key]]) for key in first}, limit)


def kept_rows(state: dict[str, Tensor], limit: int) -> dict[str, Tensor]:
    """Return one sample a unit, of at most ``limit`` units, sorted by scrambled unit."""
    index = _order(state["ids"], state["units"])[:limit]
    return {key: tensor[index] for key, tensor in state.items()}


def _order(ids: Tensor, units: Tensor) -> Tensor:
    """Return the index of one sample a unit, by scrambled unit; scrambling is one to one, so that equal means same."""
    by_id = torch.argsort(mix(ids, salt=5), stable=True)
    order = by_id[torch.argsort(mix(units, salt=4)[by_id], stable=True)]
    sorted_units = units[order]
    new = torch.ones(len(order), dtype=torch.bool)
    new[1:] = sorted_units[1:] != sorted_units[:-1]
    return order[new]
