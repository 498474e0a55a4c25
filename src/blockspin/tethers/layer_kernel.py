"""Layer kernel: variances of the weights and biases of drawn networks, read off their kernels layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

from blockspin.couplings.layer_kernel import fit_layer, units_as_samples
from blockspin.ensemble import Ensemble
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory.gaussian_average import pair_average

SIGMA_W, SIGMA_B, WIDTH, INPUTS = 1.4, 0.4, 500, 8


@register
@dataclass(frozen=True)
class LayerKernelTether(Tether):
    """Draw a deep tanh network, and read sigma_w^2 and sigma_b^2 of each layer off the kernels before and after it."""

    name = "layer-kernel"
    system = "wide random tanh networks"
    source = "poole2016"

    def rows(self) -> Iterator[Row]:
        """Yield an exact kernel's variances, and those of three layers."""
        coupling = member("couplings", "layer-kernel")
        K = torch.tensor([[1.2, 0.5, 0.1], [0.5, 0.7, 0.2], [0.1, 0.2, 2.0]], dtype=torch.float64)
        k = K.tolist()
        averages = [
            [pair_average(torch.tanh, torch.tanh, (k[i][i], k[i][j], k[j][j])) for j in range(3)] for i in range(3)
        ]
        one = torch.ones((), dtype=torch.float64)
        made = {"weight": one, "squares": one, "products": 0.3 + 1.7 * torch.tensor(averages, dtype=torch.float64)}
        found = coupling(K, "tanh").value(made)
        yield exact("sigma_w^2 of an exact kernel", 1.7, float(found["weight_variance"]), 1e-9)
        yield exact("sigma_b^2 of an exact kernel", 0.3, float(found["bias_variance"]), 1e-9)
        for depth, (before, after) in enumerate(_layers(), start=2):
            fit = fit_layer(before, after, "tanh")
            yield sampled(f"sigma_w^2 of layer {depth}", SIGMA_W**2, fit.parameters["weight_variance"])
            yield sampled(f"sigma_b^2 of layer {depth}", SIGMA_B**2, fit.parameters["bias_variance"])


def _layers() -> Iterator[tuple[Ensemble, Ensemble]]:
    """Yield the pre-activations of neighbouring layers of one network, units as samples."""
    generator = torch.Generator().manual_seed(4)
    organism = member("organisms", "random-mlp")(sigma_w=SIGMA_W, sigma_b=SIGMA_B, width=WIDTH, depth=4)
    net = organism.network(generator=generator)
    size = 0.5 + torch.rand(INPUTS, 1, generator=generator)
    x = size * torch.randn(INPUTS, WIDTH, generator=generator) + 0.3 * torch.randn(1, WIDTH, generator=generator)
    fields = []
    with torch.no_grad():
        for place, module in enumerate(net):
            x = module(x)
            if place % 2 == 0:
                fields.append(units_as_samples(x))
    yield from pairwise(fields)
