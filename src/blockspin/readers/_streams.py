"""Streams: a file read from its beginning to its end, unpacked on the way where its ending says so, within limits."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from blockspin.errors import MissingDependencyError, UnreadableRecordError
from blockspin.readers._limits import TEXT, Expansion, refuse_beyond

PACKED = {".gz": "gzip", ".tgz": "gzip", ".bz2": "bz2", ".zst": "compression.zstd"}
"""Endings of packed files and the module of the standard library that unpacks them."""
BROKEN = (OSError, EOFError, ValueError, zlib.error)


class Stream:
    """A file as a stream of bytes; nothing is ever unpacked to disk.

    Args:
        path: The file.

    Raises:
        MissingDependencyError: If this Python cannot unpack it.
    """

    def __init__(self, path: Path):
        self.path, self.allowed = path, 0
        opener, self._broken = _opener(path)
        self._raw = path.open("rb")
        self._file: Any = opener(self._raw, "rb") if opener else self._raw
        self._expansion = Expansion(path.name) if opener else None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.close()
        self._raw.close()

    def line(self) -> bytes:
        """Return the next line, at most one byte more than a line may have; nothing at the end.

        Raises:
            UnreadableRecordError: If it cannot be unpacked, or grows too much.
        """
        return self._counted(self._file.readline, TEXT + 1)

    def allow(self, size: int) -> None:
        """Let ``read`` give at most ``size`` bytes from here on."""
        self.allowed = size

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes; fewer at the end.

        Raises:
            UnreadableRecordError: If more are asked for than is allowed, it cannot be unpacked, or grows too much.
        """
        self.allowed -= size
        if self.allowed < 0:
            raise UnreadableRecordError(f"{self.path.name} has a header that is too long", "Write the archive anew.")
        return self._counted(self._file.read, size)

    def _counted(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            data = read(size)
        except self._broken as reason:
            raise UnreadableRecordError(f"{self.path.name} cannot be unpacked ({reason})", "Check the file.") from None
        if self._expansion is not None:
            self._expansion.add(len(data), self._raw.tell())
        return data


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line) of a file, counted from 1.

    Raises:
        UnreadableRecordError: If a line is too long, or the file cannot be unpacked.
    """
    with Stream(path) as stream:
        number = 0
        while line := stream.line():
            number += 1
            refuse_beyond(f"{path.name}, line {number}", "its number of bytes", len(line), TEXT)
            yield number, line


def _opener(path: Path) -> tuple[Any, tuple[type[BaseException], ...]]:
    name = PACKED.get(path.suffix.lower())
    if name is None:
        return None, BROKEN
    try:
        module = import_module(name)
    except ImportError:
        raise MissingDependencyError(
            f"this Python cannot unpack {path.name}", "Python 3.14 can; or unpack it, or pack it as .gz."
        ) from None
    return module.open, (*BROKEN, getattr(module, "ZstdError", OSError))
