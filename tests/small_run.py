"""A small network and its data for whole runs that take a second: importable as ``small_run:make``."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from blockspin.config import RunConfig


def make() -> nn.Module:
    """Three layers of fixed weights."""
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 8))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return module.eval()


def of_width(width: int) -> nn.Module:
    """Three outputs, drawn alike at every width, the wider the nearer to one fixed network."""
    generator = torch.Generator().manual_seed(width)
    inward, outward = torch.randn(8, width, generator=generator), torch.randn(width, 3, generator=generator)
    module = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, 3)).eval()
    with torch.no_grad():
        for layer, weight in ((module[0], inward), (module[2], outward)):
            layer.weight.copy_(weight.T / 3)
            layer.bias.zero_()
    return module


WIDTHS = (4, 6, 8, 12, 16, 24)
width_4, width_6, width_8, width_12, width_16, width_24 = (partial(of_width, width) for width in WIDTHS)


def config(folder: Path, **more) -> RunConfig:
    """Return a configuration of 120 records that are written into a folder."""
    data = folder / "points.npy"
    if not data.exists():
        np.save(data, np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32))
    given = {"model": "small_run:make", "data": str(data), "groups": 4, "shard_size": 9, "executor": "serial"}
    return RunConfig().with_options({**given, "samples": 120, "kernel_samples": 60, "steps": 2, **more})


def bare(folder: Path, **more) -> RunConfig:
    """Return the same without couplings, which take a third of the time: for what is not about them."""
    return config(folder, couplings=("off",), **more)


class Words(nn.Module):
    """A vector of its own for each of 32 tokens, and a linear map: what it makes of a word is the same everywhere."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(32, 8), nn.Linear(8, 8)

    def forward(self, input_ids, attention_mask):
        return self.out(self.embed(input_ids))


def words():
    """Return the network of words of fixed weights, and its tokenizer."""
    from capture.networks import Letters

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Words().eval(), Letters()


class SideBySide(nn.Module):
    """Two linear maps and tanh: each of half of what goes in, with a share of the other half where they are coupled."""

    def __init__(self, width: int, seed: int, share: float):
        super().__init__()
        half, generator = width // 2, torch.Generator().manual_seed(seed)
        weight = torch.randn(width, width, generator=generator) / half**0.5
        weight[:half, half:] *= share
        weight[half:, :half] *= share
        self.map = nn.Linear(width, width, bias=False)
        self.map.weight = nn.Parameter(weight)

    def forward(self, x):
        return torch.tanh(self.map(x))


def side_by_side(share: float = 0.0) -> nn.Module:
    """Two random networks of three layers in one module, of independent halves of the input."""
    return nn.Sequential(*(SideBySide(8, seed, share) for seed in range(3))).eval()


coupled_side_by_side = partial(side_by_side, 0.2)
