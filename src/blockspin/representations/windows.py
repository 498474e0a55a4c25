"""Windows: one sample a stretch of neighbouring positions, on a chain."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.capture.base import Layout
from blockspin.ensemble import Batch
from blockspin.errors import check_whole
from blockspin.geometry import Chain, Grid
from blockspin.registry import register
from blockspin.representations.base import Representation, counted, joined, place_ids


@register
@dataclass(frozen=True)
class Windows(Representation):
    """Stretches of neighbouring positions without overlap: an open chain of ``length`` sites with d components.

    What is left over at the end of a passage, and passages shorter than a window, give no sample.

    Args:
        length: Positions a window, at least 2.
    """

    name = "windows"
    source = "elhage2021"
    invertible = True
    length: int = 16

    def __post_init__(self):
        check_whole("length", self.length, 2)

    def read(self, activation: Tensor, layout: Layout, ids: Tensor, units: Tensor) -> Batch:
        """Cut each passage's counted positions into windows."""
        mask = counted(activation, layout).cpu()
        rows, passages, starts = [], [], []
        for passage, counts in enumerate(mask):
            places = counts.nonzero()[:, 0]
            whole = len(places) // self.length
            for window in places[: whole * self.length].reshape(whole, self.length):
                rows.append(activation[passage, window])
                passages.append(passage)
                starts.append(int(window[0]))
        index, place = torch.tensor(passages, dtype=torch.int64), torch.tensor(starts, dtype=torch.int64)
        values = torch.stack(rows) if rows else activation.new_empty(0, self.length, activation.shape[2])
        return joined(values, place_ids(ids[index], place), units[index])

    def geometry(self, field: Tensor) -> Grid:
        """Return an open chain."""
        return Chain(self.length, periodic=False)
