"""Limits: how large a record may be, and how much a file may grow when it is unpacked; beyond it is refused by name."""

from __future__ import annotations

from blockspin.errors import UnreadableRecordError

TEXT = 2**24
"""Bytes of the longest line, paragraph or text."""
VALUE = 2**28
"""Bytes of the largest array, picture file or member of an archive."""
PIXELS = 2**26
"""Pixels of the largest picture."""
GROUP = 2**30
"""Unpacked bytes of the largest row group of a parquet column, and of an array that can only be read as a whole."""
HEADER = 10_000
"""Bytes of the longest header of an array."""
RATIO, FLOOR = 500, 2**24
"""A file may give this many times its own size, and always as many bytes as the floor. Texts shrink about tenfold."""


def refuse_beyond(where: str, what: str, size: int, limit: int) -> None:
    """Refuse a size beyond its limit.

    Raises:
        UnreadableRecordError: With both numbers.
    """
    if size > limit:
        raise UnreadableRecordError(f"{where}: {what} has {size} and at most {limit} can be read", "Cut it up.")


class Expansion:
    """Counts what a file gives against what it takes on disk.

    Args:
        where: The file, for the message.
    """

    def __init__(self, where: str):
        self.where, self.given = where, 0

    def add(self, given: int, stored: int) -> None:
        """Count ``given`` bytes more, from a file of which ``stored`` bytes were read so far.

        Raises:
            UnreadableRecordError: If a small file unpacks to a huge one, with both numbers.
        """
        self.given += given
        if self.given > max(FLOOR, RATIO * stored):
            raise UnreadableRecordError(
                f"{self.where} unpacks to more than {self.given} bytes from {stored}: over {RATIO} times as much",
                "If it is meant to be so, unpack it first or write it anew without repetition.",
            )
