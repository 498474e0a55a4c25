"""Reading: a pass that runs a network over records and yields joint batches of all layers asked for."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from blockspin.capture.base import Layout, Network
from blockspin.capture.hooks import capture
from blockspin.capture.recipe import NetworkRecipe
from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch, check_finite, group_of
from blockspin.representations.base import Representation
from blockspin.sources.base import Sample


@dataclass(frozen=True)
class Estimate:
    """What a pass is going to cost, from one timed batch.

    Args:
        seconds: Time on one worker.
        parameter_bytes: Memory of the network's parameters, once a worker.
        batch_bytes: Memory of one batch's activations as they are kept.
    """

    seconds: float
    parameter_bytes: int
    batch_bytes: int


@dataclass(frozen=True, eq=False)
class ActivationPass(Pass):
    """A reading of some layers of a network over drawn records.

    Args:
        recipe: How to open the network.
        sample: The records.
        layers: The layers, resolved.
        representation: How activations become samples.
        batch_size: Passages a batch.
        shard_size: Passages a shard.
        group_count: Groups of units, for error bars.
    """

    recipe: NetworkRecipe
    sample: Sample
    layers: tuple[str, ...]
    representation: Representation
    batch_size: int = 16
    shard_size: int = 128
    group_count: int = 20

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self.group_count

    @cached_property
    def network(self) -> Network:
        """The network, opened on first use in each process."""
        return self.recipe.open()

    @cached_property
    def fingerprint(self) -> str:
        """A hash of weights, records and of how they are read."""
        digest = hashlib.sha256(self.network.weights_hash().encode())
        plan = (self.layers, self.representation, self.recipe.modality, self.recipe.max_tokens)
        digest.update(repr((plan, self.batch_size, self.shard_size, self.group_count)).encode())
        digest.update(self.sample.ids.numpy().tobytes() + self.sample.units.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def _rows(self) -> dict[Shard, Tensor]:
        group = group_of(self.sample.units, self.group_count)
        rows = {}
        for g in range(self.group_count):
            for index, part in enumerate((group == g).nonzero()[:, 0].split(self.shard_size)):
                if len(part):
                    rows[Shard(g, index, len(part))] = part
        return rows

    def shards(self) -> Sequence[Shard]:
        """Return the shards: the records of one group, ``shard_size`` at a time."""
        return list(self._rows)

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield the joint batches of one shard."""
        for rows in self.rows(shard):
            yield self.read(rows)

    def rows(self, shard: Shard) -> Sequence[Tensor]:
        """Return the records of each batch of a shard, sorted by length so that little is spent on padding."""
        rows, encoder = self._rows[shard], self.network.encoder
        cost = torch.tensor([encoder.cost(self.sample.records[i].content) for i in rows.tolist()])
        return rows[torch.argsort(cost, stable=True)].split(self.batch_size)

    def read(self, rows: Tensor) -> dict[str, Batch]:
        """Return the joint batch of some records.

        Raises:
            NonFiniteError: If an activation is NaN or infinite, naming the layer and the record.
        """
        inputs, layout = self.network.run([self.sample.records[i].content for i in rows.tolist()])
        found = capture(self.network, inputs, self.layers)
        return {layer: self._batch(layer, activation, layout, rows) for layer, activation in found.items()}

    def _batch(self, layer: str, activation: Tensor, layout: Layout, rows: Tensor) -> Batch:
        batch = self.representation.read(activation, layout, self.sample.ids[rows], self.sample.units[rows])
        if not bool(torch.isfinite(batch.values).all()):
            bad = ~torch.isfinite(activation).flatten(1).all(dim=1).cpu()
            where = self.sample.records[int(rows[bad][0])].where if bool(bad.any()) else "a padded position"
            check_finite(batch.values, f"layer {layer!r}, read from {where},", batch.ids)
        return batch

    def estimate(self) -> Estimate:
        """Time one batch of typical length and return what the whole pass will cost."""
        costs = torch.tensor([self.network.encoder.cost(record.content) for record in self.sample.records])
        middle = torch.argsort(costs, stable=True)[len(costs) // 2 :][: self.batch_size]
        self.read(middle[:2])  # the first call allocates
        begun = time.perf_counter()
        joint = self.read(middle)
        seconds = (time.perf_counter() - begun) * float(costs.sum()) / float(costs[middle].sum())
        parameters = sum(p.numel() * p.element_size() for p in self.network.module.parameters())
        kept = sum(batch.values.numel() * batch.values.element_size() for batch in joint.values())
        return Estimate(seconds, parameters, kept)

    def __getstate__(self) -> dict:
        """Send the recipe to a worker, not what was opened from it."""
        kept = set(self.__dataclass_fields__)
        return {key: value for key, value in vars(self).items() if key in kept}
