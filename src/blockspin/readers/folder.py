"""A folder of images: every picture below it, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import Item, require

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def read(path: Path, column: str) -> Iterator[Item]:
    """Yield (image [height, width, channels] with values in [0, 1], where) of each picture.

    Raises:
        UnreadableRecordError: If a picture cannot be read, or there is none.
        MissingDependencyError: If pillow is not installed.
    """
    image = require("PIL.Image", "images")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES)
    if not found:
        raise UnreadableRecordError(f"{path} holds no picture", f"Known endings: {', '.join(sorted(PICTURES))}.")
    for file in found:
        where = str(file.relative_to(path))
        try:
            with image.open(file) as picture:
                array = np.asarray(picture.convert("L" if picture.mode in ("L", "1", "I;16") else "RGB"), np.float32)
        except (OSError, SyntaxError) as reason:
            raise UnreadableRecordError(f"{where} cannot be read ({reason})", "Remove it or mend it.") from None
        yield (array[:, :, None] if array.ndim == 2 else array) / np.float32(255), where
