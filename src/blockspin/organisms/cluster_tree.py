"""Cluster tree: a multilayer perceptron that sorts points drawn from a tree of Gaussian clusters."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from blockspin.organisms.base import Organism, Trained, log_steps
from blockspin.registry import register


@register
@dataclass(frozen=True)
class ClusterTree(Organism):
    """A ReLU network that tells the leaves of a tree of Gaussian clusters apart.

    Each point is the sum of its ancestors' centres, one a level of a binary tree, and of noise. The centres are smaller
    from level to level, so that the data have as many scales as the tree has levels, and the number of clusters at each
    scale is known: 2, 4, 8.

    Args:
        levels: Levels of the tree below its root.
        sites: Dimension of the points.
        width: Width of the hidden layers.
        depth: Number of hidden layers.
        samples: Points to train on, and as many again that are kept for reading the network.
        steps: Training steps.
    """

    name = "cluster-tree"
    source = "dyson1969"
    levels: int = 3
    sites: int = 64
    width: int = 96
    depth: int = 4
    samples: int = 2000
    steps: int = 300

    def train(self, *, generator: torch.Generator) -> Trained:
        """Draw the tree and the points, train by Adam on batches of 128."""
        points, leaf = self._points(generator)
        train, held = slice(0, self.samples), slice(self.samples, None)
        net = _mlp([self.sites, *[self.width] * self.depth, 2**self.levels], generator)
        optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
        saved, checkpoints = log_steps(self.steps, 8), {}
        for step in range(self.steps + 1):
            if step in saved:
                checkpoints[step] = {key: value.clone() for key, value in net.state_dict().items()}
            rows = torch.randint(self.samples, (128,), generator=generator)
            loss = nn.functional.cross_entropy(net(points[train][rows]), leaf[train][rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        net.load_state_dict(checkpoints[self.steps])
        with torch.no_grad():
            accuracy = float((net(points[held]).argmax(1) == leaf[held]).to(torch.float64).mean())
        return Trained(net.eval(), points[held], "array", checkpoints, {"accuracy": accuracy})

    def _points(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        leaf = torch.randint(2**self.levels, (2 * self.samples,), generator=generator)
        points = 0.4 * torch.randn(2 * self.samples, self.sites, generator=generator)
        for level in range(1, self.levels + 1):
            centre = torch.randn(2**level, self.sites, generator=generator) / level
            points += centre[leaf >> (self.levels - level)]
        return points, leaf


def _mlp(sizes: list[int], generator: torch.Generator) -> nn.Sequential:
    """Return a ReLU network with weights of variance 2 / fan-in (He) and no bias at the start."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(fan_out, fan_in, generator=generator) * (2 / fan_in) ** 0.5)
            linear.bias.zero_()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
