"""Report: write the report of a run folder anew, without its network."""

from __future__ import annotations

from pathlib import Path


def command(folder: Path, /) -> int:
    """Write report.html anew from the other files of a run folder.

    Args:
        folder: A finished run.
    """
    from blockspin.report.page import write_report

    print(write_report(folder))
    return 0
