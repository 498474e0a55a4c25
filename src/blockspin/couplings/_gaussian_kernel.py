"""Gaussian kernel: what an activation makes of the kernel of Gaussian fields, by a plain sum over the plane.

Written for couplings apart from ``theory``, which measures itself against couplings and shares no code with them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "erf": torch.erf,
    "gelu": torch.nn.functional.gelu,
    "sigmoid": torch.sigmoid,
    "linear": lambda z: z,
}
"""Activations by name."""
REACH, POINTS = 8.0, 121
"""The plane is summed over [-8, 8]^2 on a square grid with a line through 0: to rounding for smooth functions, to about
2e-4 of the variance for those with a corner at 0."""
PAIRS = 64
"""Pairs that are summed at a time."""


def activated_kernel(K: Tensor, activation: str) -> Tensor:
    r"""Return :math:`\langle \phi(u) \phi(v) \rangle` over Gaussian u, v for each pair of inputs [n, n].

    Args:
        K: Kernel of the fields before the activation, float64 [n, n], positive semidefinite.
        activation: A name of ``ACTIVATIONS``.
    """
    phi = ACTIVATIONS[activation]
    z = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
    weight = torch.exp(-z.square() / 2)
    weight = weight / weight.sum()
    n = len(K)
    i, j = torch.triu_indices(n, n)
    root = K.diagonal().clamp(min=0).sqrt()
    c = (K[i, j] / (root[i] * root[j]).clamp(min=1e-300)).clamp(-1, 1)
    values = []
    for part in torch.arange(len(i)).split(PAIRS):
        a, b, cosine = root[i[part]], root[j[part]], c[part, None, None]
        u = phi(a[:, None] * z)  # [pairs, points]
        v = phi(b[:, None, None] * (cosine * z[:, None] + (1 - cosine.square()).sqrt() * z))
        values.append(((v @ weight) * u) @ weight)
    found = torch.zeros(n, n, dtype=torch.float64)
    found[i, j] = torch.cat(values)
    return found + torch.triu(found, 1).T
