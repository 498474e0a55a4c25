"""Check: hold a scheme of your own against every conformance check."""

from __future__ import annotations

from pathlib import Path


def command(path: Path, /) -> int:
    """Run every conformance check on every example of the schemes in a Python file, which is imported.

    Args:
        path: The file.
    """
    from blockspin.cli._table import table
    from blockspin.testing.conformance import check_path

    rows = check_path(path)
    print(table(rows))
    failed = sum(not row["passed"] for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed or not rows else 0
