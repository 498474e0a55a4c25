"""NNGP: covariance and tangent kernel of deep networks, against other quadrature and drawn networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blockspin.registry import register
from blockspin.tethers._means import mean_of_parts
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory.dual_activation import Dual, Erf, PiecewiseLinear, Series
from blockspin.theory.gaussian_average import pair_average, slope
from blockspin.theory.nngp import Network, kernels

ROUNDING = 1e-9
"""Of the quadrature and of the series, through three layers."""
KNOWN = {
    1: (0.4827442838, 0.6618402890),
    2: (0.5975484852, 1.0346012996),
    3: (0.6758208545, 1.4040337267),
}
ORACLE: dict[str, tuple[Dual, float, tuple[float, ...]]] = {
    "ReLU": (PiecewiseLinear(), 2.0, (2.11068, 1.70399, 18.6361, 5.7380)),
    "erf": (Erf(), 2.25, (1.09349, 0.04723, 28.9129, 0.1415)),
}
"""Entries (0, 0) and (0, 1) of covariance and tangent kernel of another library's in single precision."""


@register
@dataclass(frozen=True)
class NNGPTether(Tether):
    """Compute kernels in closed form, by a series, by quadrature on a plane, and from networks of finite width."""

    name = "nngp"
    system = "covariance and tangent kernel of deep fully connected networks"
    source = "lee2020"

    def rows(self) -> Iterator[Row]:
        """Yield known digits, agreement of closed forms with quadrature, and sampled kernels."""
        c = 0.3
        x = torch.tensor([[1.0, 0.0], [c, (1 - c**2) ** 0.5]], dtype=torch.float64)
        for depth, (covariance, tangent) in KNOWN.items():
            found = kernels(Network(depth, PiecewiseLinear(), 2.0), x)
            yield exact(f"covariance of ReLU, c = {c}, depth {depth}", covariance, float(found.covariance[0, 1]), 1e-9)
            yield exact(f"tangent kernel of ReLU, c = {c}, depth {depth}", tangent, float(found.tangent[0, 1]), 1e-9)
        data = torch.from_numpy(np.random.default_rng(0).standard_normal((1000, 784)).astype(np.float32))[:2]
        for name, (dual, weight, known) in ORACLE.items():
            found = kernels(Network(8, dual, weight, 0.01), data)
            values = [float(k[0, j]) for k in (found.covariance, found.tangent) for j in (0, 1)]
            for quantity, expected, value in zip(("K_00", "K_01", "T_00", "T_01"), known, values, strict=True):
                yield exact(f"{quantity} of {name}, depth 8, 784 dimensions", expected, value, 1e-4)
        leaky = lambda z: torch.nn.functional.leaky_relu(z, 0.2)  # noqa: E731
        yield from _against_the_plane("ReLU", torch.relu, PiecewiseLinear())
        yield from _against_the_plane("leaky ReLU, slope 0.2", leaky, PiecewiseLinear(0.2))
        yield from _against_the_plane("erf", torch.erf, Erf())
        yield from _against_the_plane("tanh", torch.tanh, Series(torch.tanh))
        yield from _drawn("ReLU", torch.relu, PiecewiseLinear(), 2.0)
        yield from _drawn("erf", torch.erf, Erf(), 1.5)


def _against_the_plane(name: str, phi: Callable[[Tensor], Tensor], dual: Dual) -> Iterator[Row]:
    """Repeat three layers for two inputs of unlike norms, with averages over angle and radius of a plane."""
    x = torch.tensor([[1.0, 0.2, -0.4], [0.1, 1.5, 0.3]], dtype=torch.float64)
    C_W, C_b = 1.4, 0.1
    found = kernels(Network(3, dual, C_W, C_b), x)
    K = C_b + C_W * x @ x.T / 3
    T = K.clone()
    for _ in range(3):
        both, bent = _averages(phi, K)
        K = C_b + C_W * both
        T = K + C_W * bent * T
    for i, j in ((0, 0), (0, 1)):
        for symbol, expected, kernel in (("K", K, found.covariance), ("T", T, found.tangent)):
            quantity = f"{symbol}_{i}{j} of {name}, three layers, by another rule"
            yield exact(quantity, float(expected[i, j]), float(kernel[i, j]), ROUNDING)


def _averages(phi: Callable[[Tensor], Tensor], K: Tensor) -> tuple[Tensor, Tensor]:
    """Return <phi phi> and <phi' phi'> by quadrature over angle and radius."""
    both, bent = torch.empty_like(K), torch.empty_like(K)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        covariance = (float(K[i, i]), float(K[i, j]), float(K[j, j]))
        both[i, j] = both[j, i] = pair_average(phi, phi, covariance)
        bent[i, j] = bent[j, i] = pair_average(slope(phi), slope(phi), covariance)
    return both, bent


def _drawn(name: str, phi: Callable[[Tensor], Tensor], dual: Dual, C_W: float) -> Iterator[Row]:
    """Draw networks: means of kernels are exact for one hidden layer of any width, and within depth / width for more.

    Outputs and all gradients are taken of each network by automatic differentiation.
    """
    x = torch.tensor([[1.0, 0.2, -0.4], [0.1, 1.5, 0.3]], dtype=torch.float64)
    for depth, width, nets in ((1, 30, 400), (3, 150, 100)):
        found = kernels(Network(depth, dual, C_W, 0.1), x)
        generator = torch.Generator().manual_seed(depth)
        drawn = torch.stack([_empirical(phi, (3, *[width] * depth), C_W, x, generator) for _ in range(nets)])
        for quantity, kernel, values in (("K", found.covariance, drawn[:, 0]), ("T", found.tangent, drawn[:, 1])):
            measured = mean_of_parts(list(values.chunk(20)))
            expected = float(kernel[0, 1])
            allowed = 4 * float(measured.error) + (0 if depth == 1 else depth / width * expected)
            yield Row(
                f"{quantity}_01 of {nets} {name} networks, depth {depth}, width {width}", expected, measured, allowed
            )


def _empirical(
    phi: Callable[[Tensor], Tensor], widths: tuple[int, ...], C_W: float, x: Tensor, generator: torch.Generator
) -> Tensor:
    """Return the last kernel and the tangent kernel of two inputs of one network, weights of unit variance."""
    shapes = [*zip(widths, (*widths[1:], 1), strict=True)]
    parameters = [torch.randn(*s, generator=generator, dtype=x.dtype).requires_grad_() for s in shapes]
    biases = [torch.randn(s[1], generator=generator, dtype=x.dtype).requires_grad_() for s in shapes]
    h = x
    for layer, (W, b) in enumerate(zip(parameters, biases, strict=True)):
        units = h if layer == 0 else phi(h)
        h = (C_W / len(W)) ** 0.5 * units @ W + 0.1**0.5 * b
    last = 0.1 + C_W * (units[0] @ units[1]) / len(W)
    gradients = [torch.autograd.grad(h[i, 0], [*parameters, *biases], retain_graph=True) for i in (0, 1)]
    tangent = sum((a * b).sum() for a, b in zip(*gradients, strict=True))
    return torch.stack([last.detach(), torch.as_tensor(tangent)])
