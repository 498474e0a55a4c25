"""Parquet: the passages of one column, read in bounded batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import Item, require

ROWS = 1024


def read(path: Path, column: str) -> Iterator[Item]:
    """Yield (passage, where) of each row.

    Raises:
        UnreadableRecordError: If the file is no parquet, has no such column, or a row holds no text.
        MissingDependencyError: If pyarrow is not installed.
    """
    parquet = require("pyarrow.parquet", "parquet")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as reason:
        raise UnreadableRecordError(f"{path.name} cannot be read as parquet ({reason})", "Check the file.") from None
    if column not in file.schema_arrow.names:
        known = ", ".join(file.schema_arrow.names)
        raise UnreadableRecordError(f"{path.name} has no column {column!r}", f"Its columns: {known}.")
    number = 0
    for batch in file.iter_batches(ROWS, columns=[column]):
        for passage in batch.column(0).to_pylist():
            number += 1
            if not isinstance(passage, str) or not passage.strip():
                raise UnreadableRecordError(f"{path.name}, row {number} holds no text", "Remove that row.")
            yield passage, f"{path.name}, row {number}"
