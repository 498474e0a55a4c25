"""Contents: what each sample of a run was read from, by its id: a whole record, or one place of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from blockspin.representations.base import place_ids
from blockspin.sources.base import Sample


class PlaceContents(Mapping[int, Any]):
    """The record that each place was read from, by the id of the place; of a text with the number of the position.

    Args:
        sample: The records.
        positions: How many positions a record has at most.
    """

    def __init__(self, sample: Sample, positions: int):
        self._sample = sample
        self._known: dict[int, tuple[int, int]] = {}
        for position in range(positions):
            keys = place_ids(sample.ids, torch.full((len(sample),), position))
            self._known.update({key: (row, position) for row, key in enumerate(keys.tolist())})

    def __getitem__(self, key: int) -> Any:
        row, position = self._known[key]
        content = self._sample.records[row].content
        return f"[position {position}] {content}" if isinstance(content, str) else content

    def __iter__(self) -> Iterator[int]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
