"""Random MLP: an untrained tanh network at a chosen variance of its weights, on either side of the order-chaos line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from blockspin.organisms._training import drawn
from blockspin.organisms.base import Organism, Trained
from blockspin.registry import register


@register
@dataclass(frozen=True)
class RandomMlp(Organism):
    """A wide tanh network as it is drawn; an ensemble is many generators.

    Its known answer is the mean field of infinite width: ``chi`` below 1 is order (inputs merge with depth), above 1
    chaos. At sigma_b = 0.3 the line lies between sigma_w = 1.3 and 1.6. Scores, at the last layer: "q" (mean square of
    the preactivations), "chi" (sigma_w^2 times the mean of tanh'^2), "correlation" (mean cosine of the preactivations
    of pairs of inputs whose cosine was ``overlap``). Of finite width they differ from the mean field by about 1 / width
    on average, and by 1 / sqrt(width) in each network.

    Args:
        sigma_w: Deviation of the weights times the square root of the fan-in.
        sigma_b: Deviation of the biases.
        width: Width of inputs and layers.
        depth: Number of layers.
        overlap: Cosine of paired inputs: record i and record i + samples / 2.
        samples: Inputs, an even number; Gaussian, of mean square 1.
    """

    name = "random-mlp"
    source = "poole2016"
    sigma_w: float = 1.5
    sigma_b: float = 0.3
    width: int = 300
    depth: int = 30
    overlap: float = 0.9
    samples: int = 200

    def network(self, *, generator: torch.Generator) -> nn.Sequential:
        """Draw the network: linear and tanh in turn."""
        net = drawn(self._layers, generator, gain=self.sigma_w)
        with torch.no_grad():
            for name, bias in net.named_parameters():
                if name.endswith("bias"):
                    bias.copy_(self.sigma_b * torch.randn(bias.shape, generator=generator))
        assert isinstance(net, nn.Sequential)
        return net

    def train(self, *, generator: torch.Generator) -> Trained:
        """Draw the network and its inputs, measure; nothing is trained, and the only checkpoint is that of step 0."""
        net = self.network(generator=generator).eval()
        first, other = torch.randn(2, self.samples // 2, self.width, generator=generator)
        inputs = torch.cat([first, self.overlap * first + (1 - self.overlap**2) ** 0.5 * other])
        with torch.no_grad():
            fields = net[:-1](inputs)
        one, two = fields.tensor_split(2)
        scores = {
            "q": fields.square().mean(),
            "chi": self.sigma_w**2 * (1 - fields.tanh().square()).square().mean(),
            "correlation": nn.functional.cosine_similarity(one, two, dim=1).mean(),
        }
        state = {name: value.clone() for name, value in net.state_dict().items()}
        return Trained(net, inputs, "array", {0: state}, {name: float(value) for name, value in scores.items()})

    def _layers(self) -> nn.Sequential:
        layers: list[nn.Module] = []
        for _ in range(self.depth):
            layers += [nn.Linear(self.width, self.width), nn.Tanh()]
        return nn.Sequential(*layers)
