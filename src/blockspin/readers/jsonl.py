"""JSON lines: one object a line, the passage in one of its fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import Item


def read(path: Path, column: str) -> Iterator[Item]:
    """Yield (passage, where) of each line that is not blank.

    Raises:
        UnreadableRecordError: If a line is not JSON, or its field is missing or no text.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path.name}, line {number}"
            try:
                row = json.loads(line)
            except ValueError as reason:
                raise UnreadableRecordError(f"{where} is not JSON ({reason})", "Mend or remove that line.") from None
            passage = row.get(column) if isinstance(row, dict) else None
            if not isinstance(passage, str) or not passage.strip():
                raise UnreadableRecordError(f"{where} has no text in the field {column!r}", "Name another column.")
            yield passage, where
