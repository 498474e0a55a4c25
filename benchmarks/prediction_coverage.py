"""How often 90 % intervals of predictions without a stated theory cover the exact coupling, by family and scales.

python benchmarks/prediction_coverage.py [SEEDS]
"""

from __future__ import annotations

import sys

import numpy as np

from blockspin.running.prediction import Places, predict
from blockspin.testing.runnings import BLIND, ROUGH, SMOOTH, Family, drawn

COUNTS = (4, 5, 6, 8, 12)
NOISES = (0.003, 0.03, 0.2)


def covered(family: Family, seed: int, count: int, noise: float) -> tuple[np.ndarray, float]:
    """Return which of the scales held out are covered, and the median half width over the range of the coupling."""
    running, exact = drawn(family, seed, count, count // 2, noise)
    places = Places.of(running.select(scales=range(count, len(running))))
    forecast = predict(running.select(scales=range(count)), places).theory
    low, high = (end[:, 0] for end in forecast.interval(0.9))
    truth = exact[count:]
    return (low <= truth) & (truth <= high), float(np.median(high - low) / 2 / np.ptp(exact))


def main(seeds: int) -> None:
    """Print a row a family: coverage by accessible scales, at the nearest and farthest place, by noise, and widths."""
    print(f"{'':14s} {'scales ' + ' '.join(map(str, COUNTS)):27s} near far  noise {NOISES}  half width by scales")
    for name, family in {**SMOOTH, **ROUGH, **BLIND}.items():
        found = [(c, n, *covered(family, 7919 * c + s, c, n)) for c in COUNTS for n in NOISES for s in range(seeds)]
        by_count = [np.mean([row[2].mean() for row in found if row[0] == c]) for c in COUNTS]
        by_noise = [np.mean([row[2].mean() for row in found if row[1] == n]) for n in NOISES]
        ends = [np.mean([row[2][k] for row in found]) for k in (0, -1)]
        width = [np.median([row[3] for row in found if row[0] == c]) for c in COUNTS]
        columns = (" ".join(f"{value:.2f}" for value in part) for part in (by_count, ends, by_noise, width))
        print(f"{name:14s}", "   ".join(columns), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 67)
