"""Chains: samples of several Markov chains as one ensemble, its units stretches of one chain."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.geometry import Geometry


def chain_ensemble(values: Tensor, geometry: Geometry, samples: int, stretch: int) -> Ensemble:
    """Return the first ``samples`` samples of chains [chains, times, sites] or [..., components], chain after chain.

    Args:
        values: The field of every chain at every time.
        geometry: Its sites.
        samples: How many samples are kept.
        stretch: Samples a unit; the last unit of a chain may be shorter.
    """
    chains, length = values.shape[:2]
    a_chain = -(-length // stretch)
    units = torch.arange(chains)[:, None] * a_chain + torch.arange(length)[None] // stretch
    flat = values.reshape(chains * length, *values.shape[2:])[:samples]
    return Ensemble.of(flat, geometry, units=units.reshape(-1)[:samples], chain=True)
