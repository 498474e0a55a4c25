"""The contract of a reader: a module with ``read(path, column, unit)`` that yields an Item of each record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from blockspin.errors import ConfigError, MissingDependencyError
from blockspin.readers._files import PICTURES, axes_of, files_of, format_of


class Item(NamedTuple):
    """One record as it was read.

    Args:
        content: A string or an array.
        where: Where it came from, for messages.
        unit: Name of what is independent, where the data say it.
    """

    content: Any
    where: str
    unit: str | None = None


Read = Callable[[Path, str, str], Iterator[Item]]


def items(data: str, column: str = "", unit: str = "") -> Iterator[Item]:
    """Yield the records of some data, whatever their format.

    Args:
        data: A file, a folder, a pattern of several files (``data-{000..015}.tar``, ``part-*.jsonl``), which are read
            one after the other as one data set, or ``datasets:NAME:SPLIT``.
        column: The field that holds the contents, where the format has several.
        unit: The field that names what is independent (a document, a patient); blank where every record is.

    Raises:
        ConfigError: If there is nothing, no reader knows its ending, or the format has no units.
        UnreadableRecordError: Naming the record at fault.
    """
    for path in files_of(data):
        read: Read = import_module(f"blockspin.readers.{format_of(path)}").read
        yield from read(path, column, unit)


def modality_of(data: str, column: str) -> str:
    """Return what some data hold, as far as their names tell: "text", "image" or "array".

    Raises:
        ConfigError: If there is nothing, or no reader knows its ending.
    """
    path = files_of(data)[0]
    name = format_of(path)
    ending = f".{column.rpartition('.')[2].lower()}" if name == "tar" else ""
    if name == "folder" or ending in PICTURES or axes_of(path) == 3:
        return "image"
    return "array" if name in ("npy", "idx") or ending == ".npy" else "text"


def refuse_unit(unit: str, why: str) -> None:
    """Refuse a unit where the format has no fields.

    Raises:
        ConfigError: If one is named.
    """
    if unit:
        raise ConfigError("unit", unit, f"blank: {why}")


def require(module: str, extra: str) -> Any:
    """Import an optional package.

    Raises:
        MissingDependencyError: Saying what to install.
    """
    try:
        return import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise MissingDependencyError(f"{name} is not installed", f"pip install 'blockspin[{extra}]'") from None
