"""JSON lines: one object a line, the passage in one of its fields, its unit in another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blockspin.readers._contents import field_of, json_of, unit_of
from blockspin.readers._streams import lines
from blockspin.readers.base import Item


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield the content of each line that is not blank.

    Raises:
        UnreadableRecordError: If a line is not JSON, or its field is missing or no content.
    """
    for number, line in lines(path):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        row = json_of(line, where)
        content = field_of(row.get(column), where, column)
        yield Item(content, where, unit_of(row.get(unit), where, unit) if unit else None)
