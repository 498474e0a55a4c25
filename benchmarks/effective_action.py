"""Score matching of 20 operators on 100,000 samples of 16 x 16 sites, beside differentiation sample by sample.

The reference differentiates every operator twice, with ``torch.func``, on a few samples; its time is by proportion.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from math import factorial
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from _memory import alone, told
from torch import Tensor

from blockspin.couplings.effective_action import EffectiveAction
from blockspin.couplings.gaussian_precision import distance_classes
from blockspin.ensemble import Batch
from blockspin.geometry import Grid
from blockspin.observables.base import State
from blockspin.observables.covariance import Moments

BAR = 5.0
"""Seconds on two cores."""
SIZE = 8192
"""Samples a batch."""
LATTICE = Grid((16, 16))
POWERS = {"linear": 1, "mass": 2, "cubic": 3, "quartic": 4, "sextic": 6}
NAMES = (*POWERS, *(f"pair[{k}]" for k in range(1, 16)))


def field(samples: int) -> Tensor:
    """Return white noise with a little of its neighbours, float32 [samples, 256, 1]."""
    x = torch.randn(samples, 256, generator=torch.Generator().manual_seed(0))
    return (x + 0.3 * x.roll(1, 1))[:, :, None]


def added(monoid, x: Tensor) -> State:
    """Add up a field, batch by batch."""
    running = monoid.running()
    for start in range(0, len(x), SIZE):
        values = x[start : start + SIZE]
        ids = torch.arange(start, start + len(values))
        running.add(Batch(values, ids, ids, torch.ones(len(values), dtype=torch.float64)))
    return running.state()


def reference(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return A and b of samples float64 [n, 256] by differentiation."""
    near = [mask.to(torch.float64) for mask in distance_classes(LATTICE, 15)]
    operators = [lambda v, p=p: (v**p).sum() / factorial(p) for p in POWERS.values()]
    operators += [lambda v, M=M: v @ M @ v / 2 for M in near]
    gradients = torch.stack([torch.func.vmap(torch.func.grad(o))(x) for o in operators], 1)
    traces = [torch.func.vmap(torch.func.hessian(o))(x).diagonal(dim1=1, dim2=2).sum((0, 1)) for o in operators]
    return torch.einsum("nax,nbx->ab", gradients, gradients), torch.stack(traces)


def main() -> bool:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--samples", type=int, default=100_000)
    made.add_argument("--few", type=int, default=40)
    made.add_argument("--pairs", type=int, default=7)
    made.add_argument("--alone", default="", help="measure the memory of one of the sums: action or covariance")
    given = made.parse_args()
    monoid = EffectiveAction(LATTICE, operators=NAMES, tested=()).monoid
    x = field(given.samples)
    if given.alone:
        torch.set_num_threads(1)
        added(monoid if given.alone == "action" else Moments(), x)
        told()
        return True
    few = x[: given.few, :, 0].to(torch.float64)
    begun = time.perf_counter()
    A, b = reference(few)
    slow = (time.perf_counter() - begun) * given.samples / given.few
    state = added(monoid, x[: given.few])
    gap = [
        float((state[key].sum(0) - exact).abs().max() / exact.abs().max())
        for key, exact in (("products", A), ("laplacians", b))
    ]
    print(f"largest difference to the reference on {given.few} samples: A {gap[0]:.1e}, b {gap[1]:.1e} of the largest")
    held = max(gap) < 1e-5
    for threads in (1, 2):
        torch.set_num_threads(threads)
        times = []
        for _ in range(given.pairs):
            begun = time.perf_counter()
            added(monoid, x)
            times.append(time.perf_counter() - begun)
        print(
            f"{len(NAMES)} operators, {given.samples} x 256, {threads} thread(s): {median(times):.2f} s "
            f"[{min(times):.2f}, {max(times):.2f}]; reference by proportion {slow:.0f} s"
        )
    peaks = {
        name: alone(__file__, "--alone", name, "--samples", str(given.samples))["peak_mb"]
        for name in ("action", "covariance")
    }
    print(f"peak memory: action {peaks['action']:.0f} MB, covariance {peaks['covariance']:.0f} MB, the field included")
    print(f"bar: {BAR} s on two cores: {'held' if median(times) < BAR else 'MISSED'}")
    return held and median(times) < BAR


if __name__ == "__main__":
    sys.exit(not main())
