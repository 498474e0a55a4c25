"""Interleaved pairs: ours and theirs in turn, the ratio of each pair, its median with an interval."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

PAIRS = 7


def ratio(ours: Callable[[], object], theirs: Callable[[], object], pairs: int = PAIRS) -> tuple[float, float, float]:
    """Return (median, low, high) of the ratio of times; low and high are the second smallest and second largest pair.

    With seven pairs that interval holds the true median with a probability of 1 - 2 * 8 / 128 = 87.5 %.
    """
    ours(), theirs()  # a warm-up that is not counted
    ratios = sorted(_seconds(ours) / _seconds(theirs) for _ in range(pairs))
    return median(ratios), ratios[1], ratios[-2]


def verdict(name: str, found: tuple[float, float, float], bar: float) -> bool:
    """Print the ratio beside its bar; a bar fails only where the whole interval lies beyond it."""
    middle, low, high = found
    held = low <= bar
    print(f"{name}: {middle:.3f} [{low:.3f}, {high:.3f}], bar {bar:.2f}: {'held' if held else 'MISSED'}")
    return held


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
