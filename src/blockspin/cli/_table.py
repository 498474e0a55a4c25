"""Table: rows of equal keys as text, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a table; columns wrap where the terminal is narrow."""
    if not rows:
        return "(nothing)"
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for key in rows[0]:
        grid.add_column(key, overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row.values()))
    console = Console()
    text = StringIO()
    width = console.width if console.is_terminal else 200
    Console(file=text, width=width, no_color=not console.is_terminal).print(grid)
    return text.getvalue().rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.8g}" if isinstance(value, float) else str(value)
