"""A folder of images: every picture below it, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blockspin.errors import ConfigError, UnreadableRecordError
from blockspin.readers._contents import picture_of
from blockspin.readers._files import PICTURES, pictures_in
from blockspin.readers._limits import VALUE, refuse_beyond
from blockspin.readers.base import Item


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield [height, width, channels] with values in [0, 1] of each picture; its unit may be "folder".

    Raises:
        UnreadableRecordError: If a picture cannot be read, or there is none.
        MissingDependencyError: If pillow is not installed.
    """
    if unit not in ("", "folder"):
        raise ConfigError("unit", unit, "blank, or folder: pictures of one folder are one unit.")
    found = pictures_in(path)
    if not found:
        raise UnreadableRecordError(f"{path} holds no picture", f"Known endings: {', '.join(sorted(PICTURES))}.")
    for file in found:
        where = str(file.relative_to(path))
        refuse_beyond(where, "its number of bytes", file.stat().st_size, VALUE)
        yield Item(picture_of(file, where), where, str(file.parent.relative_to(path)) if unit else None)
