"""Images: a folder of pictures, shards of them, or an npy or npz file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import items
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record


@register
@dataclass(frozen=True)
class Images(DataSet):
    """Pictures [height, width, channels] of equal size.

    Args:
        path: A folder of pictures, an npy or npz file [images, height, width] or [images, height, width, channels], tar
            shards, a pattern of several files, or a data set.
        column: Name of the array within an npz file that holds several, or of the field.
        unit: The field that names what is independent, such as the patient; "folder" in a folder of pictures.

    Raises:
        UnreadableRecordError: While records are read, naming the file and the record at fault.

    Do not trust when:
        Records depend on each other (pieces of one document, pictures of one patient) and no ``unit`` says so: error
        bars are then too small.
    """

    name = "images"
    source = ""
    modality = "image"
    path: str
    column: str = "x"
    unit: str = ""

    def records(self) -> Iterator[Record]:
        """Yield the pictures, by name or in file order."""
        shape = None
        for image, where, unit in items(self.path, self.column, self.unit):
            if isinstance(image, str):
                raise UnreadableRecordError(f"{where} is text, no picture", "Name another column.")
            picture = image[:, :, None] if image.ndim == 2 else image
            if picture.ndim != 3:
                raise UnreadableRecordError(f"{where} has shape {image.shape}", "Give [height, width, channels].")
            shape = shape or picture.shape
            if picture.shape != shape:
                raise UnreadableRecordError(
                    f"{where} has shape {picture.shape}, the first picture has {shape}",
                    "Bring all to one size and mode.",
                )
            yield Record(picture, where, unit)
