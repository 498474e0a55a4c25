"""Files that were made to do harm: headers of safetensors that lie, pickles that act, and a bound on memory."""

from __future__ import annotations

import json
import os
import struct
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEEP = 100_000
"""Brackets in a row: far more than a parser that calls itself can follow."""


def tensor(shape: list[int], begin: int, end: int) -> dict[str, Any]:
    """Return the entry of a float32 tensor in a header."""
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def safetensors(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    """Return a file with a header of our own and, if given, a length of it that is not true."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


HEADERS = {
    "a length of 2^63": safetensors({}, length=2**63),
    "a length of 2^64 - 1": safetensors({}, length=2**64 - 1),
    "a length beyond the file": safetensors({}, length=10**6),
    "offsets that overlap": safetensors({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
    "offsets beyond the file": safetensors({"a": tensor([2**40], 0, 2**42)}, bytes(8)),
    "negative offsets": safetensors({"a": tensor([2], -8, 0)}, bytes(8)),
    "offsets that run backwards": safetensors({"a": tensor([2], 8, 0)}, bytes(8)),
    "a shape that does not fit its offsets": safetensors({"a": tensor([3], 0, 8)}, bytes(8)),
    "a shape that overflows": safetensors({"a": tensor([2**62, 4], 0, 0)}),
    "a hole between tensors": safetensors({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)),
    "an unknown type": safetensors({"a": {**tensor([2], 0, 8), "dtype": "O"}}, bytes(8)),
    "a header that is not JSON": safetensors(b"\xff{not"),
    "a header of deep lists": safetensors(b"[" * DEEP),
    "a header of deep tables": safetensors(b'{"a":' * DEEP),
    "deep lists in its own entry": safetensors({"__metadata__": {"blockspin": "[" * DEEP}}),
    "very many tensors": safetensors({str(number): tensor([0], 0, 0) for number in range(3000)}),
    "nothing": b"",
    "a length cut short": b"\0\0\0",
}


class Acting:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@contextmanager
def little_memory(limit: int = 2**26) -> Iterator[None]:
    """Fail where Python's own memory grows by more than ``limit``, or the peak of the whole process by four times that.

    The first sees every array of NumPy; the second what other libraries take too, as long as no test before took more.
    """
    before = _peak()
    tracemalloc.start()
    try:
        yield
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grown < limit, grown
    assert _peak() - before < 4 * limit


def _peak() -> int:
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
