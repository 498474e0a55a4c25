"""How a loss falls with the number of training pictures: kernel regression on digits, its largest runs held out."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from blockspin.couplings.scaling_law import held_out
from blockspin.theory.dual_activation import PiecewiseLinear
from blockspin.theory.nngp import Network, kernels

digits = load_digits()
pictures = torch.tensor(digits.data / 16)
targets = torch.eye(10, dtype=torch.float64)[torch.tensor(digits.target)] - 0.1
K = kernels(Network(3, PiecewiseLinear(), 2.0, 0.1), pictures).covariance  # of an infinitely wide ReLU network


def loss(size: int, seed: int) -> float:
    """Return the squared error on 400 pictures after regression on ``size`` others, drawn by the seed."""
    order = torch.randperm(len(K), generator=torch.Generator().manual_seed(seed))
    shown, held = order[:size], order[-400:]
    weights = torch.linalg.solve(K[shown][:, shown] + 1e-3 * torch.eye(size), targets[shown])
    return float((K[held][:, shown] @ weights - targets[held]).square().sum(1).mean())


sizes = np.unique(np.geomspace(60, 1200, 9).astype(int)).tolist()
losses = {size: [loss(size, 100 * k + seed) for seed in range(6)] for k, size in enumerate(sizes)}
law, checks = held_out(losses, 2, generator=torch.Generator().manual_seed(0))

(alpha, (low, high)), (floor, (least, most)) = law.exponent, law.irreducible
print(f"L(D) = E + A D^-alpha on {len(law.sizes)} sizes: {law.verdict.value}")
print(f"alpha = {alpha:.2f} (95 %: {low:.2f} to {high:.2f}), E = {floor:.3f} ({least:.3f} to {most:.3f})")
print(f"p of a worse misfit {law.p_value:.2g}, of so strong a break {law.break_p:.2g}")
for check in checks:
    print(f"{check.size:g} pictures: {check.loss:.4f}, predicted {check.low:.4f} to {check.high:.4f}")
assert low < alpha < high
assert all(check.inside for check in checks)
