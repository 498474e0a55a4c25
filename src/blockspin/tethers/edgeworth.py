"""Edgeworth: the law of a cos-net's output order by order, its correlators, and actions that are local or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.registry import register
from blockspin.tethers._means import mean_of_parts
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import cos_net
from blockspin.theory import edgeworth as theory

ERRORS = {
    10: (8.46e-3, 9.81e-4, 1.63e-4),
    20: (3.96e-3, 2.22e-4, 1.79e-5),
    40: (1.92e-3, 5.32e-5, 2.11e-6),
    80: (9.48e-4, 1.30e-5, 2.56e-7),
    160: (4.71e-4, 3.23e-6, 3.16e-8),
}
"""Largest errors of a density of unit variance at orders 0, 1 and 2, by width."""
POINTS = np.array([[0.0], [0.5], [1.2], [-0.7]])


@register
@dataclass(frozen=True)
class EdgeworthTether(Tether):
    """Expand the exact law of a cos-net about a Gaussian one, and recover the couplings of lattice actions."""

    name = "edgeworth"
    system = "cos-net and a local quartic field: actions from cumulants"
    source = "demirtas2023"

    def rows(self) -> Iterator[Row]:
        """Yield errors of each order and their ratios, correlators, and vertices."""
        f = np.linspace(-6, 6, 1201)
        found = {}
        for width in ERRORS:
            law = cos_net.density(f, width, 2.0)
            orders = [theory.density(f, theory.Cumulants(1.0, 1.5 / width), order) for order in range(3)]
            found[width] = [float(np.abs(law - p).max()) for p in orders]
            for order, (known, error) in enumerate(zip(ERRORS[width], found[width], strict=True)):
                yield exact(f"largest error at order {order}, cos-net of width {width}", known, error, 6e-3 * known)
        for order in range(3):
            for width in (40, 80):
                ratio = found[width][order] / found[2 * width][order]
                quantity = f"error at width {width} over that at {2 * width}, order {order}"
                yield exact(quantity, 2.0 ** (order + 1), ratio, 0.05 * 2 ** (order + 1))
        yield from _drawn(10, 200_000)
        yield from _vertices()


def _drawn(width: int, nets: int) -> Iterator[Row]:
    connected = cos_net.connected_four(POINTS, 2.0, 1.0) / width
    G2 = [[cos_net.kernel(abs(float(x - y)), 2.0, 1.0) for y in POINTS[:, 0]] for x in POINTS[:, 0]]
    full = connected + G2[0][1] * G2[2][3] + G2[0][2] * G2[1][3] + G2[0][3] * G2[1][2]
    yield exact("four-point function of the cos-net of width 10", 1.109949, full, 1e-6)
    generator = torch.Generator().manual_seed(5)
    a, w = (torch.randn(nets, width, 1, generator=generator) for _ in range(2))
    b = 2 * torch.pi * torch.rand(nets, width, 1, generator=generator)
    f = ((2 / width) ** 0.5 * a * torch.cos(w * torch.from_numpy(POINTS[:, 0]).float() + b)).sum(1).double()
    yield sampled(f"the same, of {nets} drawn networks", full, mean_of_parts(list(f.prod(1).chunk(20))))
    S = 2 / width * torch.cos(b[:, :, 0]).square().sum(1).double()  # the variance of f(0) given the hidden units
    kurtosis = mean_of_parts(list((3 * width * (S - 1) ** 2).chunk(20)))
    yield sampled("N k4 of one output of unit variance, from its variance given the hidden units", 1.5, kurtosis)


def _vertices() -> Iterator[Row]:
    """Give the action of a weakly coupled local field, of one site by integration, and that of a network."""
    sites, coupling = 5, 0.01
    distance = np.abs(np.subtract.outer(np.arange(sites), np.arange(sites)))
    K = 0.5**distance
    action = theory.quartic_action(K, theory.local_vertex(coupling, K))
    yield exact("locality of a local quartic action, 5 sites", 1.0, theory.locality(action.quartic), 1e-12)
    yield exact("its coupling", -coupling, action.quartic[0, 0, 0, 0], 1e-12)
    yield exact("its coupling between sites", 0.0, np.abs(action.quartic[0, 1]).max(), 1e-12)
    x = 1.5 * np.arange(sites)
    K = np.array([[cos_net.kernel(abs(s - t), 2.0, 1.0) for t in x] for s in x])
    grid = np.array(np.meshgrid(x, x, x, x, indexing="ij")).reshape(4, -1).T
    connected = [cos_net.connected_four(row[:, None], 2.0, 1.0) for row in grid]
    network = theory.quartic_action(K, np.reshape(connected, (sites,) * 4))
    share = theory.locality(network.quartic)
    yield exact("a network's action is not local: whether its score is below 1/2", 1, share < 0.5, 0)
    y = np.linspace(-9, 9, 4001)
    weight = np.exp(-(y**2) / 2 - coupling * y**4 / 24)
    weight /= weight.sum()
    variance = weight @ y**2
    fourth = weight @ y**4 - 3 * variance**2
    one = theory.quartic_action(np.array([[variance]]), np.full((1,) * 4, fourth))
    yield exact(
        "coupling of one site, from its integrated moments", -coupling, one.quartic[0, 0, 0, 0], 4 * coupling**2
    )
