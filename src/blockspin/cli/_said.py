"""Said: what a command found, as text or as JSON that another program can read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def say(found: Any, text: str, *, as_json: bool, place: Path | None = None) -> None:
    """Print what was found, and what was written: beside JSON, on stderr.

    Args:
        found: Plain values.
        text: The same for people.
        as_json: Which of them.
        place: The file that was written.
    """
    print(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) if as_json else text)
    if place:
        print(place, file=sys.stderr if as_json else sys.stdout)
