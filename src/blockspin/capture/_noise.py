"""Find what makes a network's output random, or dependent on the batch, in train mode."""

from __future__ import annotations

from torch import nn

BATCHWISE = nn.modules.batchnorm._BatchNorm
RANDOM = nn.RReLU


def noisy_layer(module: nn.Module) -> str | None:
    """Return the path of the first module in train mode that drops out or normalises by the batch, or None.

    Dropout counts whether it is a module or a number that a module hands to a function ("attention_dropout",
    "drop_prob"), as long as its probability is above zero.
    """
    for name, child in module.named_modules():
        if child.training and (isinstance(child, (BATCHWISE, RANDOM)) or _drops(child)):
            return name
    return None


def _drops(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    return any("drop" in key and isinstance(value, float) and value > 0 for key, value in vars(module).items())
