"""Crew: hands shards to workers, keeps few in flight, gives out again what a dead worker had, returns all in order."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Iterator, Sequence

from blockspin.engine._messages import Arrays, unpacked
from blockspin.engine.base import Shard
from blockspin.errors import WorkerLostError
from blockspin.observables.base import State

TRIES = 3
"""How often a shard is given to a worker before the pass gives up."""
SHARDS_PER_WORKER = 2
"""Shards in flight (being carried out, or waiting for an earlier one) a worker: what bounds the driver's memory."""


class Crew(abc.ABC):
    """Workers that carry out shards, each one at a time."""

    size: int
    """How many workers there are."""

    @property
    @abc.abstractmethod
    def idle(self) -> bool:
        """Whether a worker has nothing to do."""

    @abc.abstractmethod
    def give(self, index: int, shard: Shard) -> None:
        """Give a shard to an idle worker."""

    @abc.abstractmethod
    def receive(self) -> Iterator[tuple[int, Arrays | None]]:
        """Wait for at least one worker; yield the shard's index with its states, or with None if the worker died."""

    @abc.abstractmethod
    def dismiss(self) -> None:
        """End all workers, whatever they are doing."""


def in_order(crew: Crew, shards: Sequence[Shard]) -> Iterator[tuple[Shard, list[State]]]:
    """Yield the states of every shard in order, and dismiss the crew at the end, whatever happens.

    Raises:
        WorkerLostError: If a worker dies three times on the same shard.
    """
    waiting, done, tries = deque(range(len(shards))), {}, dict[int, int]()
    try:
        for position, shard in enumerate(shards):
            while position not in done:
                while waiting and waiting[0] < position + SHARDS_PER_WORKER * crew.size and crew.idle:
                    index = waiting.popleft()
                    crew.give(index, shards[index])
                for index, result in crew.receive():
                    if result is None:
                        tries[index] = tries.get(index, 0) + 1
                        _give_up(shards[index], tries[index])
                        waiting.appendleft(index)
                    else:
                        done[index] = result
            yield shard, unpacked(done.pop(position))
    finally:
        crew.dismiss()


def _give_up(shard: Shard, tries: int) -> None:
    if tries >= TRIES:
        raise WorkerLostError(
            f"a worker process died {tries} times on shard {shard.key} ({shard.samples} samples)",
            "Give it more memory or a smaller batch, or use the serial executor to see the reason. A script must keep "
            'its work under `if __name__ == "__main__":`.',
        )
