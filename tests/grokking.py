"""Modular addition that is first learned by heart and then understood: the organism, and the step at which it is."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from blockspin.organisms.base import Trained
from blockspin.registry import member


@cache
def train() -> Trained:
    """Train it as a run of seed 0 on builtin:modular-addition does."""
    return member("organisms", "modular-addition")().train(generator=torch.Generator().manual_seed(0))


def drop() -> float:
    """Return the step at which the held-out loss has fallen halfway from its largest to its smallest value."""
    curve = train().curves["test_loss"]
    steps, losses = (np.array(list(row), float) for row in (curve, curve.values()))
    top = int(losses.argmax())
    return float(np.interp(-(losses[top] + losses.min()) / 2, -losses[top:], steps[top:]))
