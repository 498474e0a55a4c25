"""IDX: the format of MNIST and its successors: big-endian sizes, then the numbers, mostly packed as .gz."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from blockspin.errors import UnreadableRecordError
from blockspin.readers._contents import limited, numbers_of
from blockspin.readers._streams import Stream
from blockspin.readers.base import Item, refuse_unit

KINDS = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Types of numbers by their code."""
WHITE = np.float32(255)


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield each entry along the first axis; pictures of bytes with values in [0, 1], as those of picture files.

    Raises:
        UnreadableRecordError: If it is no such file, is cut short, or a record is too large.
    """
    refuse_unit(unit, "a file of MNIST's format holds one array.")
    with Stream(path) as stream:
        kind, (count, *shape) = _header(stream, path.name)
        size = math.prod(shape) * kind.itemsize
        for number in range(count):
            where = f"{path.name}, record {number}"
            values = numbers_of(np.frombuffer(_exactly(stream, size, where), kind).reshape(shape), where)
            yield Item(values / WHITE if kind == np.uint8 and len(shape) > 1 else values, where)


def _header(stream: Stream, name: str) -> tuple[np.dtype, list[int]]:
    """Return the type of the numbers and the sizes of all axes."""
    zeros, code, axes = struct.unpack(">HBB", _exactly(stream, 4, name))
    if zeros or code not in KINDS or not axes:
        raise UnreadableRecordError(f"{name} does not begin as a file of MNIST's format", "Give one, or rename it.")
    return np.dtype(KINDS[code]), list(struct.unpack(f">{axes}I", _exactly(stream, 4 * axes, name)))


def _exactly(stream: Stream, size: int, where: str) -> bytes:
    stream.allow(size)
    return limited(stream, size, where)
