"""Serial: carries out one shard after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blockspin.engine._threads import torch_threads
from blockspin.engine.base import Executor, Pass, Shard, states_of_shard
from blockspin.observables.base import Monoid, State
from blockspin.registry import register


@register
@dataclass(frozen=True)
class Serial(Executor):
    """One shard after the other.

    Args:
        threads: Threads of torch while the pass runs; part of the configuration, since sums depend on it.
    """

    name = "serial"
    threads: int = 1

    def run(
        self, reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shards: Sequence[Shard]
    ) -> Iterator[tuple[Shard, list[State]]]:
        """Yield the states of every shard, in order."""
        for shard in shards:
            with torch_threads(self.threads):
                states = states_of_shard(reading, works, shard)
            yield shard, states
            del states  # or it would stay in memory while the next shard is added up
