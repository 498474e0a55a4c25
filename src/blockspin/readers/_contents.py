"""Contents: values of fields, bytes and pictures made into what a record holds."""

from __future__ import annotations

import json
import warnings
from typing import Any, Protocol

import numpy as np

from blockspin.errors import UnreadableRecordError
from blockspin.readers._limits import PIXELS, TEXT, VALUE, refuse_beyond
from blockspin.readers.base import require

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""What a picture may be, whatever its ending: other formats may call programs."""


class Readable(Protocol):
    """What bytes are read from: a file, a member of an archive, a stream that is unpacked on the way."""

    def read(self, size: int, /) -> bytes:
        """Return the next ``size`` bytes; fewer at the end."""


def text_of(data: bytes, where: str) -> str:
    """Return bytes as text.

    Raises:
        UnreadableRecordError: If they are not UTF-8, blank or too many.
    """
    refuse_beyond(where, "its number of bytes", len(data), TEXT)
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as reason:
        raise UnreadableRecordError(f"{where} is not UTF-8 ({reason.reason})", "Convert it to UTF-8.") from None
    if not text:
        raise UnreadableRecordError(f"{where} holds no text", "Remove it.")
    return text


def json_of(data: bytes, where: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        UnreadableRecordError: If it is something else.
    """
    refuse_beyond(where, "its number of bytes", len(data), TEXT)
    try:
        row = json.loads(data)
    except (ValueError, RecursionError) as reason:
        raise UnreadableRecordError(f"{where} is not JSON ({reason})", "Mend or remove that record.") from None
    if not isinstance(row, dict):
        raise UnreadableRecordError(f"{where} is no JSON object", "Give one object a record, its passage in a field.")
    return row


def field_of(value: Any, where: str, field: str) -> Any:
    """Return the content that a field holds: text, a picture, or numbers as an array.

    Raises:
        UnreadableRecordError: If it is something else, blank or not finite.
    """
    if isinstance(value, str):
        if not value.strip() or any("\ud800" <= c <= "\udfff" for c in value):
            raise UnreadableRecordError(f"{where} has no text in the field {field!r}", "Mend or remove that record.")
        return value
    if hasattr(value, "convert") and hasattr(value, "size"):
        return pixels_of(value, where)
    if isinstance(value, list | np.ndarray):
        return numbers_of(value, where)
    found = type(value).__name__
    raise UnreadableRecordError(
        f"{where} has no text in the field {field!r}, which holds {found}", "Name another column."
    )


def numbers_of(value: Any, where: str) -> np.ndarray:
    """Return numbers as an array of float32.

    Raises:
        UnreadableRecordError: If they are no rectangular array, or not finite.
    """
    try:
        array = np.asarray(value)
        content = np.array(array, dtype=np.float32) if array.dtype.kind in "fiub" else None  # a copy: files are mapped
    except (ValueError, OverflowError) as reason:
        raise UnreadableRecordError(f"{where} is no array ({reason})", "Give rows of equal length.") from None
    if content is None or not content.size:
        raise UnreadableRecordError(f"{where} holds {array.dtype} of shape {array.shape}", "Give real numbers.")
    if not np.isfinite(content).all():
        raise UnreadableRecordError(f"{where} holds NaN or infinity", "Remove it.")
    return content


def unit_of(value: Any, where: str, field: str) -> str:
    """Return the name of a unit.

    Raises:
        UnreadableRecordError: If the field is missing or blank, or holds neither text nor an integer.
    """
    if isinstance(value, bool) or not isinstance(value, str | int) or not (name := str(value).strip()):
        raise UnreadableRecordError(
            f"{where} names no unit in the field {field!r}: {str(value)[:40]!r}", "Give text or a whole number."
        )
    return name


def picture_of(file: Any, where: str) -> np.ndarray:
    """Return a picture file as [height, width, channels] with values in [0, 1].

    Raises:
        UnreadableRecordError: If it is none of the known formats, damaged, or too large to be unpacked.
        MissingDependencyError: If pillow is not installed.
    """
    image = require("PIL.Image", "images")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", image.DecompressionBombWarning)  # our own limit is lower
            with image.open(file, formats=FORMATS) as picture:
                return pixels_of(picture, where)
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as reason:
        raise UnreadableRecordError(f"{where} cannot be read ({reason})", "Remove it or mend it.") from None


def pixels_of(picture: Any, where: str) -> np.ndarray:
    """Return an opened picture as [height, width, channels] with values in [0, 1].

    Raises:
        UnreadableRecordError: If it has too many pixels.
    """
    refuse_beyond(where, "its number of pixels", picture.size[0] * picture.size[1], PIXELS)
    array = np.asarray(picture.convert("L" if picture.mode in ("L", "1", "I;16") else "RGB"), np.float32)
    return (array[:, :, None] if array.ndim == 2 else array) / np.float32(255)


def limited(stream: Readable, size: int, where: str) -> bytes:
    """Return ``size`` bytes of a stream.

    Raises:
        UnreadableRecordError: If they are too many, or there are fewer.
    """
    refuse_beyond(where, "its number of bytes", size, VALUE)
    data = stream.read(size)
    if len(data) < size:
        raise UnreadableRecordError(f"{where} is cut short: {len(data)} of {size} bytes", "Write the file anew.")
    return data
