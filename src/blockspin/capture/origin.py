"""Origin: where captured samples come from, and how to run their inputs again with an edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blockspin.capture.base import Layout, Network, rows_of
from blockspin.capture.hooks import Edit, run_edited
from blockspin.errors import PooledEditError, UnknownNameError
from blockspin.sources.base import Sample


@dataclass(frozen=True, eq=False)
class Origin:
    """The way back from an ensemble to its network.

    Args:
        network: The network.
        sample: The records that were read.
        layer: The layer that was read.
        invertible: Whether the ensemble's samples are places of passages (tokens, windows) or pooled over them.
    """

    network: Network
    sample: Sample
    layer: str
    invertible: bool

    @property
    def module(self) -> nn.Module:
        """The network's module, for bounds on its weights."""
        return self.network.module

    def run(self, ids: Sequence[int] | Tensor, edit: Edit) -> Any:
        """Run some inputs again with the layer's tensor replaced by ``edit(values, layout)``.

        Args:
            ids: Ids of records (passages), as in ``Sample.ids``.
            edit: From the activation [passages, positions, d] and its layout to what replaces it. Gradients flow
                through it; the identity changes nothing, bit for bit.

        Returns:
            The network's outputs, as the network returns them.

        Raises:
            PooledEditError: If the ensemble is pooled: pooling has no inverse.
            UnknownNameError: If an id is not in the sample.
        """
        if not self.invertible:
            raise PooledEditError(
                f"the pooled ensemble of {self.layer!r} cannot be put back into the network",
                "Capture it as tokens or windows (representation = 'tokens').",
            )
        inputs, layout = self.network.run([self._content(int(key)) for key in ids])
        return run_edited(self.network, inputs, self.layer, edit, layout)

    def _content(self, key: int) -> Any:
        found = (self.sample.ids == key).nonzero()
        if not len(found):
            raise UnknownNameError("record", str(key), map(str, self.sample.ids[:3].tolist()))
        return self.sample.records[int(found[0])].content


def output_change(origin: Origin, rows: Tensor, edit: Edit) -> Tensor:
    """Return how far an edit moves the output of each passage, float32 [passages].

    The squared distance between the outputs with and without the edit, averaged over the positions that count, as a
    share of the squared norm of the unedited output there.

    Args:
        origin: Where the ensemble comes from.
        rows: int64 [passages]; which records of the sample.
        edit: What replaces the activation.
    """
    ids = origin.sample.ids[rows]
    layouts: list[Layout] = []

    def remember(values: Tensor, layout: Layout) -> Tensor:
        layouts.append(layout)
        return values

    with torch.no_grad():
        plain, edited = (rows_of(_output(origin.run(ids, change))) for change in (remember, edit))
    mask = (
        layouts[0].mask if layouts[0].mask.shape == plain.shape[:2] else torch.ones(plain.shape[:2], dtype=torch.bool)
    )
    weight = mask.to(plain.device, plain.dtype)[:, :, None]
    moved, norm = (weight * (edited - plain).square()).sum((1, 2)), (weight * plain.square()).sum((1, 2))
    return (moved / norm.clamp(min=torch.finfo(plain.dtype).tiny)).cpu()


def _output(outputs: Any) -> Tensor:
    if isinstance(outputs, Tensor):
        return outputs
    values = outputs.values() if isinstance(outputs, dict) else outputs
    return next(item for item in values if isinstance(item, Tensor))
