"""Deep linear: a linear network of several layers that learns the modes of its target one after another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from blockspin.organisms._training import Course, trained
from blockspin.organisms.base import Organism, Trained
from blockspin.registry import register


@register
@dataclass(frozen=True)
class DeepLinear(Organism):
    """A deep linear network trained on a linear map with a few singular values.

    Layers start balanced and aligned with the map's singular vectors, all modes at strength ``start``. Inputs are
    white, so that the loss is |W_L ... W_1 - M|^2 / 2 exactly, and each mode follows its own equation
    (``theory/deep_linear.py``): strong modes are learned first, at a time of about 1 / strength. Gradient descent
    follows the flow to first order in the learning rate.

    Curves: "mode_0", "mode_1", ... (strength of each mode in the product), "loss", at every step. Scores: the same at
    the end, and "half_learned_0", ...: the first step at which half of a mode is there (-1 if never).

    Args:
        modes: Singular values of the map.
        depth: Number of layers.
        sites: Width of every layer; at least the number of modes.
        start: Strength of every mode in the product at step 0.
        rate: Learning rate: the time of one step.
        steps: Training steps.
    """

    name = "deep-linear"
    source = "saxe2014"
    modes: tuple[float, ...] = (4.0, 2.0, 1.0, 0.5)
    depth: int = 3
    sites: int = 32
    start: float = 1e-3
    rate: float = 0.02
    steps: int = 1500

    def network(self, *, generator: torch.Generator) -> nn.Module:
        """Return the layers, aligned with the singular vectors that are drawn."""
        return self._aligned(generator)[0]

    def train(self, *, generator: torch.Generator) -> Trained:
        """Draw the map, train by gradient descent on its exact loss."""
        net, (into, out) = self._aligned(generator)
        target = out @ torch.diag(torch.tensor(self.modes, dtype=torch.float64)) @ into.T
        white = torch.eye(self.sites, dtype=torch.float64)

        def loss() -> Tensor:
            return 0.5 * (net(white).T - target).square().sum()

        def measure() -> dict[str, float]:
            strengths = (out.T @ net(white).T @ into).diagonal().tolist()
            return {**{f"mode_{i}": u for i, u in enumerate(strengths)}, "loss": float(loss())}

        optimiser = torch.optim.SGD(net.parameters(), lr=self.rate)
        checkpoints, curves = trained(net, optimiser, loss, measure, Course(self.steps, 16, 1))
        scores = {name: curve[self.steps] for name, curve in curves.items()}
        for i, s in enumerate(self.modes):
            reached = (step for step, u in curves[f"mode_{i}"].items() if u >= s / 2)
            scores[f"half_learned_{i}"] = float(min(reached, default=-1))
        held = torch.randn(1000, self.sites, generator=generator)
        return Trained(_single(net), held, "array", {k: _floats(v) for k, v in checkpoints.items()}, scores, curves)

    def _aligned(self, generator: torch.Generator) -> tuple[nn.Sequential, tuple[Tensor, Tensor]]:
        """Return the network in float64, and the singular vectors of the map on its inputs and outputs."""
        drawn = torch.randn(self.depth + 1, self.sites, self.sites, generator=generator, dtype=torch.float64)
        bases = torch.linalg.qr(drawn)[0]
        layers = []
        for before, after in pairwise(bases):
            layer = nn.utils.skip_init(nn.Linear, self.sites, self.sites, bias=False, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.copy_(self.start ** (1 / self.depth) * after @ before.T)
            layers.append(layer)
        shown = len(self.modes)
        return nn.Sequential(*layers), (bases[0][:, :shown], bases[-1][:, :shown])


def _single(net: nn.Module) -> nn.Module:
    return net.to(torch.float32).eval()


def _floats(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to(torch.float32) for name, value in state.items()}
