"""Images: a folder of pictures, or an npy or npz file of them."""

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
class Images(DataSet):
    """Pictures [height, width, channels] of equal size.

    Args:
        path: A folder of pictures, or an npy or npz file [images, height, width] or [images, height, width, channels].
        column: Name of the array within an npz file that holds several.
    """

    name = "images"
    source = ""
    modality = "image"
    path: str
    column: str = "x"

    def records(self) -> Iterator[Record]:
        """Yield the pictures, by name or in file order."""
        path, shape = Path(self.path), None
        for image, where in reader_of(path)(path, self.column):
            picture = image[:, :, None] if image.ndim == 2 else image
            if picture.ndim != 3:
                raise UnreadableRecordError(f"{where} has shape {image.shape}", "Give [height, width, channels].")
            shape = shape or picture.shape
            if picture.shape != shape:
                raise UnreadableRecordError(
                    f"{where} has shape {picture.shape}, the first picture has {shape}",
                    "Bring all to one size and mode.",
                )
            yield Record(picture, where)
