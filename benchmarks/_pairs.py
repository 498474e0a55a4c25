"""Interleaved pairs: ours and theirs in turn, the ratio of each pair, its median with an interval."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import comb
from statistics import median

PAIRS = 7
COVERAGE = 0.875
"""Least probability with which an interval holds the true median: that of seven pairs without the outermost."""

Found = tuple[float, float, float]
"""Median, low and high end of its interval."""


def ratio(ours: Callable[[], object], theirs: Callable[[], object], pairs: int = PAIRS) -> Found:
    """Return the ratio of times of the same work done again and again, in turn."""
    times = interleaved({"ours": lambda part: ours(), "theirs": lambda part: theirs()}, pairs)
    return paired(times["ours"], times["theirs"])


def interleaved(jobs: Mapping[str, Callable[[int], object]], parts: int) -> dict[str, list[float]]:
    """Return the seconds of every job on every part of the work: all jobs on one part, each first in its turn."""
    names = list(jobs)
    for name in names:
        jobs[name](0)  # a warm-up that is not counted
    times: dict[str, list[float]] = {name: [0.0] * parts for name in names}
    for part in range(parts):
        first = part % len(names)
        for name in names[first:] + names[:first]:
            begun = time.perf_counter()
            jobs[name](part)
            times[name][part] = time.perf_counter() - begun
    return times


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Found:
    """Return the median of the ratios of pairs with an interval between two of them, that of the median by order."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    left = _left_out(len(ratios))
    return median(ratios), ratios[left], ratios[-1 - left]


def verdict(name: str, found: Found, bar: float) -> bool:
    """Print the ratio beside its bar; a bar fails only where the whole interval lies beyond it."""
    middle, low, high = found
    held = low <= bar
    print(f"{name}: {middle:.3g} [{low:.3g}, {high:.3g}], bar {bar:.3g}: {'held' if held else 'MISSED'}", flush=True)
    return held


def shown(name: str, found: Found) -> None:
    """Print a ratio that has no bar."""
    print(f"{name}: {found[0]:.3f} [{found[1]:.3f}, {found[2]:.3f}]", flush=True)


def _left_out(pairs: int) -> int:
    """Return how many of the sorted pairs may be left out at each end of the interval."""
    left = 0
    while left + 1 < pairs / 2 and 1 - 2 * sum(comb(pairs, k) for k in range(left + 2)) / 2**pairs >= COVERAGE:
        left += 1
    return left
