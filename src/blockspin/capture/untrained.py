"""Untrained: a copy of a network as it was before training, the control of every question."""

from __future__ import annotations

import copy

import torch
from torch import nn

from blockspin.capture._weights import entrance
from blockspin.errors import BlockspinError


def untrained_copy(module: nn.Module, seed: int) -> tuple[nn.Module, str]:
    """Return an untrained copy and how it was made: from the model's own config, or by permuting each weight tensor.

    The network given is not touched; nor is the global state of randomness, which library initialisers need and which
    is put back.

    Args:
        module: A network.
        seed: Seed of the draw.
    """
    config = getattr(module, "config", None)
    if config is not None and hasattr(type(module), "from_pretrained"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                fresh = type(module)(copy.deepcopy(config))
            except (TypeError, ValueError, BlockspinError):
                return permuted_copy(module, seed), PERMUTED
        return fresh.to(*entrance(module)).eval(), "drawn from the model's own config"
    return permuted_copy(module, seed), PERMUTED


PERMUTED = "entries permuted within each weight tensor"


def permuted_copy(module: nn.Module, seed: int) -> nn.Module:
    """Return a copy whose parameters have their entries in random order, tensor by tensor."""
    generator = torch.Generator().manual_seed(seed)
    fresh = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in fresh.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.reshape(-1)[order].reshape(parameter.shape))
    return fresh.train(module.training)
