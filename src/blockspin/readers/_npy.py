"""Npy: the header of an array, checked before a byte of its entries is read; and arrays inside of streams."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from math import prod
from tokenize import TokenError
from typing import IO

import numpy as np

from blockspin.errors import UnreadableRecordError
from blockspin.readers._contents import limited, numbers_of
from blockspin.readers._limits import HEADER, refuse_beyond

READERS = {1: (2, np.lib.format.read_array_header_1_0), 2: (4, np.lib.format.read_array_header_2_0)}
"""By version: bytes of the header's length, and its reader. Version 3 is for names of fields, which are not read."""
BROKEN = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError, KeyError, OSError, TokenError)


@dataclass(frozen=True)
class Header:
    """What the header of an array says.

    Args:
        shape: Its shape.
        dtype: Type of its entries: real numbers.
        fortran: Whether the first axis runs fastest.
        offset: Bytes before its entries.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """Bytes of its entries, whatever their number."""
        return prod(self.shape) * self.dtype.itemsize


def header_of(stream: IO[bytes], where: str) -> Header:
    """Read the header of an array.

    Raises:
        UnreadableRecordError: If there is none, it is too long, or it speaks of anything but real numbers.
    """
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in READERS:
        raise UnreadableRecordError(f"{where} cannot be read (no array)", "Save it anew with numpy.save.")
    width, read = READERS[start[6]]
    length = stream.read(width)
    size = int.from_bytes(length, "little")
    refuse_beyond(where, "its header's number of bytes", size, HEADER)
    try:
        shape, fortran, dtype = read(BytesIO(length + stream.read(size)))
    except BROKEN as reason:
        first = str(reason)[:200]
        raise UnreadableRecordError(f"{where} cannot be read ({first})", "Save it anew with numpy.save.") from None
    if dtype.kind not in "fiub" or not all(n > 0 for n in shape):
        raise UnreadableRecordError(f"{where} holds {dtype} of shape {shape}", "Give real numbers, at least one.")
    return Header(tuple(int(n) for n in shape), dtype, fortran, 8 + width + size)


def array_of(data: bytes, where: str) -> np.ndarray:
    """Return an array that is in memory as the bytes of a file.

    Raises:
        UnreadableRecordError: If it cannot be read.
    """
    stream = BytesIO(data)
    header = header_of(stream, where)
    return entries(stream, header, where)


def entries(stream: IO[bytes], header: Header, where: str) -> np.ndarray:
    """Return the entries that follow a header, as float32.

    Raises:
        UnreadableRecordError: If they are too many, cut short, or not finite.
    """
    flat = np.frombuffer(limited(stream, header.size, where), header.dtype)
    return numbers_of(flat.reshape(header.shape, order="F" if header.fortran else "C"), where)
