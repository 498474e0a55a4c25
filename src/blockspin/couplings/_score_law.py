"""Score law: the state that infinitely many samples of a Gaussian law would leave."""

from __future__ import annotations

from math import factorial

import torch
from torch import Tensor

from blockspin.couplings._lattice_basis import POWERS, LatticeBasis
from blockspin.couplings._score_sums import PARTS
from blockspin.law import GaussianLaw
from blockspin.observables.base import State


def score_sums_of_law(basis: LatticeBasis, law: GaussianLaw) -> State:
    r"""Return the sums of a Gaussian law, exactly, at weight 1.

    A gradient is a matrix L times a power of the field, f(phi) = phi^q / q!. With f^(k) its derivatives,

    .. math:: \langle f(\phi_x) h(\phi_y) \rangle
        = \sum_k \frac{C_{xy}^k}{k!} \langle f^{(k)}(\phi_x) \rangle \langle h^{(k)}(\phi_y) \rangle ,

    the expansion in Hermite polynomials.
    """
    m, C = law.mean.reshape(-1), law.covariance
    frame = basis.frame
    if basis.about_mean and frame is not None:
        m = m - frame.mean
    orders = [POWERS.get(name, 2) - 1 for name in basis.names]
    powers = [C**k / factorial(k) for k in range(max(orders) + 1)]
    P, eye = basis.metric, torch.eye(len(m), dtype=torch.float64)
    L = [eye if name in POWERS else basis.matrix(name) for name in basis.names]
    K = len(orders)
    A = torch.zeros(K, K, dtype=torch.float64)
    for a in range(K):
        left = L[a] @ P
        for b in range(a + 1):
            W = left @ L[b]
            for k in range(min(orders[a], orders[b]) + 1):
                f, h = _mean(orders[a] - k, m, C), _mean(orders[b] - k, m, C)
                A[a, b] += f @ (powers[k] * W) @ h
            A[b, a] = A[a, b]
    laplacians = torch.stack([(P * M).sum(0) @ _mean(order - 1, m, C) for order, M in zip(orders, L, strict=True)])
    first = torch.zeros(PARTS, dtype=torch.float64)
    first[0] = 1
    one, none = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    state = {"weight": one, "squares": none, "parts": first, "products": first[:, None, None] * A}
    state["laplacians"] = first[:, None] * laplacians
    return state if frame is not None else {**state, "mean": law.mean.reshape(-1), "scatter": C}


def _mean(power: int, m: Tensor, C: Tensor) -> Tensor:
    """Return the mean of phi^power / power! at every site, zero where the power is negative, [sites]."""
    v, total = C.diagonal(), torch.zeros_like(m)
    for pairs in range(power // 2 + 1 if power >= 0 else 0):
        alone = power - 2 * pairs
        total = total + m**alone / factorial(alone) * (v / 2) ** pairs / factorial(pairs)
    return total
