"""State file: the states of some shards as safetensors, with a ledger and a checksum, replaced in one step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import blockspin
from blockspin.engine._threads import numerics
from blockspin.engine.base import Pass
from blockspin.errors import CorruptStateError, DeclarationError
from blockspin.observables.base import Monoid, State

Work = tuple[Monoid, tuple[str, ...]]
"""What is added up, and on which fields."""
UNSOUND = (SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError)
"""What a file that was altered, by chance or on purpose, may raise where it is read."""


@dataclass(frozen=True, eq=False)
class Saved:
    """The states of some shards of one group, folded in order.

    Args:
        fingerprint: Of the pass and the works.
        ledger: The keys of the shards.
        states: One a work.
    """

    fingerprint: str
    ledger: list[str]
    states: list[State]


@dataclass(frozen=True, eq=False)
class StateFile(Sequence[State]):
    """The states in a file, each read when it is asked for.

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
        prefix = f"{index:04d}/"
        try:
            with safe_open(self.path, framework="pt") as file:
                return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
        except (OSError, SafetensorError) as reason:
            raise CorruptStateError(f"{self.path} was changed or removed ({reason})", "Resume the run.") from None


def fingerprint_of(reading: Pass, works: Sequence[Work]) -> str:
    """Return a hash of what is read and of what is added up, and the versions of what computes it."""
    about = "\n".join([reading.fingerprint, *(f"{monoid!r} {names!r}" for monoid, names in works)])
    return with_versions(hashlib.sha256(about.encode()).hexdigest())


def with_versions(fingerprint: str) -> str:
    """Return a fingerprint with the versions of what computes: another one may add up other numbers."""
    return f"{fingerprint}, {versions()}"


def versions() -> str:
    """Return what is installed here and computes."""
    return f"blockspin {blockspin.__version__} and torch {torch.__version__}"


def versions_in(fingerprint: str) -> tuple[str, str]:
    """Return a fingerprint and the versions that ``with_versions`` has put there, "" where it has none."""
    about, _, found = fingerprint.partition(", ")
    return about, found


def folded(works: Sequence[Work], held: list[State] | None, states: list[State]) -> list[State]:
    """Return states merged into those that are held, and empty both lists; None holds nothing.

    One work after the other is let go as it is merged: all of the old ones, the new ones and their sums at once would
    take three times the memory.
    """
    merged: list[State] = []
    if held is None:
        merged, states[:] = list(states), []
        return merged
    if not len(works) == len(held) == len(states):
        raise DeclarationError(f"{len(held)} and {len(states)} states are merged for {len(works)} works")
    with numerics(threads=1):
        for monoid, _ in works:
            merged.append(monoid.merge(held.pop(0), states.pop(0)))
    return merged


def encode(saved: Saved) -> bytes:
    """Return the bytes of a file, the same for the same states."""
    tensors = {
        f"{i:04d}/{key}": tensor.contiguous() for i, state in enumerate(saved.states) for key, tensor in state.items()
    }
    return sealed(saved.fingerprint, "ledger", saved.ledger, tensors)


def decode(path: Path, works: int) -> Saved:
    """Return what a file holds.

    Raises:
        CorruptStateError: If the file is cut short or altered.
    """
    states: list[State] = [{} for _ in range(works)]
    fingerprint, ledger, tensors = unsealed(path, "ledger")
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        if not (index.isascii() and index.isdigit()):
            raise CorruptStateError(f"{path} holds {key[:40]!r}, which is of no work")
        if int(index) < works:
            states[int(index)][name] = tensor
    return Saved(fingerprint, ledger, states)


def sealed(fingerprint: str, key: str, listed: Sequence[str], tensors: Mapping[str, Tensor]) -> bytes:
    """Return a safetensors file that says whose its tensors are, lists something under ``key``, and is checksummed."""
    digest = checksum(json.dumps([fingerprint, *listed]), tensors)
    about = {"fingerprint": fingerprint, key: listed, "sha256": digest}
    return save(dict(tensors), metadata={"blockspin": json.dumps(about)})


def unsealed(path: Path, key: str) -> tuple[str, list[str], dict[str, Tensor]]:
    """Return (fingerprint, what is listed under ``key``, tensors) of a file that ``sealed`` made.

    Raises:
        CorruptStateError: If the file is cut short or altered.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["blockspin"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        fingerprint, listed, expected = about["fingerprint"], about[key], about["sha256"]
        sound = expected == checksum(json.dumps([fingerprint, *listed]), tensors)
    except UNSOUND as reason:
        raise CorruptStateError(f"{path} cannot be read ({reason})") from None
    if not sound:
        raise CorruptStateError(f"{path} does not match its checksum")
    return fingerprint, listed, tensors


def checksum(about: str, tensors: Mapping[str, Tensor]) -> str:
    """Return a sha256 of a text and of some tensors by name."""
    digest = hashlib.sha256(about.encode())
    for key in sorted(tensors):
        digest.update(f"{key} {tensors[key].dtype} {tuple(tensors[key].shape)}".encode())
        digest.update(tensors[key].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
