"""A pass of many tiny shards, importable by workers: what it costs is what the engine costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch


@dataclass(frozen=True)
class Tiny(Pass):
    """Shards of four samples of white noise.

    Args:
        count: How many shards.
        sites: Sites of the field; a state holds their square, 8 bytes each.
    """

    count: int
    sites: int = 128
    groups = 20

    @property
    def fingerprint(self) -> str:
        return repr(self)

    def shards(self) -> Sequence[Shard]:
        return sorted(Shard(i % self.groups, i // self.groups, 4) for i in range(self.count))

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        number = shard.index * self.groups + shard.group
        values = torch.randn(4, self.sites, 1, generator=torch.Generator().manual_seed(number))
        ids = 4 * number + torch.arange(4)
        yield {"x": Batch(values, ids, ids, torch.ones(4, dtype=torch.float64))}
