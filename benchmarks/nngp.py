"""Covariance and tangent kernel of wide networks against neural-tangents, in PEERS_DIR/neuraltangents.

Depth 8, 1,000 inputs of 784 dimensions; ours in double precision, theirs compiled, in single precision as it comes.
Agreement is asked for against theirs in double precision.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from _pairs import PAIRS, paired, verdict
from _peer import Peer, interpreter

from blockspin.theory.dual_activation import Dual, Erf, PiecewiseLinear
from blockspin.theory.nngp import Network, kernels

BAR, AGREEMENT = 1.0, 1e-6
CASES: dict[str, tuple[Dual, float]] = {"Relu": (PiecewiseLinear(), 2.0), "Erf": (Erf(), 2.25)}
JOB = """
import os
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen={several} intra_op_parallelism_threads={threads}"
import jax, numpy
jax.config.update("jax_enable_x64", {double})
from neural_tangents import stax
x = numpy.random.default_rng(0).standard_normal(({inputs}, 784)).astype(numpy.{dtype})
layers = []
for _ in range(8):
    layers += [stax.Dense(1, W_std={weight} ** 0.5, b_std=0.1), stax.{activation}()]
_, _, kernel = stax.serial(*layers, stax.Dense(1, W_std={weight} ** 0.5, b_std=0.1))
compiled = jax.jit(lambda x: kernel(x, None, ("nngp", "ntk")))
def job():
    found = jax.block_until_ready(compiled(x))
    return [numpy.asarray(k)[::7, ::7].tolist() for k in found] if {double} else []
serve(job)
"""


def compare(activation: str, inputs: int, pairs: int, threads: int) -> bool:
    """Time both in turn, and look at the largest relative difference of every seventh row and column."""
    dual, weight = CASES[activation]
    network = Network(8, dual, weight, 0.01)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((inputs, 784)))
    python = interpreter("neuraltangents")
    if python is None:
        print("neural-tangents: SKIPPED, there is no neuraltangents environment in PEERS_DIR")
        return True
    own = {"activation": activation, "weight": weight, "inputs": inputs, "threads": threads}
    own["several"] = str(threads > 1).lower()
    with Peer(python, _job(double=True, dtype="float64", **own), threads) as peer:
        found, theirs = kernels(network, x), peer.run()["result"]
    gaps = [
        float((a[::7, ::7] - b).abs().max() / b.abs().max())
        for a, b in zip((found.covariance, found.tangent), map(torch.tensor, theirs), strict=True)
    ]
    agreed = max(gaps) < AGREEMENT
    print(f"{activation}: largest difference {max(gaps):.1e} of the largest entry: {'held' if agreed else 'MISSED'}")
    ours_s, theirs_s = [], []
    with Peer(python, _job(double=False, dtype="float32", **own), threads) as peer:
        peer.run()  # compiles
        for _ in range(pairs):
            begun = time.perf_counter()
            kernels(network, x)
            ours_s.append(time.perf_counter() - begun)
            theirs_s.append(peer.run()["seconds"])
    print(f"{activation}: ours {sorted(ours_s)[pairs // 2]:.3f} s, theirs {sorted(theirs_s)[pairs // 2]:.3f} s")
    label = f"{activation}, {inputs} x 784, depth 8, {threads} thread(s)"
    return verdict(f"kernels / neural-tangents ({label})", paired(ours_s, theirs_s), BAR) and agreed


def _job(**settings: object) -> str:
    job = JOB
    for name, value in settings.items():
        job = job.replace("{" + name + "}", str(value))
    return job


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=1000)
    options.add_argument("--pairs", type=int, default=PAIRS)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = options.parse_args()
    held = []
    for threads in given.threads:
        torch.set_num_threads(threads)
        held += [compare(name, given.inputs, given.pairs, threads) for name in CASES]
    return all(held)


if __name__ == "__main__":
    sys.exit(not main())
