"""Heap: give memory that was let go back to the system, where the C library keeps it for itself."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def returned() -> None:
    """Give back what is free. Batches of many sizes leave holes, and a long pass would grow with them.

    Does nothing where the C library has no ``malloc_trim`` (only that of GNU has it).
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows has none that is found so
        return None
