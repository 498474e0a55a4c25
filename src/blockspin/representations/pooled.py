"""Pooled: one sample a passage, the mean over the positions that count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.capture.base import Layout
from blockspin.ensemble import Batch
from blockspin.geometry import Unordered
from blockspin.registry import register
from blockspin.representations.base import Representation, counted, joined


@register
@dataclass(frozen=True)
class Pooled(Representation):
    """The mean over the positions of a passage that count: d sites without order, of one component each."""

    name = "pooled"
    source = "reimers2019"
    invertible = False

    def read(self, activation: Tensor, layout: Layout, ids: Tensor, units: Tensor) -> Batch:
        """Average over the positions that count; what does not count is left out even where it is not finite."""
        mask = counted(activation, layout)[:, :, None]
        total = activation.to(torch.float32).masked_fill(~mask, 0).sum(1)  # half precision would lose the small ones
        return joined((total / mask.sum(1))[:, :, None], ids, units)

    def geometry(self, field: Tensor) -> Unordered:
        """Return unordered sites."""
        return Unordered(field.shape[1])
