"""Modular addition learned by a small network, with its checkpoints: importable as ``grokking:make``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

P, WIDTH = 23, 256
STEPS = (0, 10, 20, 30, 50, 70, 100, 140, 200, 280, 400, 560, 800, 1130, 1600)


class Square(nn.Module):
    """x -> x^2."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


def make() -> nn.Module:
    """Two layers with a square between them; untrained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2 * P, WIDTH, bias=False), Square(), nn.Linear(WIDTH, P, bias=False)).eval()


@dataclass(frozen=True)
class Training:
    """Pairs that were held out, their sums, the loss on them, and the weights, at some steps."""

    x: Tensor
    y: Tensor
    losses: dict[int, float]
    states: dict[int, dict[str, Tensor]]

    def save(self, folder: Path) -> None:
        """Write the held-out pairs and the checkpoints."""
        np.savez(folder / "pairs.npz", x=self.x.numpy(), y=self.y[:, None].float().numpy())
        (folder / "steps").mkdir()
        for step, state in self.states.items():
            save_file(state, folder / "steps" / f"step-{step}.safetensors")

    @property
    def drop(self) -> float:
        """The step at which the held-out loss has fallen halfway from its largest to its smallest value."""
        steps, losses = (np.array(list(row), float) for row in (self.losses, self.losses.values()))
        after, top = steps > 0, int(losses.argmax())
        half = (losses[top] + losses.min()) / 2
        k = next(k for k in range(top, len(steps)) if losses[k] < half and after[k])
        share = (losses[k - 1] - half) / (losses[k - 1] - losses[k])
        return float(steps[k - 1] + share * (steps[k] - steps[k - 1]))


def train(steps: tuple[int, ...] = STEPS) -> Training:
    """Train on six tenths of all pairs by AdamW with strong weight decay, whole batches."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    x, y = functional.one_hot(pairs, P).flatten(1).float(), pairs.sum(1) % P
    order = torch.randperm(P * P, generator=generator)
    shown, held = order[: int(0.6 * P * P)], order[int(0.6 * P * P) :]
    aim, module = functional.one_hot(y, P).float(), make()
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-2, weight_decay=1.0, betas=(0.9, 0.98))
    losses, states = {}, {}
    for step in range(max(steps) + 1):
        if step in steps:
            with torch.no_grad():
                losses[step] = float(functional.mse_loss(module(x[held]), aim[held]))
            states[step] = {name: value.clone() for name, value in module.state_dict().items()}
        optimiser.zero_grad()
        functional.mse_loss(module(x[shown]), aim[shown]).backward()
        optimiser.step()
    return Training(x[held], y[held], losses, states)
