"""In memory: a pass over ensembles that are held in memory, aligned by id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch, Ensemble, group_of
from blockspin.errors import AlignmentError, ConfigError, check_whole


@dataclass(frozen=True, eq=False)
class EnsemblePass(Pass):
    """A reading of several ensembles over the same inputs (the levels of a flow); make it with ``of``.

    Args:
        fields: The samples of each name, all in the same order.
        group: int64 [samples]; the group of each sample.
        count: The number of groups.
        batch: Samples a batch.
        shards_per_group: Into how many shards a group is cut.
    """

    fields: Mapping[str, Batch]
    group: Tensor
    count: int
    batch: int
    shards_per_group: int

    @classmethod
    def of(
        cls, ensembles: Mapping[str, Ensemble], *, groups: int = 20, batch: int = 1024, shards_per_group: int = 1
    ) -> EnsemblePass:
        """Align ensembles by id and divide their units into groups: by hash, those of a chain by stretches of time.

        Args:
            ensembles: The ensembles by name; at least one.
            groups: The number of groups of units for error bars.
            batch: Samples a batch.
            shards_per_group: Into how many shards a group is cut.

        Raises:
            AlignmentError: If they are not over the same inputs.
            ConfigError: If there is no ensemble, or a number is below 1.
        """
        for field, number in (("groups", groups), ("batch", batch), ("shards_per_group", shards_per_group)):
            check_whole(field, number, 1)
        if not ensembles:
            raise ConfigError("ensembles", {}, "at least one ensemble.")
        reference, first = next(iter(ensembles.items()))
        fields = {name: _aligned(name, item.batch, reference, first.batch) for name, item in ensembles.items()}
        chain = any(ensemble.chain for ensemble in ensembles.values())
        return cls(fields, group_of(first.units, groups, chain=chain), groups, batch, shards_per_group)

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self.count

    @property
    def fingerprint(self) -> str:
        """A hash of all values and of how they are divided."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.count, self.batch, self.shards_per_group)).encode())
        for name, field in self.fields.items():
            digest.update(repr((name, tuple(field.values.shape), field.values.dtype)).encode())
            for tensor in (field.values, field.ids, field.units, field.weights, self.group):
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def shards(self) -> Sequence[Shard]:
        """Return the shards that hold samples."""
        found = []
        for group in range(self.count):
            for index in range(self.shards_per_group):
                samples = len(self._rows(group, index))
                if samples:
                    found.append(Shard(group, index, samples))
        return found

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield the joint batches of one shard, in the order of the first ensemble."""
        for rows in self._rows(shard.group, shard.index).split(self.batch):
            yield {name: field.select(rows) for name, field in self.fields.items()}

    def _rows(self, group: int, index: int) -> Tensor:
        return torch.tensor_split((self.group == group).nonzero().flatten(), self.shards_per_group)[index]


def _aligned(name: str, batch: Batch, reference: str, first: Batch) -> Batch:
    """Return the samples of a batch in the order of the first one's ids."""
    if torch.equal(batch.ids, first.ids):
        order = None
    else:
        mine, theirs = batch.ids.argsort(), first.ids.argsort()
        if len(batch) != len(first) or not torch.equal(batch.ids[mine], first.ids[theirs]):
            shared = int(torch.isin(batch.ids, first.ids).sum())
            raise AlignmentError(
                f"{name!r} ({len(batch)} samples) and {reference!r} ({len(first)} samples) share {shared} ids",
                "Measure together only what was read from the same inputs; select the shared ids first.",
            )
        order = mine[theirs.argsort()]
    batch = batch if order is None else batch.select(order)
    if not (torch.equal(batch.units, first.units) and torch.equal(batch.weights, first.weights)):
        raise AlignmentError(
            f"{name!r} and {reference!r} give the same inputs other units or weights",
            "Make both ensembles from the same reading of the inputs.",
        )
    return batch
