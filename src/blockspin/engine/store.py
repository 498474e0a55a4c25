"""Store: the states of groups while a pass is under way, in memory or on disk, so that a killed pass can go on."""

from __future__ import annotations

import abc
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from blockspin.engine.base import Pass, Shard
from blockspin.errors import CorruptStateError, DiskSpaceError, RunFolderError
from blockspin.observables.base import Monoid, RowMonoid, State

Work = tuple[Monoid, tuple[str, ...]]
"""What is added up, and on which fields."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SPARE = 16 * 2**20
"""Bytes that are left free on a disk."""


class Store(abc.ABC):
    """The states of groups, one a work. Shards are folded in order."""

    @staticmethod
    @contextmanager
    def open(path: Path | None, reading: Pass, works: Sequence[Work], shards: Sequence[Shard]) -> Iterator[Store]:
        """Open the states of one pass: in the folder ``path``, or in memory.

        Raises:
            RunFolderError: If the folder holds states of another pass.
        """
        if path is None:
            yield MemoryStore(works)
            return
        path.mkdir(parents=True, exist_ok=True)
        for leftover in path.glob("*.tmp"):
            leftover.unlink()
        yield FolderStore(path, works, _fingerprint(reading, works), _expected(shards))

    @abc.abstractmethod
    def pending(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards that are not folded yet, in order."""

    @abc.abstractmethod
    def fold(self, shard: Shard, states: Sequence[State]) -> None:
        """Merge the states of a shard into its group."""

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

    def fold(self, shard: Shard, states: Sequence[State]) -> None:
        """Merge the states of a shard into its group."""
        self.states[shard.group] = _folded(self.works, self.states.get(shard.group), states)

    def groups(self, count: int) -> Sequence[Sequence[State]]:
        """Return the states of all groups; those of a group without samples are empty."""
        return [self.states.get(g) or [monoid.start() for monoid, _ in self.works] for g in range(count)]


