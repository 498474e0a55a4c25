"""Tokens: one sample a position that counts; padding is dropped."""

from __future__ import annotations

from collections.abc import Callable
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
        return _picked(activation, *_places(counted(activation, layout), ids, units))

    def reader(self, layout: Layout, ids: Tensor, units: Tensor) -> Callable[[Tensor], Batch]:
        """Work out once which positions count, and their ids."""
        shape, places = layout.mask.shape, _places(layout.mask, ids, units)

        def read(activation: Tensor) -> Batch:
            own = activation.shape[:2] == shape
            return _picked(activation, *places) if own else self.read(activation, layout, ids, units)

        return read

    def geometry(self, field: Tensor) -> Unordered:
        """Return unordered sites."""
        return Unordered(field.shape[1])


def _places(mask: Tensor, ids: Tensor, units: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the counted entries of a mask are in its flattened form, and their ids and units, on the CPU."""
    passage, position = mask.cpu().nonzero().unbind(1)
    return passage * mask.shape[1] + position, place_ids(ids[passage], position), units[passage]


def _picked(activation: Tensor, index: Tensor, ids: Tensor, units: Tensor) -> Batch:
    values = activation.flatten(0, 1).index_select(0, index.to(activation.device))
    return joined(values[:, :, None], ids, units)
