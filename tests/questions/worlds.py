"""Flows whose kernels are known: features that turn from one set of directions to another."""

import math

import torch
from torch import Tensor

from blockspin import Ensemble, Flow, Scale, Unordered
from blockspin.flow import Axis
from blockspin.flows.depth import depth_flow

WIDTH = 40


class Turning:
    """phi(s) = cos(s) u + sin(s) v for independent Gaussian u, v: a smooth curve of kernels."""

    def __init__(self, samples: int, seed: int):
        self.generator = torch.Generator().manual_seed(seed)
        self.u, self.v = (torch.randn(samples, WIDTH, generator=self.generator) for _ in range(2))
        self.base = Ensemble.of(self.u, units=torch.arange(samples))

    def features(self, s: float) -> Tensor:
        return math.cos(s) * self.u + math.sin(s) * self.v

    def noise(self, width: int = WIDTH) -> Tensor:
        return torch.randn(len(self.u), width, generator=self.generator)

    def ensemble(self, features: Tensor) -> Ensemble:
        return self.base.with_values(features[:, :, None], Unordered(features.shape[1]))

    def flow(self, points: int = 9, end: float = 1.2) -> Flow:
        return depth_flow(
            "network", {f"layer {k}": self.ensemble(self.features(end * k / (points - 1))) for k in range(points)}
        )

    def levels(self, *features: Tensor) -> Flow:
        first = Scale(0, "representation", 0.0, self.ensemble(self.features(1.2)))
        rest = [Scale(k, f"level {k}", 0.0, self.ensemble(f)) for k, f in enumerate(features, 1)]
        return Flow("explicit", Axis("scheme"), (first, *rest))
