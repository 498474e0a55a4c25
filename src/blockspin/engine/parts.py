"""Parts: one pass divided among machines that share nothing, and its parts put together to the same bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from blockspin.engine._statefile import Saved, Work, fingerprint_of, folded
from blockspin.engine.base import Executor, Pass, Shard, Task
from blockspin.engine.measure import Progress, distinct_works, fill
from blockspin.engine.store import FolderStore, Plan, Store, group_name
from blockspin.errors import ConfigError, MergeError
from blockspin.observables.base import Monoid, State

MOST = 10_000


@dataclass(frozen=True, order=True)
class Part:
    """One of several parts of a pass: consecutive shards, as many as in the others, give or take one.

    Args:
        index: Which one, from 1.
        count: How many there are.
    """

    index: int
    count: int

    def __post_init__(self):
        if not 1 <= self.index <= self.count <= MOST:
            raise ConfigError("shard", str(self), f"I/N with I from 1 to N and N at most {MOST}, as 3/16.")

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read "3/16".

        Raises:
            ConfigError: If it is something else.
        """
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
        if not found:
            raise ConfigError("shard", text, "I/N, as 3/16 for the third of sixteen parts.")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"part-{self.index:05d}-of-{self.count:05d}"

    @property
    def all(self) -> list[Part]:
        """All parts of the division that it belongs to."""
        return [Part(index, self.count) for index in range(1, self.count + 1)]

    def plan(self, shards: Sequence[Shard]) -> Plan:
        """Return what this part carries out and where it is kept.

        A group is folded as it comes where its first shards belong to this part. Where another part has them, every
        shard is kept by itself, because sums depend on their order.

        Args:
            shards: All shards of the pass, sorted.
        """
        start, stop = ((i * len(shards)) // self.count for i in (self.index - 1, self.index))
        inside = start > 0 and shards[start - 1].group
        return {
            shard: f"{group_name(shard.group)}-{shard.index:06d}"
            if start > 0 and shard.group == inside
            else group_name(shard.group)
            for shard in shards[start:stop]
        }


def measure_part(
    reading: Pass,
    tasks: Sequence[Task],
    part: Part,
    *,
    executor: Executor,
    store: Path,
    progress: Progress | None = None,
) -> None:
    """Carry out one part of a pass and leave its states in ``store / part.folder``; goes on where it was cut short.

    Args:
        reading: The pass over the data; every machine makes it of the same configuration.
        tasks: What to measure, the same on every machine.
        part: Which part.
        executor: Who carries out the shards.
        store: Folder of the states of the pass.
        progress: Called after every shard.
    """
    works, shards = distinct_works(tasks), sorted(reading.shards())
    plan = part.plan(shards)
    with Store.open(store / part.folder, reading, works, shards, plan) as folder:
        fill(folder, reading, works, list(plan), executor, progress)


@dataclass(frozen=True)
class Agreement:
    """How a part compares with what this machine computes for the same shards.

    Args:
        part: The part.
        shards: How many shards were computed again.
        difference: The largest difference, relative to the scale of its tensor: the largest entry, or where terms
            cancel what they could add up to (``Monoid.scale``); 0 for the same bytes.
    """

    part: Part
    shards: int
    difference: float

    def __str__(self) -> str:
        held = "the same bytes" if self.difference == 0 else f"equal to {self.difference:.1e} of the scale"
        return f"part {self.part}: {self.shards} shard(s) computed again here, {held}"


def merge_parts(reading: Pass, tasks: Sequence[Task], places: Sequence[Path], store: Path) -> None:
    """Put the parts of a pass together, in the order in which one machine would have folded them.

    Args:
        reading: The pass over the data.
        tasks: What was measured.
        places: Where parts lie: folders that hold part-I-of-N folders.
        store: Folder of the states of the whole pass.

    Raises:
        MergeError: If a part is missing or not finished: which one, and the command that does it.
        CorruptStateError: If a file is damaged; that part is then to be run again.
        RunFolderError: If a part belongs to another pass.
        OtherVersionsError: If a part was computed with other versions of blockspin or torch than are installed here.
    """
    works, shards = distinct_works(tasks), sorted(reading.shards())
    pieces: dict[str, list[tuple[FolderStore, str]]] = {}
    for part in parts_in(places):
        finished = _finished(part, reading, works, shards, places)
        for name in finished.expected:
            pieces.setdefault(name[: len(group_name(0))], []).append((finished, name))
    with Store.open(store, reading, works, shards) as target:
        assert isinstance(target, FolderStore)
        target.pending(shards)  # refuses states of another pass
        for group in target.expected:  # one group at a time in memory
            _put_group(target, works, group, [folder.load(name) for folder, name in pieces[group]])


def _put_group(target: FolderStore, works: Sequence[Work], group: str, pieces: Sequence[Saved]) -> None:
    states: list[State] | None = None
    for saved in pieces:
        states = folded(works, states, saved.states)
    target.put(group, [key for saved in pieces for key in saved.ledger], states or [])


def check_part(
    reading: Pass, tasks: Sequence[Task], part: Part, places: Sequence[Path], executor: Executor
) -> Agreement:
    """Compute the first file of a part again on this machine and compare.

    Args:
        reading: The pass over the data.
        tasks: What was measured.
        part: Which part.
        places: Where parts lie.
        executor: Who carries out the shards here.
    """
    works, shards = distinct_works(tasks), sorted(reading.shards())
    finished = _finished(part, reading, works, shards, places)
    if not finished.expected:
        return Agreement(part, 0, 0.0)
    theirs = finished.load(next(iter(finished.expected)))
    again = [shard for shard in shards if shard.key in set(theirs.ledger)]
    ours: list[State] | None = None
    for _, states in executor.run(reading, works, again):
        ours = folded(works, ours, states)
    pairs = zip(works, ours or [], theirs.states, strict=True)
    return Agreement(part, len(again), max((_gap(monoid, a, b) for (monoid, _), a, b in pairs), default=0.0))


def parts_in(places: Sequence[Path]) -> list[Part]:
    """Return all parts of the division that is found in some folders.

    Raises:
        MergeError: If there is none, or there are several divisions.
    """
    names = {folder.name for place in places for folder in place.glob("part-*-of-*") if folder.is_dir()}
    counts = {int(name.rpartition("-")[2]) for name in names if re.fullmatch(r"part-\d{5}-of-\d{5}", name)}
    if len(counts) != 1:
        found = ", ".join(map(str, sorted(counts))) or "none"
        raise MergeError(
            f"parts of one division are needed; divisions found: {found}",
            "Run every part with --shard I/N and the same N, and name all their folders.",
        )
    return Part(1, counts.pop()).all


def _finished(
    part: Part, reading: Pass, works: Sequence[Work], shards: Sequence[Shard], places: Sequence[Path]
) -> FolderStore:
    """Return the states of a finished part; they are read alone, so that they may lie where nothing can be written."""
    plan = part.plan(shards)
    for place in places:
        if not (place / part.folder).is_dir():
            continue
        folder = FolderStore(place / part.folder, works, fingerprint_of(reading, works), plan)
        left = folder.pending(list(plan))
        if left:
            raise MergeError(
                f"part {part} has {len(left)} of {len(plan)} shards left to do",
                f"Go on with it: the same command, with --shard {part}.",
            )
        return folder
    raise MergeError(f"part {part} is missing", f"Run it with --shard {part}, or name the folder that holds it.")


def _gap(monoid: Monoid, ours: State, theirs: State) -> float:
    """Return the largest difference of two states, relative to the scale of each tensor."""
    return max((_difference(monoid, ours[key], theirs, key) for key in ours), default=0.0)


def _difference(monoid: Monoid, ours: Tensor, state: State, key: str) -> float:
    theirs = state[key]
    if ours.shape != theirs.shape:
        return float("inf")
    if torch.equal(ours, theirs):
        return 0.0
    if not ours.is_floating_point():
        return float("inf")
    return float((ours - theirs).abs().max() / monoid.scale(state, key).clamp(min=torch.finfo(theirs.dtype).tiny))
