"""Arrays: the first axis of an npy file, or of one array of an npz file, counts the records."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from blockspin.errors import UnreadableRecordError
from blockspin.readers._contents import limited, numbers_of, unit_of
from blockspin.readers._limits import FLOOR, RATIO, VALUE, refuse_beyond
from blockspin.readers._npy import Header, entries, header_of
from blockspin.readers.base import Item, refuse_unit

BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield each entry along the first axis; of an npz that of the array ``column``, or of its only one.

    Args:
        path: The file.
        column: Name of an array of an npz file.
        unit: Name of another one, of whole numbers, that says which unit each record belongs to.

    Raises:
        UnreadableRecordError: If the file cannot be read, unpacks to too much, holds objects, or has no such array.
    """
    try:
        if path.suffix.lower() == ".npy":
            refuse_unit(unit, "an npy file holds one array; an npz file may hold the units beside it.")
            yield from _numbered(_mapped(path), None, path, unit)
            return
        with zipfile.ZipFile(path) as archive:
            rows = _rows(archive, _name(archive, column, path), path)
            units = _units(archive, _name(archive, unit, path, exact=True), path) if unit else None
            yield from _numbered(rows, units, path, unit)
    except BROKEN as reason:
        raise UnreadableRecordError(f"{path.name} cannot be read ({reason})", "Save it anew with numpy.save.") from None


def _numbered(rows: Iterator[Any], units: list[int] | None, path: Path, unit: str) -> Iterator[Item]:
    number = -1
    for number, row in enumerate(rows):
        where = f"{path.name}, record {number}"
        named = None if units is None else unit_of(units[number] if number < len(units) else None, where, unit)
        yield Item(numbers_of(row, where), where, named)
    if units is not None and len(units) > number + 1:
        raise UnreadableRecordError(f"{path.name} has more entries in {unit!r} than records", "Give one a record.")


def _mapped(path: Path) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        header = _checked(header_of(file, path.name), path.name)
    size = path.stat().st_size - header.offset
    if header.size > size:
        raise UnreadableRecordError(f"{path.name} is cut short: {size} of {header.size} bytes", "Save it anew.")
    order: Any = "F" if header.fortran else "C"
    return iter(np.memmap(path, header.dtype, "r", header.offset, header.shape, order))


def _rows(archive: zipfile.ZipFile, name: str, path: Path) -> Iterator[np.ndarray]:
    """Yield the entries along the first axis of one array of an archive, one at a time in memory."""
    where, info = _member(archive, name, path)
    with archive.open(info) as stream:
        header = _checked(header_of(stream, where), where)
        if header.fortran:
            yield from entries(stream, header, where)
            return
        row = replace(header, shape=header.shape[1:])
        for _ in range(header.shape[0]):
            yield entries(stream, row, where)


def _units(archive: zipfile.ZipFile, name: str, path: Path) -> list[int]:
    where, info = _member(archive, name, path)
    with archive.open(info) as stream:
        header = header_of(stream, where)
        if len(header.shape) != 1 or header.dtype.kind not in "iu":
            raise UnreadableRecordError(f"{where} holds {header.dtype} of shape {header.shape}", "Give whole numbers.")
        return np.frombuffer(limited(stream, header.size, where), header.dtype).tolist()


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[str, zipfile.ZipInfo]:
    where, info = f"{path.name}, {name.removesuffix('.npy')}", archive.getinfo(name)
    stored = min(info.compress_size, path.stat().st_size)
    refuse_beyond(where, f"its number of bytes unpacked from {stored}", info.file_size, max(FLOOR, RATIO * stored))
    return where, info


def _checked(header: Header, where: str) -> Header:
    if not header.shape:
        raise UnreadableRecordError(
            f"{where} holds {header.dtype} of shape {header.shape}",
            "Give real numbers with the records along the first axis.",
        )
    refuse_beyond(where, "its record's number of bytes", header.size // max(header.shape[0], 1), VALUE)
    return header


def _name(archive: zipfile.ZipFile, column: str, path: Path, *, exact: bool = False) -> str:
    names = archive.namelist()
    if f"{column}.npy" in names:
        return f"{column}.npy"
    if exact or len(names) != 1:
        known = ", ".join(name.removesuffix(".npy") for name in names[:20])
        raise UnreadableRecordError(f"{path.name} has no array {column!r}", f"Its arrays: {known}.")
    return names[0]
