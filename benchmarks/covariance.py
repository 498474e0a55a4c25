"""Streamed covariance of 1,000,000 x 384 numbers against the matrix product alone, and IncrementalPCA by proportion."""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from _pairs import PAIRS, interleaved, paired, shown, verdict

from blockspin.ensemble import Batch
from blockspin.observables.covariance import Moments, covariance_of

BAR = 2.3
SIZE = 8192
"""Samples a batch."""


def main() -> bool:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--samples", type=int, default=1_000_000)
    made.add_argument("--dimension", type=int, default=384)
    made.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    made.add_argument("--peer-samples", type=int, default=50_000)
    given = made.parse_args()
    n, D = given.samples, given.dimension
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, D, generator=generator).mul_(torch.arange(1, D + 1) ** -0.5)
    columns = [torch.arange(n), torch.arange(n), torch.ones(n, dtype=torch.float64)]
    found: dict[str, torch.Tensor] = {}

    def ours(part: int) -> None:
        running = Moments().running()
        for values, *rest in zip(x.split(SIZE), *(column.split(SIZE) for column in columns), strict=True):
            running.add(Batch(values[:, :, None], *rest))
        found["ours"] = covariance_of(running.state())

    def raw(part: int) -> None:
        found["raw"] = x.T @ x

    held = []
    for threads in given.threads:
        torch.set_num_threads(threads)
        times = interleaved({"ours": ours, "raw": raw}, PAIRS)
        about = f"{n} x {D}, {threads} thread(s), {PAIRS} pairs, product alone {min(times['raw']):.2f} s at best"
        held.append(verdict(f"covariance / matrix product ({about})", paired(times["ours"], times["raw"]), BAR))
        peer(x[: given.peer_samples], n, times["ours"], threads)
    raw_covariance = found["raw"].to(torch.float64) / (n - 1)  # uncentred: the means are zero up to 1 / sqrt(n)
    print(f"largest difference to the product: {float((found['ours'] - raw_covariance).abs().max()):.1e}", flush=True)
    return all(held)


def peer(x: torch.Tensor, n: int, ours: list[float], threads: int) -> None:
    """Time scikit-learn's streamed principal components on a part, and say what all would take by proportion."""
    try:
        from sklearn.decomposition import IncrementalPCA
    except ImportError:
        print("not compared with scikit-learn: it is not installed", flush=True)
        return
    model, begun = IncrementalPCA(), time.perf_counter()
    for part in x.numpy()[: len(x) // SIZE * SIZE].reshape(-1, SIZE, x.shape[1]):
        model.partial_fit(part)
    seconds = (time.perf_counter() - begun) * n / (len(x) // SIZE * SIZE)
    label = f"IncrementalPCA / ours ({len(x)} samples by proportion: {seconds:.0f} s; its threads are its own)"
    shown(label, paired([seconds] * len(ours), ours))


if __name__ == "__main__":
    sys.exit(not main())
