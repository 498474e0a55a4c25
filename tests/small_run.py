"""A small network and its data for whole runs that take a second: importable as ``small_run:make``."""

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
