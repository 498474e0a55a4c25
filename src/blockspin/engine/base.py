"""The contract of a pass over data: shards that belong to groups, and who carries them out."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from blockspin.engine._heap import returned
from blockspin.engine._threads import numerics, side_by_side, torch_threads
from blockspin.ensemble import Batch
from blockspin.observables.base import Estimator, Monoid, Running, State


@dataclass(frozen=True, order=True, slots=True)
class Shard:
    """A piece of the work: some samples of one group. Ordered by (group, index), the order in which it is folded.

    Args:
        group: The group of units whose state it is folded into.
        index: Its number within the group.
        samples: How many samples it holds.
    """

    group: int
    index: int
    samples: int = 0

    @property
    def key(self) -> str:
        """Its name in ledgers."""
        return f"{self.group:04d}.{self.index:06d}"


class Pass(abc.ABC):
    """One reading of the data, which yields joint batches {name: Batch} aligned by id.

    A pass can be pickled, so that a worker process can carry out a shard of it: it holds the recipe (paths, names,
    numbers), and opens what is heavy on first use. What a shard yields depends on nothing but the recipe and the shard.
    """

    @property
    @abc.abstractmethod
    def groups(self) -> int:
        """The number of groups that the units are divided into, for error bars."""

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A hash of the recipe: states of passes with different fingerprints are never mixed."""

    @abc.abstractmethod
    def shards(self) -> Sequence[Shard]:
        """Return all shards, sorted."""

    @abc.abstractmethod
    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield the joint batches of one shard."""


@dataclass(frozen=True)
class Task:
    """An estimator to evaluate on named batches of a pass.

    Args:
        estimator: An observable or a coupling.
        names: The batches that it reads: as many as its monoid takes.
    """

    estimator: Estimator
    names: tuple[str, ...]

    @property
    def work(self) -> tuple[Monoid, tuple[str, ...]]:
        """What has to be added up; tasks with equal work share it."""
        return self.estimator.monoid, self.names


class Executor(abc.ABC):
    """Carries out shards. Members are frozen dataclasses; all of them give the same bytes."""

    family: ClassVar[str] = "engine"
    name: ClassVar[str]

    @abc.abstractmethod
    def run(
        self, reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shards: Sequence[Shard]
    ) -> Iterator[tuple[Shard, list[State]]]:
        """Yield the states of every shard, one state a work, in the order of ``shards``."""


ROWS = 256
"""Joint batches of a shard are put together until they hold this many samples: sums over a few rows cost as much."""


def states_of_shard(reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shard: Shard) -> list[State]:
    """Carry out one shard: the inner loop that every executor shares.

    Raises:
        Exception: Whatever a batch or a monoid raises, with the shard as a note.
    """
    with numerics(), side_by_side() as each:
        try:
            sums = [(monoid.running(), names) for monoid, names in works]
            for joint in _put_together(reading.batches(shard)):
                each(partial(_add, joint), sums)
                del joint  # or it would stay in memory while the next one is read
            with torch_threads(1):
                return [running.state() for running, _ in sums]
        except Exception as reason:
            reason.add_note(f"in shard {shard.key} ({shard.samples} samples)")
            raise
        finally:
            returned()


def _add(joint: dict[str, Batch], item: tuple[Running, tuple[str, ...]]) -> None:
    running, names = item
    running.add(*(joint[name] for name in names))


def _put_together(joints: Iterable[dict[str, Batch]]) -> Iterator[dict[str, Batch]]:
    """Yield joint batches, small ones put together to ``ROWS`` samples; which ones depends on the shard alone."""
    held: dict[str, list[Batch]] = {}
    for joint in joints:
        if max(map(len, joint.values()), default=0) >= ROWS:  # large enough alone: a copy of it would fill memory
            if held:
                yield _joined(held)
            yield joint
            del joint
            continue
        for name in joint:
            held.setdefault(name, []).append(joint[name])
        del joint
        if max(sum(map(len, parts)) for parts in held.values()) >= ROWS:
            yield _joined(held)
    if held:
        yield _joined(held)


def _joined(held: dict[str, list[Batch]]) -> dict[str, Batch]:
    """Join the parts of each field and let go of them, one field at a time: two copies of all would fill memory."""
    whole = {}
    for name in list(held):
        parts = held.pop(name)
        whole[name] = parts[0] if len(parts) == 1 else Batch.join(parts)
    return whole
