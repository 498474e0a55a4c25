"""Edge of chaos: fluctuations of the norm in linear networks of finite width, against drawn networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import torch

from blockspin.registry import register
from blockspin.tethers._means import mean_of_parts
from blockspin.tethers._networks import in_law, through_weights
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import edge_of_chaos as theory
from blockspin.theory import mean_field

PARTS = 20


@register
@dataclass(frozen=True)
class EdgeOfChaosTether(Tether):
    """Draw deep linear networks, and networks of tanh, and compare the growth of norms and of small differences."""

    name = "edge-of-chaos"
    system = "fluctuations at finite width about the mean field of deep random networks"
    source = "grosvenor2022"

    def rows(self) -> Iterator[Row]:
        """Yield second moments, depth scales, and Lyapunov exponents."""
        network = theory.LinearNetwork(50, 0.9, 0.1)
        path = theory.moments(network, 1.0, 12)
        for depth, known in ((1, 1.04), (4, 1.125993), (12, 1.221394)):
            yield exact(f"E q^2 after {depth} layers, N = 50", known, path[depth][1], 1e-6)
        yield from _drawn(network, 12, 100_000, weights=False)
        yield from _drawn(theory.LinearNetwork(8, 0.9, 0.1), 6, 40_000, weights=True)
        yield from _depths()
        yield from _quenched()


def _drawn(network: theory.LinearNetwork, depth: int, nets: int, weights: bool) -> Iterator[Row]:
    N, init = network.width, (network.bias_variance, network.weight_variance)
    generator = torch.Generator().manual_seed(6)
    z = torch.ones(nets, N)
    for _ in range(depth):
        if weights:
            z = through_weights(z[:, None], N, init, generator=generator)[:, 0]
        else:
            z = in_law(z, N, init, generator=generator)
    q = z.square().double().mean(1)
    how = f"{nets} networks, N = {N}, {depth} layers, {'weights' if weights else 'units'} drawn"
    first, second = theory.moments(network, 1.0, depth)[-1]
    yield sampled(f"E q of {how}", first, mean_of_parts(list(q.chunk(PARTS))))
    yield sampled(f"E q^2 of {how}", second, mean_of_parts(list(q.square().chunk(PARTS))))


def _depths() -> Iterator[Row]:
    """Read the depth scale of fluctuations off the approach of the second moment to its limit."""
    network = theory.LinearNetwork(50, 0.9)
    path = theory.moments(network, 1.0, 20)
    measured = -10 / log(path[20][1] / path[10][1])
    yield exact("xi_2 of N = 50, sigma_w^2 = 0.9", theory.fluctuation_depth(network), measured, 1e-9)
    critical = theory.LinearNetwork(50, theory.fluctuation_criticality(50))
    path = theory.moments(critical, 1.0, 50)
    yield exact("E q^2 at the critical point of fluctuations, 50 layers", 1.0, path[50][1], 1e-12)
    yield exact("E q there, below that of the mean", 1.04 ** (-25), path[50][0], 1e-12)


def _quenched() -> Iterator[Row]:
    """Follow ln |z| in drawn linear networks, and a small difference of two inputs in tanh networks."""
    network, depth, nets = theory.LinearNetwork(10, 1.1), 20, 4000
    generator = torch.Generator().manual_seed(7)
    z = torch.ones(nets, 1, 10)
    for _ in range(depth):
        z = through_weights(z, 10, (0.0, 1.1), generator=generator)
    growth = z.double().square().mean((1, 2)).log() / (2 * depth)
    measured = mean_of_parts(list(growth.chunk(PARTS)))
    yield sampled("Lyapunov exponent of linear networks, N = 10", theory.quenched_exponent(network), measured)
    shift = theory.quenched_exponent(theory.LinearNetwork(1000, 1.1)) - theory.annealed_exponent(1.1)
    yield exact("what finite width takes off it, times N", -0.5, 1000 * shift, 1e-3)
    yield from _tanh(width=200, depth=12, nets=60)


def _tanh(width: int, depth: int, nets: int) -> Iterator[Row]:
    """Carry a tangent vector through tanh networks at the fixed point of the variance: its growth is chi_1."""
    found = mean_field.propagation(torch.tanh, 2.5, 0.05)
    generator = torch.Generator().manual_seed(8)
    z = found.variance**0.5 * torch.randn(nets, 1, width, generator=generator, dtype=torch.float64)
    v = torch.randn(nets, 1, width, generator=generator, dtype=torch.float64)
    begun = v.square().sum((1, 2)).log()
    for _ in range(depth):
        W = (2.5 / width) ** 0.5 * torch.randn(nets, width, width, generator=generator, dtype=z.dtype)
        b = 0.05**0.5 * torch.randn(nets, 1, width, generator=generator, dtype=z.dtype)
        v = ((1 - z.tanh().square()) * v) @ W
        z = z.tanh() @ W + b
    measured = mean_of_parts(list(((v.square().sum((1, 2)).log() - begun) / (2 * depth)).chunk(PARTS)))
    expected = theory.annealed_exponent(found.susceptibility)
    allowed = 4 * float(measured.error) + 2 / width  # fluctuations of direction and of q are of order 1 / N a layer
    yield Row(f"Lyapunov exponent of tanh networks, N = {width}: (1/2) ln chi_1", expected, measured, allowed)
