"""Lazy training: networks of growing width trained by gradient descent approach the tangent kernel's prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory.dual_activation import Erf
from blockspin.theory.lazy_training import descended
from blockspin.theory.nngp import Network, kernels

WIDTHS, NETWORKS, TRAINED, TESTED, DIMENSION = (128, 256, 512, 1024, 2048), 60, 12, 8, 4
VARIANCE, RATE, STEPS = 1.5, 0.1, 150


@register
@dataclass(frozen=True)
class LazyTrainingTether(Tether):
    """Train networks of one hidden layer from many starts, and compare their change with that of the kernel."""

    name = "lazy-training"
    system = "networks of finite width trained by gradient descent"
    source = "lee2020"
    fast = False
    minutes = 0.3

    def rows(self) -> Iterator[Row]:
        """Yield the prediction by explicit steps, and the power with which networks approach it."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(TRAINED + TESTED, DIMENSION, generator=generator, dtype=torch.float64)
        y = torch.sin(x[:TRAINED, 0] + x[:TRAINED, 1])
        tangent = kernels(Network(1, Erf(), VARIANCE), x).tangent[:, :TRAINED]
        expected = descended(tangent, y, RATE, STEPS)
        f = torch.zeros(len(x), dtype=x.dtype)
        for _ in range(STEPS):
            f = f - RATE * tangent @ (f[:TRAINED] - y)
        gap = float((f - expected).abs().max())
        yield exact("prediction against explicit steps of the kernel, largest difference", 0.0, gap, 1e-10)
        errors = {n: (_trained(x, y, n, generator) - expected).square().mean(1) for n in WIDTHS}
        yield sampled("power of the width in the squared distance from the prediction", -1.0, _power(errors))


def _trained(x: Tensor, y: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """Return what training adds to the outputs of independent networks [networks, inputs].

    Each network fits the target on top of its own initial outputs.
    """
    W = torch.randn(NETWORKS, DIMENSION, width, generator=generator, dtype=x.dtype).requires_grad_()
    a = torch.randn(NETWORKS, width, generator=generator, dtype=x.dtype).requires_grad_()

    def outputs() -> Tensor:
        h = torch.erf((VARIANCE / DIMENSION) ** 0.5 * x @ W)
        return (VARIANCE / width) ** 0.5 * (h @ a[:, :, None])[..., 0]

    start = outputs().detach()
    for _ in range(STEPS):
        loss = (outputs() - start)[:, :TRAINED].sub(y).square().sum() / 2
        for parameter, slope in zip((W, a), torch.autograd.grad(loss, (W, a)), strict=True):
            parameter.data -= RATE * slope
    return outputs().detach() - start


def _power(errors: dict[int, Tensor]) -> Measurement:
    """Fit a power to the mean errors; its error from leaving out a tenth of the networks in turn."""

    def fitted(kept: Tensor) -> float:
        means = [float(e[kept].mean()) for e in errors.values()]
        return float(np.polyfit(np.log(list(errors)), np.log(means), 1)[0])

    group, parts = torch.arange(NETWORKS) % 10, 10
    without = np.array([fitted(group != g) for g in range(parts)])
    error = float(np.sqrt((parts - 1) / parts * np.square(without - without.mean()).sum()))
    whole = fitted(group >= 0)
    return Measurement(whole, error, "1", NETWORKS, f"jackknife over {parts} groups of networks", parts - 1)
