"""Criticality: critical initialisations and running couplings of deep networks, against drawn networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import erf, pi, sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from blockspin.registry import register
from blockspin.tethers._means import mean_of_parts
from blockspin.tethers._networks import in_law, through_weights
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import criticality as theory
from blockspin.theory import four_point

DIGITS = 1e-7
KNOWN: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, ...]]] = {
    "GELU": (functional.gelu, (0.17292239, 1.98305826, (3 + sqrt(17)) / 2)),
    "SWISH": (functional.silu, (0.55514317, 1.98800468, 14.32017362)),
}
NETWORKS, PARTS = 200_000, 20


@register
@dataclass(frozen=True)
class CriticalityTether(Tether):
    """Solve for criticality, run the couplings over a thousand layers, and draw networks of a few."""

    name = "criticality"
    system = "kernel and four-point vertex of deep fully connected networks at initialisation"
    source = "roberts2022"
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield critical points, universality classes, exact moments and sampled ones."""
        for name, (phi, point) in KNOWN.items():
            yield from _half_stable(name, phi, point)
        for name, phi in (("sigmoid", torch.sigmoid), ("softplus", functional.softplus)):
            yield exact(f"critical points of {name}", 0, theory.critical_initialisation(phi) is not None, 0)
        for phi, known in (
            (torch.tanh, (1.00333, 0.66415)),
            (torch.sin, (0.99764, 0.66669)),
            (_erf, (1.00153, 0.66493)),
        ):
            yield from _zero_kernel(phi.__name__.strip("_"), phi, *known)
        for name, phi, nu in (("ReLU", torch.relu, 5.0), ("leaky ReLU, slope 0.1", _leaky, 4.882364)):
            yield exact(f"growth of V / K^2 ({name})", nu, theory.vertex_growth(phi), 1e-6)
        yield from _moments("ReLU", torch.relu, (0.0, 2.0), 5.0)
        yield from _moments("linear", lambda z: z, (0.0, 1.0), 2.0)
        yield from _tanh_vertex()
        yield from _two_inputs()


def _erf(z: Tensor) -> Tensor:
    return torch.erf(sqrt(pi) / 2 * z)


def _leaky(z: Tensor) -> Tensor:
    return functional.leaky_relu(z, 0.1)


def _half_stable(name: str, phi: Callable[[Tensor], Tensor], known: tuple[float, ...]) -> Iterator[Row]:
    found = theory.critical_initialisation(phi)
    assert found is not None
    got = (found.bias_variance, found.weight_variance, found.kernel)
    for symbol, expected, value in zip(("C_b", "C_W", "K*"), known, got, strict=True):
        yield exact(f"{symbol} of {name}", expected, value, DIGITS)
    z = np.linspace(-12, 12, 4001) * sqrt(found.kernel)
    w = np.exp(-(z**2) / (2 * found.kernel))
    w /= w.sum()
    cut = np.array([0.5 * (1 + erf(x / sqrt(2))) for x in z]) if name == "GELU" else 1 / (1 + np.exp(-z))
    rise = np.exp(-(z**2) / 2) / sqrt(2 * pi) if name == "GELU" else cut * (1 - cut)
    square, bend = (z * cut) ** 2, cut + z * rise
    C_b, C_W, K = got
    for quantity, expected, value in (
        ("K* after one layer", K, C_b + C_W * float(w @ square)),
        ("chi_par", 1.0, C_W / (2 * K**2) * float(w @ (square * (z**2 - K)))),
        ("chi_perp", 1.0, C_W * float(w @ bend**2)),
    ):
        yield exact(f"{quantity} of {name}, by another rule", expected, value, 1e-9)


def _zero_kernel(name: str, phi: Callable[[Tensor], Tensor], kernel: float, vertex: float) -> Iterator[Row]:
    depth = 1000
    run = theory.running_couplings(phi, (0.0, 1.0), depth, 1.0)
    K, V = run.kernel[-1], run.vertex[-1]
    yield exact(f"-a_1 l K of {name} at l = {depth}", kernel, -theory.decay_coefficient(phi) * depth * K, 1e-5)
    yield exact(f"V / (K^2 l) of {name} at l = {depth}", vertex, V / K**2 / depth, 1e-5)
    yield exact(f"V / (K^2 l) of {name}, its limit 2/3 up to log(l) / l", 2 / 3, V / K**2 / depth, 0.01)
    p = theory.perpendicular_exponent(phi)
    yield exact(f"l (1 - chi_perp) of {name}, its limit up to log(l) / l", p, depth * (1 - run.perpendicular[-1]), 0.01)


def _moments(name: str, phi: Callable[[Tensor], Tensor], init: tuple[float, float], growth: float) -> Iterator[Row]:
    """Draw networks of width 30: moments are exact at every width; the sixth has tails too heavy beyond two layers."""
    width = 30
    generator = torch.Generator().manual_seed(1)
    for depth, order in ((2, 6), (5, 4)):
        z = torch.randn(NETWORKS, width, generator=generator)
        for _ in range(depth - 1):
            z = in_law(phi(z), width, init, generator=generator)
        expected = four_point.scale_invariant_moment(order, width, depth, growth)
        gaussian = {4: 3, 6: 15}[order]
        measured = mean_of_parts(list((z.double() ** order / gaussian).mean(1).chunk(PARTS)))
        yield sampled(f"E z^{order} / {gaussian} K^{order // 2}, {name}, {depth} layers of {width}", expected, measured)


def _tanh_vertex() -> Iterator[Row]:
    """Draw deep tanh networks; the vertex is the leading order in depth / width, which the tolerance allows for."""
    width, depth = 50, 10
    run = theory.running_couplings(torch.tanh, (0.0, 1.0), depth, 1.0)
    for layer, known in ((2, 0.0975), (5, 0.0394), (10, 0.0186)):
        yield exact(f"V of tanh, layer {layer}", known, run.vertex[layer - 1], 6e-5)
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(NETWORKS // 5, width, generator=generator)
    for layer in range(2, depth + 1):
        h = z.tanh()
        z = in_law(h, width, (0.0, 1.0), generator=generator)
        if layer in (2, 5, 10):
            q = h.square().double().mean(1)
            measured = mean_of_parts(list((width * (q - q.mean()) ** 2).chunk(PARTS)))
            V = float(run.vertex[layer - 1])
            next_order = (layer - 2) / width * V
            quantity = f"width x variance of the kernel, layer {layer} of tanh networks of width {width}"
            yield Row(quantity, V, measured, 4 * float(measured.error) + next_order)


def _two_inputs() -> Iterator[Row]:
    """Draw the weights of one hidden layer: covariances of kernels of two inputs are V / n at every width."""
    K, init, width = np.array([[1.0, 0.3], [0.3, 0.7]]), (0.1, 1.2), 8
    V = four_point.fresh_vertex(torch.tanh, K, init[1])
    generator = torch.Generator().manual_seed(3)
    x = torch.from_numpy(np.linalg.cholesky(K)).float() * sqrt(2)
    z = through_weights(x.expand(20_000, 2, 2), width, (0.0, 1.0), generator=generator)
    h = z.double().tanh()
    q = init[1] * h @ h.transpose(1, 2) / width
    q = q - q.mean(0)
    for a, b, c, d in ((0, 0, 0, 0), (0, 1, 0, 1), (0, 0, 1, 1), (0, 1, 1, 1)):
        measured = mean_of_parts(list((width * q[:, a, b] * q[:, c, d]).chunk(PARTS)))
        yield sampled(
            f"V_({a}{b})({c}{d}) of two inputs, one hidden layer of tanh, {width} wide", V[a, b, c, d], measured
        )
