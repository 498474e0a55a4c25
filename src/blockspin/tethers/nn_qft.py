"""NN-QFT: connected correlators, couplings and their flow with a cutoff, against drawn networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log

import numpy as np
import torch
from scipy.integrate import quad
from torch import Tensor

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers._means import mean_of_parts
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import nn_qft as theory

NETWORKS, PARTS = 100_000, 20
POINTS = np.array([[0.2], [0.4], [0.6], [0.8]])
CUTOFFS = (7.0, 20.0, 100.0, 1000.0, 1e5)


@register
@dataclass(frozen=True)
class NNQFTTether(Tether):
    """Compare exact correlators of three kinds of networks with drawn ones, and follow the quartic coupling."""

    name = "nn-qft"
    system = "networks of one hidden layer as interacting fields"
    source = "halverson2021"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield correlators in closed form, couplings, their exponents, and sampled correlators."""
        zero = np.zeros((6, 1))
        yield exact(
            "N G4_c of the Gauss-net at 0", 3 * (exp(4) - 1), theory.connected_four(theory.Gauss(), zero[:4]), 1e-9
        )
        six = 15 * exp(12) - 45 * exp(4) + 30
        yield exact("N^2 G6_c of the Gauss-net at 0", six, theory.connected_six(theory.Gauss(), zero), 1e-12 * six)
        ratio = theory.connected_four(theory.Relu(), POINTS) / float(POINTS.prod())
        yield exact("N G4_c / (x1 x2 x3 x4) of the ReLU-net", 15 / 4, ratio, 1e-12)
        for at, known in ((0.002, 0.362465), (0.5, 0.381699), (1.0, 0.399796)):
            found = theory.connected_four(theory.Erf(), np.full((4, 1), at))
            yield exact(f"N G4_c of the Erf-net at {at}", known, found, 1e-6)
        yield from _couplings()
        yield from _exponents()
        for name, hidden, width, x in (
            ("ReLU", theory.Relu(), 20, POINTS),
            ("Erf", theory.Erf(), 5, np.array([[0.002], [0.5], [1.0], [1.0]])),
            ("Gauss", theory.Gauss(1.0, 0.1), 20, 0.01 * POINTS),
        ):
            yield from _drawn(name, hidden, width, x)


def _couplings() -> Iterator[Row]:
    """Compare with the closed form in one dimension, the known number in two, and an adaptive integral."""
    for cutoff in CUTOFFS:
        found = theory.quartic_coupling(theory.Relu(), POINTS, 20, cutoff) * cutoff**5
        yield exact(f"lambda Lambda^5 of the ReLU-net, N = 20, d = 1, Lambda = {cutoff:g}", -0.625, found, 1e-9)
    plane = theory.quartic_coupling(theory.Relu(), np.full((4, 2), 0.5), 20, 1e5) * 1e5**6
    yield exact("lambda Lambda^6 of the ReLU-net, N = 20, d = 2", -0.880634, plane, 1e-6)
    erf = theory.Erf()
    box = quad(
        lambda y: float(np.prod([erf.kernel(x, np.array([[y]]))[0] for x in POINTS])), -7, 7, points=[0], limit=200
    )[0]
    expected = -theory.connected_four(erf, POINTS) / (24 * 5 * box)
    found = theory.quartic_coupling(erf, POINTS, 5, 7.0)
    yield exact("lambda of the Erf-net, Lambda = 7, by an adaptive rule", expected, found, 1e-8)


def _exponents() -> Iterator[Row]:
    """Take the power of the cutoff between two large ones."""
    for d in (1, 2, 3):
        x, relu = np.linspace(0.2, 1, 4 * d).reshape(4, d), theory.Relu()
        box = [theory.vertex_integral(relu, x, cutoff, 12) for cutoff in (80.0, 800.0)]
        quantity = f"power of the ReLU-net's lambda, d = {d}"
        yield exact(quantity, relu.scaling_exponent(d), -log(box[1] / box[0]) / log(10), 1e-6)
    for name, hidden, allowed in (("Erf", theory.Erf(), 1e-3), ("Gauss", theory.Gauss(), 1e-9)):
        found = [theory.quartic_coupling(hidden, POINTS, 5, cutoff) for cutoff in (1e5, 1e6)]
        power = log(found[1] / found[0]) / log(10)
        yield exact(f"power of the {name}-net's lambda, d = 1", hidden.scaling_exponent(1), power, allowed)


def _drawn(name: str, hidden: theory.Hidden, width: int, x: np.ndarray) -> Iterator[Row]:
    """Draw networks, and once more hidden units alone: given these the outputs are Gaussian, of a covariance S.

    The connected function is then the sum of cov(S_ij, S_kl) over pairings, with far less noise than that of products
    of outputs.
    """
    generator = torch.Generator().manual_seed(4)
    K = np.array([[hidden.weight_variance * hidden.moment(x[[i, j]]) for j in range(4)] for i in range(4)])
    units = _hidden(name, hidden, width, x, generator)
    a = torch.randn(NETWORKS, width, 1, generator=generator)
    f = ((hidden.weight_variance / width) ** 0.5 * a * units).sum(1).double()
    where = f"{NETWORKS} {name}-nets, N = {width}"
    yield sampled(f"G2 of {where}", K[0, 1], mean_of_parts(list((f[:, 0] * f[:, 1]).chunk(PARTS))))
    S = (hidden.weight_variance / width * units.transpose(1, 2) @ units).double() - torch.from_numpy(K)
    pairs = S[:, 0, 1] * S[:, 2, 3] + S[:, 0, 2] * S[:, 1, 3] + S[:, 0, 3] * S[:, 1, 2]
    found = mean_of_parts(list((width * pairs).chunk(PARTS)))
    yield sampled(f"N G4_c of {where}", theory.connected_four(hidden, x), found)
    if name == "ReLU":
        scale = -(100.0**5) / (24 * width * theory.vertex_integral(hidden, x, 100.0))
        measured = Measurement(scale * found.value, abs(scale) * found.error, "1", PARTS, found.how, PARTS - 1)
        yield sampled(f"lambda Lambda^5 of {where}, Lambda = 100", -0.625, measured)


def _hidden(name: str, hidden: theory.Hidden, width: int, x: np.ndarray, generator: torch.Generator) -> Tensor:
    """Return units [networks, width, inputs] for inputs on a line."""
    w, b = (torch.randn(NETWORKS, width, 1, generator=generator) for _ in range(2))
    s, t, points = hidden.weight_variance, hidden.bias_variance, torch.from_numpy(x[:, 0]).float()
    z = s**0.5 * w * points + t**0.5 * b
    if name == "Gauss":
        return (z - t - s * points.square()).exp()
    return torch.relu(z) if name == "ReLU" else torch.erf(z)
