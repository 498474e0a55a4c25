"""Arrays: records along the first axis of an npy or npz file, or one a sample of another format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import items
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record


@register
@dataclass(frozen=True)
class Arrays(DataSet):
    """Arrays of equal shape.

    Args:
        path: An npy or npz file, another format with arrays in a field, a pattern of several files, or a data set.
        column: Name of the array within an npz file that holds several, or of the field.
        unit: Name of the array or field that says what is independent; blank for the record itself.

    Raises:
        UnreadableRecordError: While records are read, naming the file and the record at fault.

    Do not trust when:
        Records depend on each other (pieces of one document, pictures of one patient) and no ``unit`` says so: error
        bars are then too small.
    """

    name = "arrays"
    source = ""
    modality = "array"
    path: str
    column: str = "x"
    unit: str = ""

    def records(self) -> Iterator[Record]:
        """Yield the arrays in file order."""
        shape = None
        for array, where, unit in items(self.path, self.column, self.unit):
            if isinstance(array, str):
                raise UnreadableRecordError(f"{where} is text, no array", "Name another column, or the modality text.")
            if not array.shape:
                raise UnreadableRecordError(f"{where} is one number", "Give an array whose first axis counts records.")
            shape = shape or array.shape
            if array.shape != shape:
                raise UnreadableRecordError(
                    f"{where} has shape {array.shape}, the first array has {shape}", "Bring all to one shape."
                )
            yield Record(array, where, unit)
