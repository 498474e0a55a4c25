"""Measure: read the data once, add up what is asked for in each group of units, give numbers with error bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch

from blockspin.engine._statefile import Work, fingerprint_of
from blockspin.engine._tally import Tally, effective_units
from blockspin.engine.base import Executor, Pass, Shard, Task
from blockspin.engine.errorbars import measure_error, merged
from blockspin.engine.store import Store
from blockspin.errors import ConfigError, DeclarationError, DuplicateNameError, ShapeError
from blockspin.measurement import Measurement
from blockspin.observables.base import State

Progress = Callable[[int, int], None]
"""Called with the number of samples that are done and the number of all."""
HELD = 256 * 2**20
"""Bytes of group states that may be held at once while a number is evaluated; larger ones are read when needed."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a pass has added up; numbers are read off it.

    Args:
        tasks: What was asked for.
        works: What was added up for it, each once; the last one counts the units.
        groups: The states of each group, one a work.
        seed: Seed of the random halves, the same for every task, so that differences between tasks keep their pairing.
        units: Effective number of independent units that were read.
    """

    tasks: tuple[Task, ...]
    works: tuple[Work, ...]
    groups: Sequence[Sequence[State]]
    seed: int
    units: float

    def group_states(self, task: Task) -> Sequence[State]:
        """Return the state of each group, in order; one that is on disk is read when it is asked for."""
        return _Column(self.groups, self.works.index(task.work))

    def state(self, task: Task) -> State:
        """Return the state of all groups, merged in order."""
        return merged(task.work[0], self.group_states(task))

    def measurement(self, task: Task) -> dict[str, Measurement]:
        """Return the quantities of one task.

        Raises:
            BlockspinError: What the estimator, or the error bar, raises where the data do not suffice.
        """
        generator = torch.Generator().manual_seed(self.seed)
        states = self.group_states(task)
        size = sum(tensor.numel() * tensor.element_size() for tensor in states[0].values())
        if size * len(states) <= HELD:  # error bars read every state several times
            states = list(states)
        return measure_error(task.estimator, states, generator=generator, units=self.units)

    def measurements(self) -> dict[tuple[str, ...], dict[str, Measurement]]:
        """Return all quantities, {names: {"observable/quantity": measurement}}.

        Raises:
            BlockspinError: What the first estimator raises that the data do not suffice for; ``measurement`` evaluates
                tasks one by one.
        """
        rows: dict[tuple[str, ...], dict[str, Measurement]] = {}
        for task in self.tasks:
            found = self.measurement(task)
            row = rows.setdefault(task.names, {})
            row.update({f"{task.estimator.name}/{quantity}": number for quantity, number in found.items()})
        return rows


def measure(
    reading: Pass,
    tasks: Sequence[Task],
    *,
    executor: Executor,
    store: Path | None,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> Measured:
    """Read the data once and add up what the tasks need.

    The states of each group of units are folded in the fixed order of its shards, so that the result does not depend on
    who carries them out, nor on how often the pass was interrupted.

    Args:
        reading: The pass over the data.
        tasks: What to measure; tasks whose work is equal share it.
        executor: Who carries out the shards.
        store: Folder for the states of groups: a pass that was cut short goes on where it stopped, and only one group
            is in memory. None keeps everything in memory.
        generator: Randomness of error bars; one number is drawn from it.
        progress: Called after every shard.

    Raises:
        RunFolderError: If the folder holds states of another pass, another process writes to it, or this one must not.
        OtherVersionsError: If those states are of this pass, but of another version of blockspin or torch.
        DiskSpaceError: If there is no room for the states; what is finished stays.
        WorkerLostError: If a worker process died again and again on the same shard.
        ShapeError: If a task names another number of fields than it reads.
    """
    works, shards = distinct_works(tasks), sorted(reading.shards())
    with Store.open(store, reading, works, shards) as folder:
        fill(folder, reading, works, shards, executor, progress)
        groups = folder.groups(reading.groups)
    units = effective_units(merged(works[-1][0], _Column(groups, len(works) - 1)))
    return Measured(tuple(tasks), works, groups, int(torch.randint(2**62, (1,), generator=generator)), units)


def fill(
    folder: Store,
    reading: Pass,
    works: Sequence[Work],
    shards: Sequence[Shard],
    executor: Executor,
    progress: Progress | None = None,
) -> None:
    """Carry out the shards that a store does not hold yet, and fold them in order.

    Raises:
        DeclarationError: If the executor leaves out a shard or brings them in another order.
    """
    total = sum(shard.samples for shard in shards)
    pending = folder.pending(shards)
    done = total - sum(shard.samples for shard in pending)
    if progress is not None:
        progress(done, total)
    expected = iter(pending)
    for shard, states in executor.run(reading, works, pending):
        _require_next(shard, next(expected, None), executor)
        folder.fold(shard, states)
        del states  # the next shard needs the memory
        done += shard.samples
        if progress is not None:
            progress(done, total)
    _require_next(None, next(expected, None), executor)


def _require_next(found: Shard | None, expected: Shard | None, executor: Executor) -> None:
    if found != expected:
        raise DeclarationError(
            f"the executor {executor.name!r} brings {found} where {expected} comes next",
            "An executor yields every shard once, in the order in which it was given them.",
        )


def distinct_works(tasks: Sequence[Task]) -> tuple[Work, ...]:
    """Return what has to be added up for some tasks, each once; the last one counts the units.

    Raises:
        ConfigError: If there is no task.
        ShapeError: If a task names another number of fields than it reads.
        DuplicateNameError: If an observable is asked for twice on the same fields.
    """
    _check_tasks(tasks)
    works: list[Work] = []
    for task in tasks:
        if task.work not in works:
            works.append(task.work)
    return (*works, (Tally(), tasks[0].names[:1]))


def pass_key(reading: Pass, tasks: Sequence[Task]) -> str:
    """Return a short name of what is read and what is added up, the same for equal passes."""
    return fingerprint_of(reading, distinct_works(tasks))[:16]


def _check_tasks(tasks: Sequence[Task]) -> None:
    if not tasks:
        raise ConfigError("tasks", [], "at least one observable on at least one field.")
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for task in tasks:
        monoid, name = task.estimator.monoid, task.estimator.name
        if len(task.names) != monoid.inputs:
            raise ShapeError(f"{name} reads {monoid.inputs} field(s), not {len(task.names)}: {task.names}")
        if (name, task.names) in seen:
            raise DuplicateNameError(
                f"{name} is asked for twice on {', '.join(task.names)}", "Measure the second with a call of its own."
            )
        seen.add((name, task.names))


@dataclass(frozen=True, eq=False)
class _Column(Sequence[State]):
    """The states of one work, group by group."""

    rows: Sequence[Sequence[State]]
    work: int

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, key: int) -> State: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[State]: ...
    def __getitem__(self, key: int | slice) -> State | Sequence[State]:
        if isinstance(key, slice):
            return _Column(self.rows[key], self.work)
        return self.rows[key][self.work]

    def __iter__(self) -> Iterator[State]:
        return (row[self.work] for row in self.rows)