@dataclass(eq=False)
class FolderStore(Store):
    """One safetensors file a group, rewritten after each of its shards: ledger, checksum, atomic replacement.

    Args:
        path: The folder.
        works: What is added up.
        fingerprint: Of the pass and the works; states of another one are refused.
        expected: The keys of the shards of each group, in order.
    """

    path: Path
    works: Sequence[Work]
    fingerprint: str
    expected: dict[int, list[str]]
    current: tuple[int, list[str], list[State]] | None = None
    checked_space: bool = False

    def pending(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards that no valid file holds; files that are damaged are removed."""
        known = {self._file(group) for group in self.expected}
        for file in self.path.glob("group-*.safetensors"):
            if file not in known:
                raise self._foreign(file)
        done: set[str] = set()
        for group in self.expected:
            done.update(self._ledger(group))
        return [shard for shard in shards if shard.key not in done]

    def fold(self, shard: Shard, states: Sequence[State]) -> None:
        """Merge the states of a shard into its group and write that group's file.

        Raises:
            DiskSpaceError: If there is no room; the group's last file stays.
        """
        if self.current is None or self.current[0] != shard.group:
            ledger = self._ledger(shard.group)
            self.current = (shard.group, ledger, self._load(shard.group)[1] if ledger else [])
        _, ledger, held = self.current
        folded = _folded(self.works, held or None, states)
        ledger = [*ledger, shard.key]
        payload = _encode(self.fingerprint, ledger, folded)
        if not self.checked_space:
            self._check_space(len(payload))
            self.checked_space = True
        _write(self._file(shard.group), payload)
        self.current = (shard.group, ledger, folded)

    def groups(self, count: int) -> Sequence[Sequence[State]]:
        """Return the states of all groups, each read from its file when it is asked for."""
        self.current = None
        return [GroupFile(self._file(g) if g in self.expected else None, self.works) for g in range(count)]

    def _file(self, group: int) -> Path:
        return self.path / f"group-{group:04d}.safetensors"

    def _foreign(self, file: Path) -> RunFolderError:
        return RunFolderError(
            f"{file} holds the states of another pass",
            "Give a folder of its own to each configuration, or remove the states.",
        )

    def _load(self, group: int) -> tuple[list[str], list[State]]:
        fingerprint, ledger, states = _decode(self._file(group), len(self.works))
        if fingerprint != self.fingerprint:
            raise self._foreign(self._file(group))
        if ledger != self.expected[group][: len(ledger)]:
            raise CorruptStateError(f"the ledger of {self._file(group)} does not match the shards of this pass")
        return ledger, states

    def _ledger(self, group: int) -> list[str]:
        """Return the keys of the shards in a group's file; a damaged file counts as none and is removed."""
        if not self._file(group).exists():
            return []
        try:
            return self._load(group)[0]
        except CorruptStateError:
            self._file(group).unlink()
            return []

    def _check_space(self, size: int) -> None:
        """Refuse before the first byte where the finished states would not fit."""
        rows = any(isinstance(monoid, RowMonoid) for monoid, _ in self.works)
        growth = max(map(len, self.expected.values())) if rows else 1
        needed = size * growth * (len(self.expected) + 1) + SPARE
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise DiskSpaceError(
                f"the states need up to {needed / 2**20:.0f} MB, and {self.path} has {free / 2**20:.0f} MB free",
                "Free some space, measure fewer layers, or use fewer groups.",
            )


@dataclass(frozen=True, eq=False)
class GroupFile(Sequence[State]):
    """The states of one group on disk, each read when it is asked for.

    Args:
        path: The file, or None for a group without samples.
        works: What was added up.
    """

    path: Path | None
    works: Sequence[Work]

    def __len__(self) -> int:
        return len(self.works)

    def __getitem__(self, index):
        if self.path is None:
            return self.works[index][0].start()
        with safe_open(self.path, framework="pt") as file:
            prefix = f"{index:04d}/"
            return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118


# --- bytes -----------------------------------------------------------------------------------------------------------


def _folded(works: Sequence[Work], held: Sequence[State] | None, states: Sequence[State]) -> list[State]:
    if held is None:
        return list(states)
    return [monoid.merge(old, new) for (monoid, _), old, new in zip(works, held, states, strict=True)]


def _fingerprint(reading: Pass, works: Sequence[Work]) -> str:
    about = "\n".join([reading.fingerprint, *(f"{monoid!r} {names!r}" for monoid, names in works)])
    return hashlib.sha256(about.encode()).hexdigest()


def _expected(shards: Sequence[Shard]) -> dict[int, list[str]]:
    keys: dict[int, list[str]] = {}
    for shard in shards:
        keys.setdefault(shard.group, []).append(shard.key)
    return keys


def _checksum(fingerprint: str, ledger: Sequence[str], tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps([fingerprint, *ledger]).encode())
    for key in sorted(tensors):
        digest.update(f"{key} {tensors[key].dtype} {tuple(tensors[key].shape)}".encode())
        digest.update(tensors[key].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _encode(fingerprint: str, ledger: Sequence[str], states: Sequence[State]) -> bytes:
    tensors = {f"{i:04d}/{key}": tensor.contiguous() for i, state in enumerate(states) for key, tensor in state.items()}
    about = {"fingerprint": fingerprint, "ledger": list(ledger), "sha256": _checksum(fingerprint, ledger, tensors)}
    return save(tensors, metadata={"blockspin": json.dumps(about)})


def _decode(path: Path, works: int) -> tuple[str, list[str], list[State]]:
    """Return fingerprint, ledger and states of a group's file.

    Raises:
        CorruptStateError: If the file is cut short or altered.
    """
    states: list[State] = [{} for _ in range(works)]
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["blockspin"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        fingerprint, ledger, checksum = about["fingerprint"], about["ledger"], about["sha256"]
    except (SafetensorError, ValueError, KeyError, TypeError) as reason:
        raise CorruptStateError(f"{path} cannot be read ({reason})") from None
    if checksum != _checksum(fingerprint, ledger, tensors):
        raise CorruptStateError(f"{path} does not match its checksum")
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        if int(index) < works:
            states[int(index)][name] = tensor
    return fingerprint, ledger, states


def _write(path: Path, payload: bytes) -> None:
    """Replace a file in one step.

    Raises:
        DiskSpaceError: If the disk is full; the old file stays and no other is left.
    """
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as reason:
        temporary.unlink(missing_ok=True)
        if reason.errno in FULL:
            raise DiskSpaceError(
                f"the disk is full at {path}", "Free some space and resume: what is done stays."
            ) from None
        raise
