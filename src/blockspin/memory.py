"""Memory: sizes in words, what this process holds, and a stop before it holds more than it may."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

from blockspin.errors import ConfigError, MemoryBudgetError

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def size_of(text: str) -> int | None:
    """Return the bytes that a text such as "4GB" or "512 MiB" names; None for a blank one.

    Raises:
        ConfigError: If it names no size.
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", text.strip().lower())
    if not found or found[2] not in UNITS or not float(found[1]) > 0:
        raise ConfigError("memory", text, "a size, as 4GB or 512MiB; blank for no budget.")
    return int(float(found[1]) * UNITS[found[2]])


def resident() -> int:
    """Return the bytes of memory that this process holds now (where that is not told, the most that it ever held)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def guard(limit: int | None) -> None:
    """Stop a run that has come to hold more than its budget, before the machine is short of memory.

    Raises:
        MemoryBudgetError: With both numbers; what is done is kept.
    """
    held = 0 if limit is None else resident()
    if limit is not None and held > limit:
        raise MemoryBudgetError(
            f"this process holds {held / 1e9:.2f} GB, and memory is {limit / 1e9:.2f} GB",
            "What is done is kept: resume with a larger memory, or begin anew with smaller options.",
        )
