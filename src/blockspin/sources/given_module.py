"""Given module: a torch module that is in memory already."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.registry import register
from blockspin.sources.base import Loaded, ModuleSource


@register
@dataclass(frozen=True, eq=False)
class GivenModule(ModuleSource):
    """A network that is in memory already; it is sent to worker processes as it is.

    Args:
        module: The network.
        tokenizer: Its tokenizer, for networks that read text.
    """

    name = "given-module"
    source = ""
    module: torch.nn.Module
    tokenizer: object = None

    def load(self) -> Loaded:
        """Return it."""
        return Loaded(self.module, self.tokenizer)
