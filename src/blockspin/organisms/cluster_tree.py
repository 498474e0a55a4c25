"""Cluster tree: a multilayer perceptron that sorts points drawn from a tree of Gaussian clusters."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from blockspin.organisms._training import Course, drawn, trained
from blockspin.organisms.base import Organism, Trained
from blockspin.registry import register


@register
@dataclass(frozen=True)
class ClusterTree(Organism):
    """A ReLU network that tells the leaves of a tree of Gaussian clusters apart.

    Each point is the sum of its ancestors' centres, one a level of a binary tree, and of noise. The centres are smaller
    from level to level, so that the data have as many scales as the tree has levels, and the number of clusters at each
    scale is known: 2, 4, 8. Its score is the "accuracy" on data not trained on; its curves, "train_loss" and
    "test_loss" (nats), fall together, so that it serves as a training without a late transition.

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
    widths = (12, 16, 24, 32, 48, 64, 96)
    levels: int = 3
    sites: int = 64
    width: int = 96
    depth: int = 4
    samples: int = 2000
    steps: int = 300

    def network(self, *, generator: torch.Generator) -> nn.Module:
        """Return the ReLU network, its weights of variance 2 / fan-in (He) and its biases 0."""
        sizes = [self.sites, *[self.width] * self.depth, 2**self.levels]
        return drawn(lambda: _mlp(sizes), generator, gain=2**0.5)

    def train(self, *, generator: torch.Generator) -> Trained:
        """Draw the tree and the points, train by Adam on batches of 128."""
        points, leaf = self._points(generator)
        train, held = slice(0, self.samples), slice(self.samples, None)
        net = self.network(generator=generator)

        def loss() -> Tensor:
            rows = torch.randint(self.samples, (128,), generator=generator)
            return nn.functional.cross_entropy(net(points[train][rows]), leaf[train][rows])

        def measure() -> dict[str, float]:
            out = {"train": net(points[train]), "test": net(points[held])}
            losses = {
                f"{part}_loss": nn.functional.cross_entropy(out[part], leaf[rows])
                for part, rows in (("train", train), ("test", held))
            }
            right = (out["test"].argmax(1) == leaf[held]).to(torch.float64).mean()
            return {"accuracy": float(right), **{key: float(value) for key, value in losses.items()}}

        optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
        checkpoints, curves = trained(net, optimiser, loss, measure, Course(self.steps, 8, max(self.steps // 30, 1)))
        scores = {"accuracy": curves["accuracy"][self.steps]}
        return Trained(net.eval(), points[held], "array", checkpoints, scores, curves, targets=leaf[held])

    def _points(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        leaf = torch.randint(2**self.levels, (2 * self.samples,), generator=generator)
        points = 0.4 * torch.randn(2 * self.samples, self.sites, generator=generator)
        for level in range(1, self.levels + 1):
            centre = torch.randn(2**level, self.sites, generator=generator) / level
            points += centre[leaf >> (self.levels - level)]
        return points, leaf


def _mlp(sizes: list[int]) -> nn.Sequential:
    """Return the layers of a ReLU network."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
