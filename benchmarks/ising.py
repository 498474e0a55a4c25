"""Wolff clusters of the critical square lattice against mcising and peapods, and energies against Kaufman's.

The peers live in a virtual environment of their own, PEERS_DIR/ising (mcising 1.1, peapods 0.2).
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from _pairs import ratio, verdict
from _peer import Peer, interpreter

from blockspin.engine.autocorrelation import integrated_time
from blockspin.measurement import Measurement
from blockspin.sources._compiled import available
from blockspin.sources._swendsen_wang import SwendsenWang
from blockspin.sources._torus import Torus
from blockspin.sources._wolff import Wolff
from blockspin.sources.ising_square import CRITICAL_COUPLING
from blockspin.theory import kaufman

SIDE, CLUSTERS = 64, 10_000
BAR, CLUSTERS_A_SECOND, SWEEP = 1.0, 28_500, 1.5e-3

MCISING = """
from mcising import _core
wolff = _core.IsingSimulation(64, 1.0, 0.0, 0.0, 0.0, 1, "wolff")
wolff.sweep(2000, temperature=2.269185314213022)
serve(lambda: wolff.sweep(10_000, temperature=2.269185314213022) and None)
"""
PEAPODS = """
import numpy, peapods
both = peapods.Ising((64, 64), temperatures=numpy.array([2.269185314213022]), n_replicas=1)
how = dict(sweep_mode="metropolis", cluster_update_interval=1, cluster_mode="wolff", sequential=True)
serve(lambda: both.sample(10_000, **how) and None)
"""


def started(side: int, update, chains: int = 1):
    """Return an update and spins after 200 sweeps; by Wolff a sweep is as many clusters as hold each site once."""
    rng = np.random.default_rng(0)
    torus = Torus((side,) * 2, chains)
    spins = rng.integers(0, 2, (chains, torus.sites), dtype=np.uint8)
    return *update(torus, CRITICAL_COUPLING).burnt_in(spins, 200, rng), rng


def energy(side: int, update, samples: int) -> tuple[Measurement, Measurement]:
    """Return the energy per site after a burn-in in sweeps, its error from the integrated autocorrelation time."""
    moves, spins, rng = started(side, update, chains=8)
    series = np.empty((8, samples))
    for t in range(samples):
        spins = moves.sweep(spins, 1, rng)
        s = 2.0 * spins.reshape(-1, side, side) - 1
        series[:, t] = -(s * (np.roll(s, 1, 1) + np.roll(s, 1, 2))).mean((1, 2))
    tau = integrated_time(torch.from_numpy(series))
    error = series.std() * (tau.value / series.size) ** 0.5
    return Measurement(series.mean(), error, "J", series.size / tau.value, "autocorrelation time"), tau


def seconds(work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def speeds() -> list[bool]:
    held = []
    wolff, spins, rng = started(SIDE, Wolff)

    def ours() -> None:
        wolff.flip_many(spins, CLUSTERS, rng)

    python = interpreter("ising")
    if not available():
        print("numba is not installed: no compiled clusters")
    elif python is None:
        print("no peers: make the environment 'ising' and set PEERS_DIR")
    else:
        for name, job in (("mcising's", MCISING), ("peapods' clusters and Metropolis sweeps", PEAPODS)):
            with Peer(python, job, threads=1) as peer:
                found = ratio(ours, peer.run)
            held.append(verdict(f"{CLUSTERS} Wolff clusters, L = {SIDE}, time over {name}", found, BAR))
    if available():
        best = max(CLUSTERS / seconds(ours) for _ in range(7))
        print(f"Wolff clusters a second, best of 7: {best:.0f}, bar {CLUSTERS_A_SECOND}")
        held.append(best >= CLUSTERS_A_SECOND)
    sweeps, spins, rng = started(128, SwendsenWang)
    best = min(seconds(lambda: sweeps.sweep(spins, 50, rng)) / 50 for _ in range(7))
    print(f"Swendsen-Wang by SciPy, 128 x 128, best of 7: {1e3 * best:.2f} ms a sweep, bar {1e3 * SWEEP} ms")
    held.append(best <= SWEEP)
    return held


def energies() -> list[bool]:
    held = []
    for side, samples in ((32, 4000), (64, 2000)):
        for update in (Wolff, SwendsenWang):
            exact = -kaufman.energy(CRITICAL_COUPLING, side, side) / side**2
            found, tau = energy(side, update, samples)
            z = (found.value - exact) / found.error
            print(f"energy, L = {side}, {update.name}: {found}, exact {exact:.6f}, z = {z:+.1f}; tau {tau}")
            held.append(abs(z) < 4)
    return held


def main() -> bool:
    return all([*speeds(), *energies()])


if __name__ == "__main__":
    sys.exit(not main())
