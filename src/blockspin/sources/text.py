"""Text: passages from txt, jsonl or parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import reader_of
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record


@register
@dataclass(frozen=True)
class Text(DataSet):
    """Passages of a file, each a unit of its own (repetitions share one).

    Args:
        path: A file that a reader knows.
        column: The field or column that holds the passages, where the format has several.
    """

    name = "text"
    source = ""
    modality = "text"
    path: str
    column: str = "text"

    def records(self) -> Iterator[Record]:
        """Yield the passages in file order."""
        path = Path(self.path)
        found = False
        for passage, where in reader_of(path)(path, self.column):
            if not isinstance(passage, str):
                raise UnreadableRecordError(f"{where} is not text", "Give a txt, jsonl or parquet file.")
            found = True
            yield Record(passage, where)
        if not found:
            raise UnreadableRecordError(f"{path.name} holds no passage", "Give a file with one passage a line.")
