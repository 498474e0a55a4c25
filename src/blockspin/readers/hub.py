"""Data sets of the package ``datasets``: a folder that it saved, or a name of the hub, read as a stream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from blockspin.errors import ConfigError, UnreadableRecordError
from blockspin.readers._contents import field_of, unit_of
from blockspin.readers.base import Item, require

NAME = re.compile(r"datasets:((?:\w[\w.-]*/)?\w[\w.-]*)(?::([\w.-]+))?(?::([\w.-]+))?")
FORM = "datasets:NAME, datasets:NAME:SPLIT or datasets:NAME:CONFIGURATION:SPLIT."


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield the content of each row; code that comes with a data set is never run.

    Raises:
        ConfigError: If the name has another form, or splits are there to choose from.
        UnreadableRecordError: If it cannot be loaded, or a row lacks its field.
        MissingDependencyError: If the package is not installed.
    """
    package = require("datasets", "datasets")
    name = path.name if path.is_dir() else str(path)
    number = 0
    try:
        for number, row in enumerate(_rows(package, path), 1):
            where = f"{name}, row {number}"
            for field in filter(None, (column, unit)):
                if field not in row:
                    known = ", ".join(map(str, row))
                    raise UnreadableRecordError(f"{name} has no column {field!r}", f"Its columns: {known}.")
            content = field_of(row[column], where, column)
            yield Item(content, where, unit_of(row[unit], where, unit) if unit else None)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as reason:
        first = str(reason).strip().partition("\n")[0]
        raise UnreadableRecordError(f"{name} cannot be read after row {number} ({first})", f"Give {FORM}") from None


def _rows(package: Any, path: Path) -> Iterable[Mapping[str, Any]]:
    if path.is_dir():
        rows = package.load_from_disk(str(path))
        if isinstance(rows, dict):
            raise ConfigError("data", str(path), f"the folder of one split: {', '.join(sorted(map(str, rows)))}.")
        return rows
    found = NAME.fullmatch(str(path))
    if not found:
        raise ConfigError("data", str(path), FORM)
    name, *rest = [part for part in found.groups() if part]
    configuration = rest[0] if len(rest) == 2 else None
    return package.load_dataset(name, configuration, split=rest[-1] if rest else "train", streaming=True)
