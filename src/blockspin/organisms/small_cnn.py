"""Small CNN: a convolutional network on small pictures: made on the spot, Fashion-MNIST, or scikit-learn's digits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from blockspin.errors import ConfigError
from blockspin.organisms._pictures import digits, fashion, has_fashion
from blockspin.organisms._training import Course, drawn, trained
from blockspin.organisms.base import Organism, Trained
from blockspin.registry import register

CLASSES = 10
STRIDE = 4
"""Product of the strides of all layers."""


@register
@dataclass(frozen=True)
class SmallCnn(Organism):
    """Four convolutions with periodic edges, the mean over the picture, and a linear read-out.

    Its known answer is a symmetry: a picture that is shifted around its edges by a multiple of 4 pixels gives the same
    output, to rounding, at every checkpoint. Scores and curves: "accuracy" and "test_loss" (nats) on pictures not
    trained on.

    Args:
        data: "generated": ten smooth random pictures, shifted anywhere and with noise; "fashion-mnist", "digits":
            scikit-learn's; "real": Fashion-MNIST where its files are, the digits otherwise.
        width: Channels of the first layer; the last has four times as many.
        samples: Most pictures (of the digits, all); a fifth is not trained on.
        shown: How many of the others are trained on; 0 for all.
        noise: Deviation of their noise; the pictures have deviation 1.
        steps: Training steps on batches of 64.

    Source:
        lecun1998; xiao2017 for Fashion-MNIST.
    """

    name = "small-cnn"
    source = "lecun1998"
    widths = (4, 6, 8, 12, 16, 24)
    data: str = "generated"
    width: int = 8
    samples: int = 2500
    noise: float = 0.5
    steps: int = 300
    shown: int = 0

    def network(self, *, generator: torch.Generator) -> nn.Module:
        """Return the ReLU network, its weights of variance 2 / fan-in (He)."""
        return drawn(self._layers, generator, gain=2**0.5)

    def train(self, *, generator: torch.Generator) -> Trained:
        """Make or read the pictures, train by Adam."""
        data, (pictures, label) = self._pictures(generator)
        order = torch.randperm(len(label), generator=generator)
        held, shown = order.tensor_split([len(order) // 5])
        shown = shown[: self.shown or None]
        net = self.network(generator=generator)

        def loss() -> Tensor:
            rows = shown[torch.randint(len(shown), (64,), generator=generator)]
            return nn.functional.cross_entropy(net(pictures[rows]), label[rows])

        def measure() -> dict[str, float]:
            out = net(pictures[held])
            right = (out.argmax(1) == label[held]).to(torch.float64).mean()
            return {"accuracy": float(right), "test_loss": float(nn.functional.cross_entropy(out, label[held]))}

        optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
        checkpoints, curves = trained(net, optimiser, loss, measure, Course(self.steps))
        scores = {name: curve[self.steps] for name, curve in curves.items()}
        shown_as = pictures[held].movedim(1, 3)
        return Trained(net.eval(), shown_as, "image", checkpoints, scores, curves, targets=label[held], data=data)

    def _layers(self) -> nn.Module:
        channels = [1, self.width, 2 * self.width, 2 * self.width, 4 * self.width]
        layers: list[nn.Module] = []
        for (inward, outward), stride in zip(pairwise(channels), (2, 1, 2, 1), strict=True):
            conv = nn.Conv2d(inward, outward, 3, stride=stride, padding=1, padding_mode="circular")
            layers += [conv, nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], CLASSES))

    def _pictures(self, generator: torch.Generator) -> tuple[str, tuple[Tensor, Tensor]]:
        """Return what the data are; pictures [n, 1, side, side] and the class of each.

        Raises:
            ConfigError: If there are no such data.
            MissingDependencyError: If they are not installed.
        """
        kind = self.data if self.data != "real" else "fashion-mnist" if has_fashion() else "digits"
        if kind == "fashion-mnist":
            return f"Fashion-MNIST (xiao2017), {self.samples} pictures", fashion(self.samples)
        if kind == "digits":
            return "scikit-learn's digits", digits()
        if kind != "generated":
            raise ConfigError("data", self.data, "generated, fashion-mnist, digits or real.")
        return "smooth random pictures, shifted and with noise", self._generated(generator)

    def _generated(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        templates = _smooth(generator)
        label = torch.randint(CLASSES, (self.samples,), generator=generator)
        offsets = torch.randint(templates.shape[-1], (self.samples, 2), generator=generator).tolist()
        moved = [templates[k].roll((down, right), (0, 1)) for k, (down, right) in zip(label, offsets, strict=True)]
        clean = torch.stack(moved)
        noisy = clean + self.noise * torch.randn(clean.shape, generator=generator)
        return noisy[:, None], label


def _smooth(generator: torch.Generator, side: int = 16, cutoff: float = 3.0) -> Tensor:
    """Return one periodic picture a class, without wavenumbers beyond the cutoff, of mean 0 and deviation 1."""
    noise = torch.fft.fft2(torch.randn(CLASSES, side, side, generator=generator))
    k = torch.fft.fftfreq(side, 1 / side)
    noise[:, (k[:, None].square() + k.square()).sqrt() > cutoff] = 0
    noise[:, 0, 0] = 0
    smooth = torch.fft.ifft2(noise).real
    return smooth / smooth.std(dim=(1, 2), keepdim=True)
