"""CSV: rows of numbers of a file with a header, by column."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from blockspin.errors import ConfigError


def numbers_in(table: Path, columns: Sequence[str]) -> list[tuple[float, ...]]:
    """Return the numbers of some columns, row by row.

    Raises:
        ConfigError: If the file cannot be read, lacks a column, or holds what is no number.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if set(columns) - set(rows.fieldnames or ()):
                accepted = f"a CSV file with the columns {_listed(columns)} in its header."
                raise ConfigError("table", str(table), accepted)
            return [tuple(float(row[name]) for name in columns) for row in rows]
    except (OSError, ValueError, TypeError, csv.Error) as reason:
        raise ConfigError("table", str(table), f"a readable CSV file of numbers ({reason}).") from None


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
