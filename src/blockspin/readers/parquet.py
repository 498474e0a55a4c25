"""Parquet: the passages of one column, read in bounded batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blockspin.errors import UnreadableRecordError
from blockspin.readers._contents import field_of, unit_of
from blockspin.readers._limits import FLOOR, GROUP, RATIO, TEXT, Expansion, refuse_beyond
from blockspin.readers.base import Item, require

ROWS = 1024
PREFIXED = "DELTA_BYTE_ARRAY"
"""The one encoding whose values can be longer together than the chunk that holds them, dictionaries apart."""


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield the passage of each row.

    Dictionaries stay dictionaries, so that a batch takes no more memory than its row group is said to take.

    Raises:
        UnreadableRecordError: If the file is no parquet, has no such column, unpacks to too much, or a row holds no
            text.
        MissingDependencyError: If pyarrow is not installed.
    """
    pyarrow, parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    wanted = list(dict.fromkeys(filter(None, (column, unit))))
    number = 0
    try:
        metadata = parquet.read_metadata(path)
        _check_schema(pyarrow, metadata.schema.to_arrow_schema(), path, column, unit)
        rows, stored = _checked_size(metadata, path, wanted)
        plain = {chunk.path_in_schema for chunk in _chunks(metadata, wanted) if PREFIXED in chunk.encodings}
        dictionaries = [name for name in wanted if name not in plain]  # pyarrow makes none of prefixes
        with parquet.ParquetFile(path, metadata=metadata, read_dictionary=dictionaries) as file:
            expansion = Expansion(path.name)
            for batch in file.iter_batches(rows, columns=wanted):
                for index in range(batch.num_rows):
                    number += 1
                    where = f"{path.name}, row {number}"
                    row = {name: _value(batch.column(name)[index], where) for name in wanted}
                    expansion.add(8 + len(str(row[column])), stored)
                    content = field_of(row[column], where, column)
                    yield Item(content, where, unit_of(row[unit], where, unit) if unit else None)
    except (OSError, ValueError, MemoryError, NotImplementedError) as reason:
        raise UnreadableRecordError(
            f"{path.name} cannot be read as parquet after row {number} ({reason})", "Check the file."
        ) from None


def _check_schema(pyarrow: Any, schema: Any, path: Path, column: str, unit: str) -> None:
    for name in filter(None, (column, unit)):
        if schema.names.count(name) != 1:
            known = ", ".join(schema.names)
            raise UnreadableRecordError(f"{path.name} has no column {name!r}", f"Its columns: {known}.")
        kind = schema.field(name).type
        kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        text = pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
        if not text and not (name == unit and name != column and pyarrow.types.is_integer(kind)):
            raise UnreadableRecordError(f"{path.name} holds {kind} in the column {name!r}, no text", "Name another.")


def _checked_size(metadata: Any, path: Path, wanted: list[str]) -> tuple[int, int]:
    """Return how many rows may be unpacked at once, and the bytes that the columns take on disk.

    A value is never longer than the chunk that it lies in: where values share prefixes, as many rows are unpacked as
    keep a batch within the limit of a row group.
    """
    stored = claimed = 0
    rows = ROWS
    for chunk in _chunks(metadata, wanted):
        size = chunk.total_uncompressed_size
        refuse_beyond(f"{path.name}, a row group", "its number of bytes unpacked", size, GROUP)
        stored, claimed = stored + chunk.total_compressed_size, claimed + size
        if PREFIXED in chunk.encodings:
            rows = min(rows, max(1, GROUP // max(1, size)))
    actual = min(stored, path.stat().st_size)
    refuse_beyond(path.name, f"its number of bytes unpacked from {actual}", claimed, max(FLOOR, RATIO * actual))
    return rows, actual


def _chunks(metadata: Any, wanted: list[str]) -> Iterator[Any]:
    for group in range(metadata.num_row_groups):
        columns = (metadata.row_group(group).column(index) for index in range(metadata.num_columns))
        yield from (chunk for chunk in columns if chunk.path_in_schema in wanted)


def _value(scalar: Any, where: str) -> Any:
    """Return one value, its length looked at before it is copied."""
    plain = getattr(scalar, "value", scalar) if hasattr(scalar, "dictionary") else scalar
    if plain is not None and hasattr(plain, "as_buffer") and plain.is_valid:
        refuse_beyond(where, "its number of bytes", plain.as_buffer().size, TEXT)
    return scalar.as_py()
