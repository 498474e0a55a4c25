"""Cite: print the BibTeX of the methods that a run used."""

from __future__ import annotations

import json
from pathlib import Path


def command(folder: Path | None = None, /) -> int:
    """Print the BibTeX of the methods that a run used, or of all methods.

    Args:
        folder: A finished run; all registered methods without it.
    """
    from blockspin.bibliography import entries
    from blockspin.errors import RunFolderError
    from blockspin.registry import families, members

    if folder is None:
        keys = {getattr(cls, "source", "") for family in families() for cls in members(family).values()}
    else:
        path = folder / "answers.json"
        if not path.is_file():
            raise RunFolderError(f"{folder} holds no answers.json", "Give the folder of a finished run.")
        try:
            keys = {row["source"] for row in json.loads(path.read_text(encoding="utf-8"))["methods"]}
        except (ValueError, KeyError, TypeError) as reason:
            raise RunFolderError(f"{path} does not list the methods of a run ({reason!r})", "Repeat the run.") from None
    known = entries()
    print("\n\n".join(known[key] for key in sorted(keys) if key in known))
    return 0
