"""Reading: a pass that runs a network over records and yields joint batches of all layers asked for."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from blockspin.capture.base import Layout, Network
from blockspin.capture.hooks import capture_as, reached
from blockspin.capture.origin import Origin
from blockspin.capture.recipe import NetworkRecipe
from blockspin.engine.base import Pass, Shard, Task
from blockspin.ensemble import Batch, Ensemble, check_finite, group_of
from blockspin.errors import BlockspinError, ConfigError
from blockspin.geometry import Geometry, Unordered
from blockspin.representations.base import Representation, counted
from blockspin.sources.base import Sample

HEAVY = 2.0
"""How many times the cost of a batch of the shard's average records the costliest batch may have, with padding."""


@dataclass(frozen=True)
class Estimate:
    """What a pass is going to cost, from one timed batch.

    Args:
        seconds: Time on one worker.
        parameter_bytes: Memory of the network's parameters, once a worker.
        batch_bytes: Memory of one batch's activations as they are kept.
        parameters: How many parameters there are.
    """

    seconds: float
    parameter_bytes: int
    batch_bytes: int
    parameters: int


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
        """A hash of weights, architecture and records, and of how they are read."""
        digest = hashlib.sha256(self.network.weights_hash().encode())
        digest.update(architecture(self.network.module).encode())
        plan = (self.layers, self.representation, self.recipe.modality, self.recipe.max_tokens)
        digest.update(repr((plan, self.batch_size, self.shard_size, self.group_count)).encode())
        digest.update(self.sample.ids.numpy().tobytes() + self.sample.units.numpy().tobytes())
        return digest.hexdigest()

    def with_layers(self, patterns: Sequence[str] = ()) -> ActivationPass:
        """Return a pass over the layers that match paths or globs; over the default depth flow where none are given.

        The depth flow is put in the order in which the network runs it, without what it never reaches.

        Raises:
            UnknownLayerError: If a pattern matches nothing; the nearest paths are offered.
            ConfigError: If the network has no layer that can be read by default.
        """
        layers = self.network.select(patterns)
        if not patterns:
            inputs, _ = self.network.run([record.content for record in self.sample.records[:2]])
            layers = reached(self.network, inputs, layers)
        if not layers:
            raise ConfigError("layers", list(patterns), "module paths: no layer of this network is read by default.")
        chosen = replace(self, layers=layers)
        vars(chosen)["network"] = self.network  # opened already
        return chosen

    def over(self, sample: Sample) -> ActivationPass:
        """Return a pass over other records by the same network, which is opened once for both."""
        chosen = replace(self, sample=sample)
        vars(chosen)["network"] = self.network
        return chosen

    def origin(self, layer: str) -> Origin:
        """Return the way back into the network at a layer."""
        return Origin(self.network, self.sample, layer, self.representation.invertible)

    def ensembles(self) -> dict[str, Ensemble]:
        """Read everything into memory and return the ensemble of each layer, with its origin."""
        joints = [joint for shard in self.shards() for joint in self.batches(shard)]
        fields = {layer: Batch.join(joint[layer] for joint in joints) for layer in self.layers}
        return {k: Ensemble(field, self.geometry(k, field.values), self.origin(k)) for k, field in fields.items()}

    def geometry(self, layer: str, field: Tensor) -> Geometry:
        """Return the geometry of a layer's field [samples, sites, components], with the parts that the place has."""
        geometry = self.representation.geometry(field)
        parts = self.parts.get(layer, ())
        if not isinstance(geometry, Unordered) or sum(size for _, size in parts) != geometry.sites:
            return geometry
        return replace(geometry, parts=parts)

    @cached_property
    def parts(self) -> dict[str, tuple[tuple[str, int], ...]]:
        """What stands side by side in the layers where something does: name and number of sites of each part."""
        found = {layer: self.network.places.parts(layer) for layer in self.layers}
        wanted = tuple(dict.fromkeys(part for parts in found.values() for part in parts.values()))
        if not wanted:
            return {}
        over = replace(self, layers=wanted)
        vars(over)["network"] = self.network
        sites = {
            name: batch.values.shape[1] for name, batch in over.read(torch.arange(min(2, len(self.sample)))).items()
        }
        return {
            layer: tuple((name, sites[part]) for name, part in parts.items()) for layer, parts in found.items() if parts
        }

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
        """Return the records of each batch of a shard, sorted by length so that little is spent on padding.

        The longest come first: what is too large fails at once, and what follows fits where the memory was let go.

        Long records come fewer to a batch, so that memory does not depend on how the longest happen to fall together.
        """
        rows, encoder = self._rows[shard], self.network.encoder
        cost = torch.tensor([encoder.cost(self.sample.records[i].content) for i in rows.tolist()])
        order = torch.argsort(cost, descending=True, stable=True)
        heaviest = HEAVY * self.batch_size * float(cost.double().mean())
        return rows[order].split(_sizes(cost[order].tolist(), self.batch_size, heaviest))

    def read(self, rows: Tensor) -> dict[str, Batch]:
        """Return the joint batch of some records.

        Raises:
            NonFiniteError: If an activation is NaN or infinite, naming the layer and the record.
            Exception: Whatever the network raises, with the records that it cannot read as a note.
        """
        try:
            return self._read(rows)
        except BlockspinError:
            raise  # says it already
        except Exception as reason:
            reason.add_note(self._blamed(rows))
            raise

    def _read(self, rows: Tensor) -> dict[str, Batch]:
        inputs, layout = self.network.run([self.sample.records[i].content for i in rows.tolist()])
        batch_of = self.representation.reader(layout, self.sample.ids[rows], self.sample.units[rows])

        def read(layer: str, activation: Tensor) -> Batch:
            return self._checked(layer, activation, batch_of(activation), layout, rows)

        return capture_as(read, self.network, inputs, self.layers)

    def _blamed(self, rows: Tensor) -> str:
        """Say which records of a batch cannot be read, by reading them one by one."""
        bad = []
        for row in rows:
            try:
                self._read(row[None])
            except Exception:
                bad.append(self.sample.records[int(row)].where)
        if not bad:
            return f"reading {len(rows)} records together from {self.sample.records[int(rows[0])].where} on"
        return f"reading {', '.join(bad[:3])}" + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")

    def _checked(self, layer: str, activation: Tensor, batch: Batch, layout: Layout, rows: Tensor) -> Batch:
        """Return a batch that is finite and has memory of its own."""
        if _shares_memory(batch.values, activation):
            batch = batch.with_values(batch.values.clone())
        if not bool(torch.isfinite(batch.values.sum())):  # a sum is finite only where all of it is
            bad = (~torch.isfinite(activation).all(dim=2) & counted(activation, layout)).any(dim=1).cpu()
            where = self.sample.records[int(rows[bad][0])].where if bool(bad.any()) else "numbers too large for float32"
            check_finite(batch.values, f"layer {layer!r}, read from {where},", batch.ids)
        return batch

    def estimate(self, tasks: Sequence[Task] = ()) -> Estimate:
        """Time one batch of typical length, and what tasks add up of it, and return what the whole pass will cost."""
        costs = torch.tensor([self.network.encoder.cost(record.content) for record in self.sample.records])
        middle = torch.argsort(costs, stable=True)[len(costs) // 2 :][: self.batch_size]
        self.read(middle[:2])  # the first call allocates
        begun = time.perf_counter()
        joint = self.read(middle)
        for monoid, names in dict.fromkeys(task.work for task in tasks):
            monoid.running().add(*(joint[name] for name in names))
        seconds = (time.perf_counter() - begun) * float(costs.sum()) / float(costs[middle].sum())
        parameters = list(self.network.module.parameters())
        size = sum(p.numel() * p.element_size() for p in parameters)
        kept = sum(batch.values.numel() * batch.values.element_size() for batch in joint.values())
        return Estimate(seconds, size, kept, sum(p.numel() for p in parameters))

    def __getstate__(self) -> dict:
        """Send the recipe to a worker, not what was opened from it."""
        kept = set(self.__dataclass_fields__)
        return {key: value for key, value in vars(self).items() if key in kept}


def _sizes(costs: Sequence[int], most: int, heaviest: float) -> list[int]:
    """Return how many records each batch takes of records of falling cost, padded to the first among them."""
    sizes, start = [], 0
    while start < len(costs):
        size = max(1, min(most, len(costs) - start, int(heaviest // max(costs[start], 1))))
        sizes.append(size)
        start += size
    return sizes


def _shares_memory(first: Tensor, second: Tensor) -> bool:
    return first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()


def architecture(module: nn.Module) -> str:
    """Return what a network is beside its weights: its modules, and its config where it has one."""
    described = re.sub(r" at 0x[0-9a-f]+", "", repr(module))
    as_dict = getattr(getattr(module, "config", None), "to_dict", None)
    config = as_dict() if callable(as_dict) else {}
    kept = {key: value for key, value in config.items() if key not in ("_name_or_path", "transformers_version")}
    return described + json.dumps(kept, sort_keys=True, default=str)
