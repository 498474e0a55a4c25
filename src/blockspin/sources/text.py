"""Text: passages from txt, jsonl, parquet or tar files, or a data set of the package datasets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import items
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record


@register
@dataclass(frozen=True)
class Text(DataSet):
    """Passages, each a unit of its own (repetitions share one) unless a field names the units.

    Args:
        path: A file, a pattern of several, a folder of shards, or ``datasets:NAME:SPLIT``.
        column: The field or column that holds the passages, where the format has several.
        unit: The field that names what is independent, such as the document; blank for the passage itself.

    Raises:
        UnreadableRecordError: While records are read, naming the file and the record at fault.

    Do not trust when:
        Records depend on each other (pieces of one document, pictures of one patient) and no ``unit`` says so: error
        bars are then too small.
    """

    name = "text"
    source = ""
    modality = "text"
    path: str
    column: str = "text"
    unit: str = ""

    def records(self) -> Iterator[Record]:
        """Yield the passages in file order."""
        found = False
        for passage, where, unit in items(self.path, self.column, self.unit):
            if not isinstance(passage, str):
                raise UnreadableRecordError(
                    f"{where} is not text", "Name a field that holds text, or another modality."
                )
            found = True
            yield Record(passage, where, unit)
        if not found:
            raise UnreadableRecordError(f"{self.path} holds no passage", "Give a file with one passage a line.")
