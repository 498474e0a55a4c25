"""Langevin network: a linear network trained by noisy gradients against its exact posterior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether
from blockspin.tethers.linear_features import INPUTS, NOISE, TARGETS, TESTED, task
from blockspin.theory import linear_features as theory

WIDTH, CHAINS, STEPS, BURN, RATE = 20, 1000, 15_000, 3_000, 0.002


@register
@dataclass(frozen=True)
class LangevinNetworkTether(Tether):
    """Train 1,000 independent networks at the temperature of the noise and average their outputs over time."""

    name = "langevin-network"
    system = "linear network under Langevin dynamics"
    source = "naveh2021"
    fast = False
    minutes = 1.0

    def rows(self) -> Iterator[Row]:
        """Yield the mean output and the mean squared read-out."""
        output, scale = _trained(torch.Generator().manual_seed(0))
        data = task(WIDTH)
        known = theory.mean_over_scales(data, lambda Q: theory.predicted(data, TESTED, Q))
        spread = theory.mean_over_scales(data, lambda Q: Q)
        for name, expected, found in (("mean output", known, output), ("mean squared read-out", spread, scale)):
            # the finite step biases the mean by up to 0.3% at this rate, beside four errors
            yield Row(f"{name} of {WIDTH} units", expected, found, 4 * float(found.error) + 0.003 * expected)


def _trained(generator: torch.Generator) -> tuple[Measurement, Measurement]:
    """Run unadjusted Langevin chains whose weights have prior variance 1."""
    x, y, star = (torch.from_numpy(v) for v in (INPUTS, TARGETS, TESTED))
    N, d = WIDTH, x.shape[1]
    W = torch.randn(CHAINS, d, N, generator=generator, dtype=x.dtype)
    a = torch.randn(CHAINS, N, 1, generator=generator, dtype=x.dtype)
    unit = (d * N) ** -0.5
    f, q = torch.zeros(CHAINS, dtype=x.dtype), torch.zeros(CHAINS, dtype=x.dtype)
    for step in range(STEPS):
        h = x @ W
        miss = (unit * (h @ a) - y[:, None]) * (unit / NOISE)
        pull_a, pull_W = h.mT @ miss + a, (x.T @ miss) @ a.mT + W
        a = a - RATE * pull_a + (2 * RATE) ** 0.5 * torch.randn(a.shape, generator=generator, dtype=a.dtype)
        W = W - RATE * pull_W + (2 * RATE) ** 0.5 * torch.randn(W.shape, generator=generator, dtype=a.dtype)
        if step >= BURN:
            f += unit * ((star @ W)[:, None] @ a)[:, 0, 0]
            q += a.square().mean((1, 2))
    return _over_chains(f / (STEPS - BURN)), _over_chains(q / (STEPS - BURN))


def _over_chains(means: torch.Tensor) -> Measurement:
    error = float(means.std()) / CHAINS**0.5
    return Measurement(float(means.mean()), error, "1", CHAINS, f"{CHAINS} independent chains", CHAINS - 1)
