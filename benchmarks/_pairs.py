"""Interleaved pairs: ours and theirs in turn, the ratio of each pair, its median with an interval."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

PAIRS = 7


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def ratio(ours: Callable[[], object], theirs: Callable[[], object], pairs: int = PAIRS) -> tuple[float, float, float]:
    """Return (median, low, high) of the ratio of times, after a warm-up that is not counted."""
    ours(), theirs()
    return paired(ours, theirs, pairs, seconds_of)


def paired(ours: Any, theirs: Any, pairs: int, clock: Callable[[Any], float]) -> tuple[float, float, float]:
    """Return (median, low, high) of the ratio of what a clock reads for one and the other, in turn.

    Low and high are the second smallest and second largest pair: with seven pairs that interval holds the true median
    with a probability of 1 - 2 * 8 / 128 = 87.5 %. With fewer than four pairs it is the range of all.
    """
    ratios = sorted(clock(ours) / clock(theirs) for _ in range(pairs))
    inner = ratios[1:-1] if pairs > 3 else ratios
    return median(ratios), inner[0], inner[-1]


def verdict(name: str, found: tuple[float, float, float], bar: float) -> bool:
    """Print the ratio beside its bar; a bar fails only where the whole interval lies beyond it."""
    middle, low, high = found
    held = low <= bar
    print(f"{name}: {middle:.3f} [{low:.3f}, {high:.3f}], bar {bar:.2f}: {'held' if held else 'MISSED'}")
    return held
