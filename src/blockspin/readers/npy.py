"""Arrays: the first axis of an npy file, or of one array of an npz file, counts the records."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import Item


def read(path: Path, column: str) -> Iterator[Item]:
    """Yield (array, where) of each entry along the first axis; of an npz the array ``column``, or its only one.

    Raises:
        UnreadableRecordError: If the file cannot be read, holds objects, or has no such array.
    """
    try:
        array = _array(path, column)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as reason:
        raise UnreadableRecordError(f"{path.name} cannot be read ({reason})", "Save it anew with numpy.save.") from None
    if array.ndim < 2 or array.dtype.kind not in "fiub":
        raise UnreadableRecordError(
            f"{path.name} holds {array.dtype} of shape {array.shape}",
            "Give real numbers with the records along the first axis.",
        )
    for number, row in enumerate(array):
        content = np.array(row, dtype=np.float32)  # a copy: the file is mapped for reading alone
        if not np.isfinite(content).all():
            raise UnreadableRecordError(f"{path.name}, record {number} holds NaN or infinity", "Remove it.")
        yield content, f"{path.name}, record {number}"


def _array(path: Path, column: str) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else loaded[_name(loaded, column, path)]


def _name(archive: np.lib.npyio.NpzFile, column: str, path: Path) -> str:
    if column in archive.files:
        return column
    if len(archive.files) != 1:
        raise UnreadableRecordError(f"{path.name} has no array {column!r}", f"Its arrays: {', '.join(archive.files)}.")
    return archive.files[0]
