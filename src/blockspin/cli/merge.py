"""Merge: finish a run whose parts several machines carried out."""

from __future__ import annotations

from pathlib import Path


def command(*folders: Path, out: Path | None = None) -> int:
    """Finish a run whose parts several machines carried out.

    Says whether machines of each kind computed the same bytes.

    Args:
        folders: The run folders that ``blockspin run --shard I/N`` left: one where all wrote to the same disk.
        out: Folder of the finished run; by default the first of the folders.
    """
    from blockspin.errors import RunFolderError

    if not folders:
        raise RunFolderError("no folder is given", "Name the folders that blockspin run --shard I/N left.")
    from blockspin.divided import merge  # heavy, and not needed to refuse a mistake

    print(merge(folders, out) / "report.html")
    return 0
