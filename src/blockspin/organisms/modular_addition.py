"""Modular addition: a quadratic network that first memorizes a table of sums and then, much later, computes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blockspin.organisms._training import Course, drawn, flushed_denormals, trained
from blockspin.organisms.base import Organism, Trained
from blockspin.registry import register


class Square(nn.Module):
    """The activation z^2."""

    def forward(self, z: Tensor) -> Tensor:
        """Return the squares."""
        return z.square()


@register
@dataclass(frozen=True)
class ModularAddition(Organism):
    r"""A network of one quadratic hidden layer that learns (a + b) mod p from part of all pairs.

    The known answer is the end: every hidden unit that is used holds one Fourier mode of a, and the same of b. With the
    defaults all training pairs are right by step 40 or so and the others around step 300. Other courses:
    ``decay=0.2`` is right on the others only after a thousand steps; ``p=31, fraction=0.4, rate=0.002, decay=0.5``
    is never in 4,000 steps (a control that memorizes alone).

    Scores and curves: "train_accuracy" and "test_accuracy", "train_loss" and "test_loss" (squared error per output),
    "fourier_concentration" and "live_units", see ``fourier_concentration``.

    Args:
        p: Modulus: odd.
        width: Hidden units.
        fraction: Part of the p^2 pairs that is trained on.
        rate: Learning rate of AdamW.
        decay: Its weight decay.
        steps: Training steps on the full batch.
    """

    name = "modular-addition"
    source = "gromov2023"
    p: int = 23
    width: int = 256
    fraction: float = 0.6
    rate: float = 0.005
    decay: float = 1.0
    steps: int = 2000

    def network(self, *, generator: torch.Generator) -> nn.Module:
        """Return the network [2 p, width, p] without biases, its weights of variance 1 / (3 fan-in)."""
        return drawn(self._layers, generator, gain=3**-0.5)

    def train(self, *, generator: torch.Generator) -> Trained:
        """Draw the pairs to train on, minimize the squared error to the one-hot sum."""
        a, b = torch.cartesian_prod(torch.arange(self.p), torch.arange(self.p)).T
        pairs = nn.functional.one_hot(torch.stack([a, b], 1), self.p).flatten(1).to(torch.float32)
        sums = (a + b) % self.p
        target = nn.functional.one_hot(sums, self.p).to(torch.float32)
        order = torch.randperm(len(sums), generator=generator)
        shown, held = order.tensor_split([int(self.fraction * len(sums))])
        net = self.network(generator=generator)
        x, y = pairs[shown], target[shown]

        def measure() -> dict[str, float]:
            out = net(pairs)
            error, right = (out - target).square().mean(1), (out.argmax(1) == sums).to(torch.float64)
            rows = {"train": shown, "test": held}
            concentration, live = fourier_concentration(net[0].weight[:, : self.p])  # type: ignore[index]
            return {
                **{f"{part}_accuracy": float(right[index].mean()) for part, index in rows.items()},
                **{f"{part}_loss": float(error[index].mean()) for part, index in rows.items()},
                "fourier_concentration": concentration,
                "live_units": float(live),
            }

        optimiser = torch.optim.AdamW(net.parameters(), lr=self.rate, weight_decay=self.decay, betas=(0.9, 0.98))
        with flushed_denormals():
            checkpoints, curves = trained(
                net, optimiser, lambda: nn.functional.mse_loss(net(x), y), measure, Course(self.steps, 24, 20)
            )
        scores = {name: curve[self.steps] for name, curve in curves.items()}
        return Trained(net.eval(), pairs[held], "array", checkpoints, scores, curves, targets=sums[held])

    def _layers(self) -> nn.Module:
        first, last = nn.Linear(2 * self.p, self.width, bias=False), nn.Linear(self.width, self.p, bias=False)
        return nn.Sequential(first, Square(), last)


def fourier_concentration(weights: Tensor, floor: float = 1e-3) -> tuple[float, int]:
    r"""Return the mean share of a unit's power that is in its strongest Fourier mode, and the number of live units.

    It is 1 where every unit is one cosine. Weights that are independent Gaussians have H_n / n on average, with
    n = (p - 1) / 2 modes and H_n = 1 + 1/2 + ... + 1/n.

    Args:
        weights: Weights [units, p] of one of the two numbers, p odd. The constant mode is left out.
        floor: A unit whose power is less than this share of the strongest unit's is dead: it has no share, and is left
            out. NaN where all are.
    """
    power = torch.fft.rfft(weights.detach().to(torch.float64), dim=1).abs()[:, 1:].square()
    total = power.sum(1)
    live = total > floor * total.max()
    share = power[live].amax(1) / total[live]
    return (float(share.mean()) if len(share) else float("nan")), int(live.sum())
