"""Langevin: a two-layer network, linear or quadratic, whose weights follow Langevin dynamics to their posterior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blockspin.errors import ConfigError
from blockspin.langevin import langevin_step
from blockspin.organisms.base import Checkpoint, Organism, Trained, log_steps
from blockspin.registry import register

INPUTS = {
    "linear": ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 1.0, 1.0, 0.0), (1.0, -1.0, 0.5, 0.0)),
    "quadratic": (
        (0.618984, -0.7751, 0.126804),
        (-0.749577, -0.597593, -0.284634),
        (-0.914149, -0.104961, -0.391554),
        (0.992154, 0.067414, -0.105286),
    ),
}
"""Three inputs to learn from and the one to predict."""
TARGETS = {"linear": (2.0, -1.0, 0.5), "quadratic": (1.2, -1.2, 0.6)}
NOISE = {"linear": 0.1, "quadratic": 0.2}
"""Variance of the noise on the targets, which is the temperature of the loss sum (f - y)^2 / 2."""


class TwoLayers(nn.Module):
    """Many independent networks f = a . phi(w x) at once, in weights of prior variance 1.

    Args:
        activation: "linear", or "quadratic": z^2 / sqrt(3).
        chains: How many networks.
        width: Their hidden units N.
        sites: Dimension of the inputs; w has variance 1 / sites if linear and 1 if quadratic, a has 1 / N.
    """

    def __init__(self, activation: str, chains: int, width: int, sites: int):
        super().__init__()
        self.activation = activation
        self.inner = nn.Parameter(torch.empty(chains, width, sites))
        self.outer = nn.Parameter(torch.empty(chains, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs [inputs, chains]."""
        field = self.inner @ x.T  # [chains, width, inputs]
        hidden = field * x.shape[1] ** -0.5 if self.activation == "linear" else field.square() * 3**-0.5
        return (self.outer[:, None] @ hidden)[:, 0].T * self.outer.shape[1] ** -0.5


@register
@dataclass(frozen=True)
class Langevin(Organism):
    """A network of one hidden layer under Langevin dynamics, in many independent chains.

    Three inputs are learned with noise of known variance, a fourth is predicted. The known answer of the linear network
    is the exact mean over its posterior at finite width, an integral over |a|^2; that of the quadratic network was
    found by importance sampling. Scores, each a mean over chains and over the later half of the steps, with the
    standard error over chains as "..._error": "prediction", and "rescaling", the mean of |a|^2. The size of the steps
    adds an error of first order in it, about size times curvature / 2, where the curvature is of order 1 / noise.

    Curves: "prediction" and "rescaling", means over the chains at checkpoints. Checkpoints hold all chains.

    Args:
        activation: "linear" or "quadratic".
        width: Hidden units.
        chains: Independent networks.
        size: Time of one step; the slowest directions relax in a time of 1.
        steps: Steps.

    Raises:
        ConfigError: If the activation is neither.
    """

    name = "langevin"
    source = "naveh2021"
    activation: str = "linear"
    width: int = 20
    chains: int = 500
    size: float = 0.002
    steps: int = 4000

    def __post_init__(self):
        if self.activation not in INPUTS:
            raise ConfigError("activation", self.activation, " or ".join(INPUTS))

    def network(self, *, generator: torch.Generator) -> TwoLayers:
        """Return the chains at weights drawn from their prior."""
        net = TwoLayers(self.activation, self.chains, self.width, len(INPUTS[self.activation][0]))
        with torch.no_grad():
            for weight in net.parameters():
                weight.normal_(generator=generator)
        return net

    def train(self, *, generator: torch.Generator) -> Trained:
        """Run the chains from their prior."""
        net = self.network(generator=generator)
        points, y = torch.tensor(INPUTS[self.activation]), torch.tensor(TARGETS[self.activation])
        saved, checkpoints = log_steps(self.steps, 10), dict[int, Checkpoint]()
        sums = torch.zeros(2, self.chains, dtype=torch.float64)
        curves: dict[str, dict[int, float]] = {"prediction": {}, "rescaling": {}}
        for step in range(self.steps + 1):
            out = net(points)
            now = torch.stack([out[3], net.outer.square().mean(1)]).detach().to(torch.float64)
            if step in saved:
                checkpoints[step] = {name: value.detach().clone() for name, value in net.state_dict().items()}
                for name, row in zip(curves, now, strict=True):
                    curves[name][step] = float(row.mean())
            if step > self.steps // 2:
                sums += now
            if step < self.steps:
                self._step(net, (out[:3] - y[:, None]).square().sum() / 2, generator)
        means = sums / (self.steps - self.steps // 2)
        scores: dict[str, float] = {}
        for name, row in zip(curves, means, strict=True):
            scores |= {name: float(row.mean()), f"{name}_error": float(row.std() / self.chains**0.5)}
        return Trained(net.eval(), points, "array", checkpoints, scores, curves)

    def _step(self, net: TwoLayers, loss: Tensor, generator: torch.Generator) -> None:
        """Move all weights by one step; the chains' losses add up, and each weight is in one of them."""
        weights = list(net.parameters())
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                force = slope / NOISE[self.activation] + weight
                weight.copy_(langevin_step(weight, force, size=self.size, generator=generator))
