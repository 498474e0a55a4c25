"""Arrays: records along the first axis of an npy or npz file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blockspin.readers.base import reader_of
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record


@register
@dataclass(frozen=True)
class Arrays(DataSet):
    """Arrays of equal shape.

    Args:
        path: An npy or npz file.
        column: Name of the array within an npz file that holds several.
    """

    name = "arrays"
    source = ""
    modality = "array"
    path: str
    column: str = "x"

    def records(self) -> Iterator[Record]:
        """Yield the arrays in file order."""
        path = Path(self.path)
        for array, where in reader_of(path)(path, self.column):
            yield Record(array, where)
