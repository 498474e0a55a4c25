"""Position: one sample a passage, the activation at one chosen position."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blockspin.capture.base import Layout
from blockspin.ensemble import Batch
from blockspin.geometry import Unordered
from blockspin.registry import register
from blockspin.representations.base import Representation, counted, joined, place_ids


@register
@dataclass(frozen=True)
class Position(Representation):
    """The activation at one of the positions of a passage that count: d sites without order, of one component each.

    A passage with fewer positions gives no sample.

    Args:
        at: Which of the positions that count: 0 for the first, -1 for the last.
    """

    name = "position"
    source = "elhage2021"
    invertible = True
    at: int = -1

    def read(self, activation: Tensor, layout: Layout, ids: Tensor, units: Tensor) -> Batch:
        """Pick one position a passage."""
        mask = counted(activation, layout).cpu()
        order = mask.cumsum(1) - 1  # the number of each position among those that count
        chosen = self.at if self.at >= 0 else mask.sum(1, keepdim=True) + self.at
        passage, position = (mask & (order == chosen)).nonzero().unbind(1)
        values = activation[passage.to(activation.device), position.to(activation.device)][:, :, None]
        return joined(values, place_ids(ids[passage], position), units[passage])

    def geometry(self, field: Tensor) -> Unordered:
        """Return unordered sites."""
        return Unordered(field.shape[1])
