"""Random numbers of sources: NumPy's generator from torch's, and the fixed draw of a quenched structure."""

from __future__ import annotations

import numpy as np
import torch


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Return NumPy's generator seeded from the next number of torch's."""
    return np.random.Generator(np.random.PCG64(int(torch.randint(2**62, (), generator=generator))))


def instance_generator(instance: int) -> torch.Generator:
    """Return the generator of what is drawn once and then kept: couplings, rules, a dictionary.

    The same number gives the same structure whatever samples are drawn, so that samples of two calls are of one system.
    """
    return torch.Generator().manual_seed(instance)
