"""Kept: a pass whose joint batches are kept on disk, so that the network is run once however often they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from blockspin.engine._files import clear_leftovers, unwritable, write_bytes
from blockspin.engine._statefile import sealed, unsealed, with_versions
from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch
from blockspin.errors import ConfigError, CorruptStateError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Joint = dict[str, Batch]


@dataclass(frozen=True, eq=False)
class KeptPass(Pass):
    """Another pass, each shard of it written to disk when it is first read and read from there afterwards.

    One safetensors file a shard, with a checksum, replaced in one step; a damaged file, or one of another version of
    blockspin or torch, is read anew from the other pass. Batches come in the same order and composition as from the
    other pass, so that sums have the same bytes.

    Args:
        inner: The pass.
        folder: Where to; one pass a folder.
        dtype: "float32", or "bfloat16": half the space, three digits; the same rounded values at the first reading.

    Raises:
        ConfigError: If the dtype is another one.
    """

    inner: Pass
    folder: Path
    dtype: str = "float32"

    def __post_init__(self):
        if self.dtype not in DTYPES:
            raise ConfigError("activations", self.dtype, f"{' or '.join(DTYPES)}.")

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self.inner.groups

    @property
    def fingerprint(self) -> str:
        """That of the other pass; rounded values have one of their own."""
        return self.inner.fingerprint + ("" if self.dtype == "float32" else f" as {self.dtype}")

    def shards(self) -> Sequence[Shard]:
        """Return the shards."""
        return self.inner.shards()

    def batches(self, shard: Shard) -> Iterator[Joint]:
        """Yield the joint batches of one shard, from disk where they are there.

        Raises:
            DiskSpaceError: If the disk is full; no file is left half written.
            RunFolderError: If the folder must not be written to.
        """
        path = self.folder / f"shard-{shard.key}.safetensors"
        try:
            joints = _read(path, with_versions(self.fingerprint))
        except CorruptStateError:
            joints = [_rounded(joint, DTYPES[self.dtype]) for joint in self.inner.batches(shard)]
            _make(self.folder)
            clear_leftovers(self.folder, path.name)  # of a worker that was killed over this shard
            write_bytes(path, _encode(joints, with_versions(self.fingerprint), DTYPES[self.dtype]))
        yield from joints


def kept_batches(folder: Path) -> Iterator[Joint]:
    """Yield the joint batches that a pass has kept in a folder, shard by shard, without the network.

    Raises:
        CorruptStateError: If there is none, or a file is damaged: resume the run that wrote it.
    """
    files = sorted(folder.glob("shard-*.safetensors"))
    if not files:
        raise CorruptStateError(f"{folder} holds no activations", "Give activations/PASS of a run that kept them.")
    for file in files:
        yield from _read(file)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise unwritable(folder, reason) from None


def _rounded(joint: Joint, dtype: torch.dtype) -> Joint:
    return {name: batch.with_values(batch.values.to(dtype).to(torch.float32)) for name, batch in joint.items()}


def _encode(joints: Sequence[Joint], fingerprint: str, dtype: torch.dtype) -> bytes:
    names = list(joints[0]) if joints else []
    tensors: dict[str, Tensor] = {}
    for number, name in enumerate(names):
        whole = Batch.join(joint[name] for joint in joints)
        columns = {"values": whole.values.to(dtype), "ids": whole.ids, "units": whole.units, "weights": whole.weights}
        columns["lengths"] = torch.tensor([len(joint[name]) for joint in joints])
        tensors.update({f"{number:04d}/{key}": column.contiguous() for key, column in columns.items()})
    return sealed(fingerprint, "names", names, tensors)


def _read(path: Path, fingerprint: str | None = None) -> list[Joint]:
    """Return the joint batches of a file, whichever pass it is of where no fingerprint is given.

    Raises:
        CorruptStateError: If it is missing, damaged, or of another pass.
    """
    try:
        found, names, tensors = unsealed(path, "names")
        if fingerprint not in (None, found):
            raise CorruptStateError(f"{path} is of another pass")
        fields = {name: _field(tensors, f"{number:04d}/") for number, name in enumerate(names)}
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as reason:
        raise CorruptStateError(f"{path} cannot be read ({reason})") from None
    return [dict(zip(fields, parts, strict=True)) for parts in zip(*fields.values(), strict=True)]


def _field(tensors: Mapping[str, Tensor], prefix: str) -> list[Batch]:
    column = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    rows = torch.arange(len(column["ids"])).split(column["lengths"].tolist())
    values = column["values"].to(torch.float32)
    whole = Batch(values, column["ids"], column["units"], column["weights"])
    return [whole.select(part) for part in rows]
