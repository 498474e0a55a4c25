"""Nearest neighbours against their peers: TwoNN with DADApy, mutual information with npeet-plus.

Peers live in virtual environments of their own, ``$PEERS_DIR/idim`` and ``$PEERS_DIR/mi``; one that is missing is
skipped aloud. Each runs as one process that lives through all pairs, so that imports and compilation are not timed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from _pairs import PAIRS, ratio, verdict

from blockspin import Ensemble, Unordered, member
from blockspin.observables.base import accumulate

PEERS = Path(os.environ.get("PEERS_DIR", Path(tempfile.gettempdir()) / "peers"))
DADAPY = """
from dadapy import Data
work = lambda: Data(inputs["x"].astype(np.float64), verbose=False, n_jobs=threads).compute_id_2NN()[0]
"""
NPEET = """
from npeet_plus import mi
work = lambda: mi(inputs["x"], inputs["y"], k=3, base=np.e)
"""
LOOP = """
import sys, warnings
warnings.filterwarnings("ignore")
import numpy as np
inputs, threads = dict(np.load(sys.argv[1], allow_pickle=False)), int(sys.argv[2])
{work}
for line in sys.stdin:
    print("result", float(work()), flush=True)
"""


class Peer:
    """A process that does one job whenever it is asked."""

    def __init__(self, venv: str, work: str, inputs: Path, threads: int):
        counts = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        self.process = subprocess.Popen(
            [PEERS / venv / "bin" / "python", "-c", LOOP.format(work=work), inputs, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **counts},
        )

    def __call__(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("result"):
                return float(line.split()[1])
        raise RuntimeError(f"the peer ended with code {self.process.wait()}")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def curved_sheet() -> dict[str, np.ndarray]:
    """10,000 samples of a sheet of dimension 10 in 384 sites."""
    rng = np.random.default_rng(0)
    hidden = np.tanh(rng.standard_normal((10_000, 10)) @ rng.standard_normal((10, 64)) * 0.3)
    sheet = hidden @ rng.standard_normal((64, 384)) / 8
    return {"x": (sheet + 1e-4 * rng.standard_normal((10_000, 384))).astype(np.float32)}


def correlated() -> dict[str, np.ndarray]:
    """10,000 samples of two fields of four sites, correlated in pairs by 0.5; the information is 0.5754 nats."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((10_000, 4))
    return {"x": x, "y": 0.5 * x + 0.75**0.5 * rng.standard_normal((10_000, 4))}


JOBS = {
    "two-nn": ("TwoNN, 10,000 x 384 / DADApy", "idim", DADAPY, curved_sheet, 1 / 1.8),
    "ksg": ("information, 10,000 x (4, 4) / npeet-plus", "mi", NPEET, correlated, 1.0),
}
"""What is compared, the peer's environment and work, the inputs, and the bar: ours over theirs."""


def compare(name: str, threads: int, pairs: int) -> bool:
    label, venv, work, make, bar = JOBS[name]
    if not (PEERS / venv / "bin" / "python").exists():
        print(f"{label}: SKIPPED, there is no environment {PEERS / venv}")
        return True
    inputs = make()
    observable = member("observables", name)(limit=10_000)
    first = Ensemble.of(torch.from_numpy(inputs["x"]))
    second = [torch.from_numpy(inputs[key])[:, :, None] for key in ("y",) if key in inputs]
    fields = [first, *(first.with_values(y, Unordered(y.shape[1])) for y in second)]
    state = accumulate(observable.monoid, *fields)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inputs.npz"
        np.savez(path, **inputs)
        peer = Peer(venv, work, path, threads)
        try:
            ours, theirs = next(iter(observable.value(state).values())), peer()
            print(f"{label}: we read {float(ours):.4f}, they read {theirs:.4f}")
            return verdict(f"{label} ({threads} thread(s))", ratio(lambda: observable.value(state), peer, pairs), bar)
        finally:
            peer.close()


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("jobs", nargs="*", choices=[[], *JOBS], default=[])
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--pairs", type=int, default=PAIRS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    return all([compare(name, given.threads, given.pairs) for name in given.jobs or JOBS])


if __name__ == "__main__":
    sys.exit(not main())
