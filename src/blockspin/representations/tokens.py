"""Tokens: one sample a position that counts; padding is dropped."""

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
class Tokens(Representation):
    """One sample a token (or position): d sites of one component. Tokens of a passage share its unit: they depend."""

    name = "tokens"
    source = "elhage2021"
    invertible = True

    def read(self, activation: Tensor, layout: Layout, ids: Tensor, units: Tensor) -> Batch:
        """Pick the positions that count."""
        mask = counted(activation, layout).cpu()
        passage, position = mask.nonzero().unbind(1)
        values = activation[mask.to(activation.device)][:, :, None]
        return joined(values, place_ids(ids[passage], position), units[passage])

    def geometry(self, field: Tensor) -> Unordered:
        """Return unordered sites."""
        return Unordered(field.shape[1])
