"""Store: the states of groups while a pass is under way, in memory or on disk, so that a killed pass can go on."""

from __future__ import annotations

import abc
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from blockspin.engine._files import clear_leftovers, locked, unwritable, write_bytes
from blockspin.engine._statefile import Saved, StateFile, Work, decode, encode, fingerprint_of, folded, versions_in
from blockspin.engine.base import Pass, Shard
from blockspin.errors import CorruptStateError, DiskSpaceError, OtherVersionsError, RunFolderError
from blockspin.observables.base import RowMonoid, State

SPARE = 16 * 2**20
"""Bytes that are left free on a disk."""

Plan = Mapping[Shard, str]
"""The name of the file that each shard is folded into, shards in order."""


class Store(abc.ABC):
    """The states of groups, one a work. Shards are folded in order."""

    @staticmethod
    @contextmanager
    def open(
        path: Path | None, reading: Pass, works: Sequence[Work], shards: Sequence[Shard], plan: Plan | None = None
    ) -> Iterator[Store]:
        """Open the states of one pass: in the folder ``path``, or in memory.

        Args:
            path: The folder, or None.
            reading: The pass.
            works: What is added up.
            shards: The shards that will be folded.
            plan: Into which files; by default one a group.

        Raises:
            RunFolderError: If the folder holds states of another pass, another process is writing to it, or this one
                must not.
        """
        if path is None:
            yield MemoryStore(works)
            return
        with locked(path):
            clear_leftovers(path)
            yield FolderStore(path, works, fingerprint_of(reading, works), by_group(shards) if plan is None else plan)

    @abc.abstractmethod
    def pending(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards that are not folded yet, in order."""

    @abc.abstractmethod
    def fold(self, shard: Shard, states: list[State]) -> None:
        """Merge the states of a shard into its group; the list is used up."""

    @abc.abstractmethod
    def groups(self, count: int) -> Sequence[Sequence[State]]:
        """Return the states of all groups."""


@dataclass(eq=False)
class MemoryStore(Store):
    """Everything in memory.

    Args:
        works: What is added up.
    """

    works: Sequence[Work]
    states: dict[int, list[State]] = field(default_factory=dict)

    def pending(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return all shards: nothing outlives this process."""
        return list(shards)

    def fold(self, shard: Shard, states: list[State]) -> None:
        """Merge the states of a shard into its group."""
        self.states[shard.group] = folded(self.works, self.states.get(shard.group), states)

    def groups(self, count: int) -> Sequence[Sequence[State]]:
        """Return the states of all groups; those of a group without samples are empty."""
        return [self.states.get(g) or [monoid.start() for monoid, _ in self.works] for g in range(count)]


class FolderStore(Store):
    """Safetensors files, each rewritten after each of its shards: ledger, checksum, atomic replacement.

    Args:
        path: The folder.
        works: What is added up.
        fingerprint: Of the pass and the works; states of another one are refused.
        plan: Into which file each shard is folded.
    """

    def __init__(self, path: Path, works: Sequence[Work], fingerprint: str, plan: Plan):
        self.path, self.works, self.fingerprint, self.plan = path, works, fingerprint, plan
        self.expected: dict[str, list[str]] = {}
        for shard, name in plan.items():
            self.expected.setdefault(name, []).append(shard.key)
        self._current: tuple[str, Saved] | None = None
        self._checked_space = False

    def pending(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards that no sound file holds; a damaged one is replaced when they are folded."""
        known = {self.file(name) for name in self.expected}
        for file in self.path.glob("*.safetensors"):
            if file not in known:
                raise self._foreign(file)
        done: set[str] = set()
        for name in self.expected:
            done.update(self._held(name).ledger)
        return [shard for shard in shards if shard.key not in done]

    def fold(self, shard: Shard, states: list[State]) -> None:
        """Merge the states of a shard into its group and write that group's file.

        Raises:
            DiskSpaceError: If there is no room; the group's last file stays.
        """
        name = self.plan[shard]
        if self._current is None or self._current[0] != name:
            self._current = (name, self._held(name))
        held, self._current = self._current[1], None  # what is merged is used up; its file stands
        self.put(name, [*held.ledger, shard.key], folded(self.works, held.states or None, states))

    def put(self, name: str, ledger: list[str], states: list[State]) -> None:
        """Write the states of some shards as a file.

        Raises:
            DiskSpaceError: If there is no room; the last file of that name stays.
        """
        saved = Saved(self.fingerprint, ledger, states)
        payload = encode(saved)
        if not self._checked_space:
            self._check_space(len(payload))
            self._checked_space = True
        write_bytes(self.file(name), payload)
        self._current = (name, saved) if len(ledger) < len(self.expected[name]) else None  # nothing is added any more

    def groups(self, count: int) -> Sequence[Sequence[State]]:
        """Return the states of all groups, each read from its file when it is asked for."""
        self._current = None
        names = map(group_name, range(count))
        return [StateFile(self.file(name) if name in self.expected else None, self.works) for name in names]

    def file(self, name: str) -> Path:
        """Return the path of a file by its name in the plan."""
        return self.path / f"{name}.safetensors"

    def load(self, name: str) -> Saved:
        """Return what a file holds.

        Raises:
            CorruptStateError: If it is damaged, or its ledger is not that of this pass.
            RunFolderError: If it belongs to another pass.
            OtherVersionsError: If it was computed with other versions of blockspin or torch.
        """
        saved = decode(self.file(name), len(self.works))
        if saved.fingerprint != self.fingerprint:
            raise self._foreign(self.file(name), saved.fingerprint)
        if saved.ledger != self.expected[name][: len(saved.ledger)]:
            raise CorruptStateError(f"the ledger of {self.file(name)} does not match the shards of this pass")
        return saved

    def _foreign(self, file: Path, fingerprint: str = "") -> RunFolderError:
        (found, theirs), (expected, ours) = versions_in(fingerprint), versions_in(self.fingerprint)
        if found == expected:
            return OtherVersionsError(
                f"{file} was computed with {theirs or 'unknown versions'}, and installed are {ours}",
                "Install those versions, the same on every machine that shares a run, or remove the states.",
            )
        return RunFolderError(
            f"{file} holds the states of another pass",
            "Give a folder of its own to each configuration, or remove the states.",
        )

    def _held(self, name: str) -> Saved:
        """Return what a file holds: nothing where it is missing or damaged."""
        if self.file(name).exists():
            with suppress(CorruptStateError):
                return self.load(name)
        return Saved(self.fingerprint, [], [])

    def _check_space(self, size: int) -> None:
        """Refuse before the first byte where the finished states would not fit."""
        rows = any(isinstance(monoid, RowMonoid) for monoid, _ in self.works)
        growth = max(map(len, self.expected.values())) if rows else 1
        needed = size * growth * (len(self.expected) + 1) + SPARE
        try:
            free = shutil.disk_usage(self.path).free
        except OSError as reason:
            raise unwritable(self.path, reason) from None
        if free < needed:
            raise DiskSpaceError(
                f"the states need up to {needed / 2**20:.0f} MB, and {self.path} has {free / 2**20:.0f} MB free",
                "Free some space, measure fewer layers, or use fewer groups.",
            )


def group_name(group: int) -> str:
    """Return the name of the file of a whole group."""
    return f"group-{group:04d}"


def by_group(shards: Sequence[Shard]) -> Plan:
    """Return the plan that folds every group into a file of its own."""
    return {shard: group_name(shard.group) for shard in shards}
