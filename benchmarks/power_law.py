"""The search over x_min against the ``powerlaw`` package, sought in PEERS_DIR/powerlaw.

One run of the package on 100,000 values takes minutes, so that one pair is the default; --size makes it shorter.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import numpy as np
from _pairs import verdict
from _peer import Peer, interpreter

from blockspin.couplings.power_law import find_tail

BAR = 1 / 300
JOB = """
import warnings; warnings.filterwarnings("ignore")
import numpy, powerlaw
x = (1 - numpy.random.default_rng(0).random({size})) ** (-1 / 1.5)
def job():
    fit = powerlaw.Fit(x, verbose=0)
    return float(fit.power_law.alpha), float(fit.power_law.xmin), float(fit.power_law.D)
serve(job)
"""


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=1)
    options.add_argument("--size", type=int, default=100_000)
    given = options.parse_args()
    x = (1 - np.random.default_rng(0).random(given.size)) ** (-1 / 1.5)
    ours = find_tail(x)
    print(f"ours, {given.size} values: {ours}")
    python = interpreter("powerlaw")
    if python is None:
        print("powerlaw: SKIPPED, there is no powerlaw environment in PEERS_DIR")
        return True
    ratios = []
    with Peer(python, JOB.format(size=given.size)) as peer:
        for _ in range(given.pairs):
            begun = time.perf_counter()
            find_tail(x)
            mine = time.perf_counter() - begun
            other = peer.run()
            ratios.append(mine / other["seconds"])
            print(f"ours {mine:.4f} s, theirs {other['seconds']:.2f} s, alpha, x_min, D: {other['result']}")
    ratios.sort()
    alpha, x_min, _ = other["result"]
    same = abs(ours.alpha - alpha) < 1e-8 and abs(ours.x_min - x_min) < 1e-12 * x_min
    print(f"same alpha and x_min: {same}; {given.pairs} pair(s)")
    inner = ratios[1:-1] or ratios
    return verdict("search / powerlaw", (median(ratios), inner[0], inner[-1]), BAR) and same


if __name__ == "__main__":
    sys.exit(not main())
