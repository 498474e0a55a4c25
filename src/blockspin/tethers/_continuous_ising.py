"""Continuous Ising action, exact samples of its field, and a neural flow that is trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import log
from typing import Any

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.geometry import Grid
from blockspin.registry import member
from blockspin.tethers.base import Row, exact
from blockspin.theory import continuous_ising as theory


def ising_action(side: int, K: float) -> Callable[[Tensor], Tensor]:
    """Return S(x) = x^t A^-1 x / 2 - sum ln cosh x on a torus, from fields [n, sites, 1] to [n]."""
    inverse = torch.linalg.inv(torch.from_numpy(theory.coupling_matrix(side, side, K)[0]))

    def action(x: Tensor) -> Tensor:
        field = x[:, :, 0]
        log_cosh = torch.logaddexp(field, -field) - log(2)
        return (field @ inverse * field).sum(1) / 2 - log_cosh.sum(1)

    return action


def variational(side: int, K: float, share: float, **options: Any) -> Iterator[Row]:
    """Train on the action: the free energy is a bound of -ln Z, within a share of it."""
    scheme = member("schemes", "neural-rg")(**options)
    generator = torch.Generator().manual_seed(0)
    found = scheme.fit_action(
        ising_action(side, K), Grid((side, side)), symmetric=True, generator=generator
    ).free_energy
    target = theory.free_energy(side, side, K)
    where = f"{side} x {side}, K = {K:.4f}, {scheme.steps} steps"
    below = max(0.0, target - float(found.value))
    yield exact(f"variational free energy below -ln Z, {where}", 0.0, below, 4 * float(found.error), "nat")
    yield exact(f"variational free energy, {where}", target, float(found.value), share * abs(target), "nat")


def ising_fields(side: int, K: float, samples: int, generator: torch.Generator) -> Ensemble:
    """Return exact samples: spins by their enumerated probabilities, and given them a Gaussian of mean A s."""
    A = torch.from_numpy(theory.coupling_matrix(side, side, K)[0])
    s = torch.tensor(list(product((-1.0, 1.0), repeat=side**2)), dtype=torch.float64)
    probability = torch.softmax((s @ A * s).sum(1) / 2, 0)
    spins = s[torch.multinomial(probability, samples, replacement=True, generator=generator)]
    noise = torch.randn(samples, side**2, dtype=torch.float64, generator=generator)
    return Ensemble.of(spins @ A + noise @ torch.linalg.cholesky(A).T, Grid((side, side)))
