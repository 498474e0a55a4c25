"""Arrays: what the zarr store of a flow would unpack to, by what it says of itself, before any of it is unpacked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from blockspin.errors import RunFolderError

LARGEST = 2**28
"""Bytes that an array, one of its chunks, or a file may have."""
DESCRIPTION = 2**24
"""Bytes that the description of an array may have."""
CHUNKS = 4096
"""Most chunks of an array: each is looked for."""
CODECS = (["bytes"], ["bytes", "zstd"])
"""How flows are written. Of other codecs it is not known what they unpack to."""
ZSTD = bytes.fromhex("28b52ffd")
REPEATED = 1
"""Kind of a block that is one byte, again and again."""


def unpacked_size(store: Path) -> int:
    """Return the bytes that all arrays of a zarr store have when they are read.

    Args:
        store: Its folder.

    Raises:
        RunFolderError: If it is no store as flows are written: of what file, and why.
    """
    total = 0
    for path in sorted(store.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise _refused(path, "is a link or a device")
        if path.is_file() and path.stat().st_size > LARGEST:
            raise _refused(path, f"has {path.stat().st_size} bytes, more than {LARGEST}")
        if path.name == "zarr.json":
            about = _description(path)
            total += _array_size(path.parent, about) if about.get("node_type") == "array" else 0
    return total


def _description(path: Path) -> Mapping[str, Any]:
    size = path.stat().st_size
    if size > DESCRIPTION:
        raise _refused(path, f"has {size} bytes, more than {DESCRIPTION}")
    try:
        about = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as reason:
        raise _refused(path, f"is no JSON ({reason})") from None
    if not isinstance(about, dict):
        raise _refused(path, "describes nothing")
    return about


def _array_size(folder: Path, about: Mapping[str, Any]) -> int:
    """Return the bytes of an array, or of its chunk where that is larger; every chunk is weighed."""
    try:
        item = np.dtype(str(about["data_type"]))
        shape, chunk = about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"]
        names = [codec["name"] for codec in about["codecs"]]
        counted = [_count(length) for length in (*shape, *chunk)]
    except (KeyError, TypeError, ValueError) as reason:
        raise _refused(folder, f"is described in a way that flows are not ({reason!r})") from None
    if item.kind not in "biuf" or names not in CODECS or len(shape) != len(chunk) or len(shape) > 32:
        raise _refused(folder, f"holds {item} as {' and '.join(map(str, names))}, which flows are not written as")
    sizes, chunks = counted[: len(shape)], counted[len(shape) :]
    each = item.itemsize * prod(chunks)
    whole = max(item.itemsize * prod(sizes), each)
    pieces = prod(-(-size // step) for size, step in zip(sizes, chunks, strict=True))
    if whole > LARGEST or pieces > CHUNKS:
        raise _refused(folder, f"claims {whole} bytes in {pieces} chunks")
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "zarr.json":
            claimed = _frame_size(path) if "zstd" in names else path.stat().st_size
            if claimed != each:
                raise _refused(path, f"unpacks to {'no known number of' if claimed is None else claimed} bytes")
    return whole


def _count(length: Any) -> int:
    if type(length) is not int or length < 1:
        raise ValueError(f"{length!r} is no length")
    return length


def _frame_size(path: Path) -> int | None:
    """Return the bytes that a file of one zstd frame says that it unpacks to (RFC 8878, 3.1.1), or None.

    Without a size in its head, or with more after its end, the file may unpack to anything.
    """
    with path.open("rb") as file:
        head = file.read(18)
        if len(head) < 6 or head[:4] != ZSTD:
            return None
        flag, single, checksum, dictionary = head[4] >> 6, head[4] >> 5 & 1, head[4] >> 2 & 1, head[4] & 3
        width = (single, 2, 4, 8)[flag]
        start = 6 - single + (0, 1, 2, 4)[dictionary]
        stated = head[start : start + width]
        file.seek(start + width)
        last = False
        while not last:
            block = file.read(3)
            if not width or len(block) < 3:
                return None
            number = int.from_bytes(block, "little")
            last = bool(number & 1)
            file.seek(1 if number >> 1 & 3 == REPEATED else number >> 3, 1)
        if file.tell() + 4 * checksum != path.stat().st_size:
            return None
    return int.from_bytes(stated, "little") + (256 if width == 2 else 0)


def _refused(path: Path, why: str) -> RunFolderError:
    return RunFolderError(f"{path} {why}", "Repeat the run.")
