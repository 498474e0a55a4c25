"""SGLD around a small network on scikit-learn's digits against the package devinterp, in PEERS_DIR/devinterp.

Both run the same chains (size, localisation, temperature, batches) around the same kind of minimum; what is compared is
the time of a step of one chain. Their local learning coefficients are printed as a check that they do the same work.
"""

from __future__ import annotations

import argparse
import math
import time

import torch
from _pairs import paired, verdict
from _peer import Peer, interpreter

from blockspin.langevin import Chains, chain_losses

BAR = 1 / 5
CHAINS, STEPS, BURN, BATCH, SIZE, SPRING = 4, 150, 50, 256, 1e-5, 100.0
NETWORK = """
import torch
from sklearn.datasets import load_digits
torch.set_num_threads(1); torch.manual_seed(0)
digits = load_digits()
x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
adam = torch.optim.Adam(net.parameters(), 1e-2)
for _ in range(300):
    adam.zero_grad(); torch.nn.functional.cross_entropy(net(x), y).backward(); adam.step()
"""
JOB = (
    NETWORK
    + """
import warnings, logging; warnings.filterwarnings("ignore"); logging.disable(logging.INFO)
from datasets import Dataset
from devinterp.slt.llc import llc
rows = Dataset.from_dict({{"input_ids": [[i, 0] for i in range(len(x))]}}).with_format("torch")
def loss(module, ids):
    i = ids[:, 0]
    return torch.nn.functional.cross_entropy(module(x[i]), y[i], reduction="none")[:, None]
def job():
    found = llc(net, rows, {{}}, lr={size}, n_beta={beta}, localization={spring}, num_chains={chains},
        num_draws={draws}, batch_size={batch}, num_burnin_steps={burn}, num_init_loss_batches=7, loss_fn=loss,
        device="cpu", init_seed=0)
    return float(found.llc_mean)
serve(job)
"""
)


def ours(chains: int, held: dict[str, torch.Tensor], net: torch.nn.Module) -> float:
    """Run chains and return the local learning coefficient."""
    x, y = held["x"], held["y"]
    entropy = torch.nn.functional.cross_entropy
    beta = len(x) / math.log(len(x))
    how = Chains(chains, STEPS, BATCH, SIZE / 2, beta, SPRING)  # their size is twice the time of a step
    losses = chain_losses(
        net, lambda call, i: entropy(call(x[i]), y[i]), len(x), how, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        least = float(entropy(net(x), y))
    return beta * (float(losses.mean()) - least)  # with the first steps, as theirs


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=7)
    options.add_argument("--chains", type=int, default=CHAINS, help="of ours; theirs are always 4, one by one")
    given = options.parse_args()
    torch.set_num_threads(1)
    made: dict = {}
    exec(NETWORK, made)  # the very lines that the peer runs
    net, held = made["net"], {"x": made["x"], "y": made["y"]}
    print(f"ours: coefficient {ours(given.chains, held, net):.3f}")
    python = interpreter("devinterp")
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    if python is None:
        begun = time.perf_counter()
        ours(given.chains, held, net)
        print(f"ours {given.chains * STEPS / (time.perf_counter() - begun):.0f} steps of a chain per second")
        print("devinterp: SKIPPED, there is no devinterp environment in PEERS_DIR")
        return True
    text = JOB.format(
        size=SIZE, beta=len(held["x"]) / math.log(len(held["x"])), spring=SPRING, chains=CHAINS,
        draws=STEPS - BURN, batch=BATCH, burn=BURN,
    )  # fmt: skip
    with Peer(python, text, threads=1) as peer:
        print(f"theirs: coefficient {peer.run()['result']:.3f}")  # not timed
        for _ in range(given.pairs):
            begun = time.perf_counter()
            ours(given.chains, held, net)
            seconds["ours"].append((time.perf_counter() - begun) / (given.chains * STEPS))
            seconds["theirs"].append(peer.run()["seconds"] / (CHAINS * STEPS))
    for name, row in seconds.items():
        print(f"{name}: {1 / sorted(row)[len(row) // 2]:.0f} steps of a chain per second")
    return verdict("step of a chain / devinterp", paired(seconds["ours"], seconds["theirs"]), BAR)


if __name__ == "__main__":
    raise SystemExit(not main())
