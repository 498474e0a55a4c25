"""Attractor: irrelevant perturbations of the Gaussian fixed point die, all at the rate of their dimension."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np
import torch

from blockspin.flow import Axis, Direction, Flow
from blockspin.flows.iterate import iterate
from blockspin.geometry import Chain
from blockspin.law import GaussianLaw
from blockspin.registry import member, register
from blockspin.running.attractor import attractor
from blockspin.running.base import Running
from blockspin.tethers.base import Row, Tether, sampled
from blockspin.theory.gaussian_model import wave_numbers

SITES, STEPS = 128, 3
PRECISION = 1e-3


@register
@dataclass(frozen=True)
class AttractorTether(Tether):
    """Coarse-grain exact laws of several strengths of the term k^4, and find the rate at which they come together."""

    name = "attractor"
    system = "Gaussian field of the spectrum 1 / (k^2 + a k^4)"
    source = "wilson1974"
    schemes = ("momentum-shell",)

    def rows(self) -> Iterator[Row]:
        """Yield the rate 2, for a k^4 has two more powers of k than what stays, and the point a = 0."""
        flows = [_described(_perturbed(a)) for a in (0.05, 0.1, 0.2, 0.4)]
        (row,) = attractor(flows, generator=torch.Generator().manual_seed(0)).approaches
        assert row.rate is not None
        assert row.point is not None
        yield sampled("rate at which fields of several a come together, momentum shells", 2.0, row.rate)
        yield sampled("a where they end", 0.0, row.point)


def _perturbed(a: float) -> Flow:
    """Integrate out shells of the exact law."""
    k = wave_numbers(SITES)
    bare = k**2 + a * k**4
    spectrum = np.divide(1.0, bare, out=np.zeros_like(bare), where=bare > 0)
    row = torch.from_numpy(np.fft.ifft(spectrum).real)
    covariance = torch.stack([row.roll(shift) for shift in range(SITES)])
    law = GaussianLaw.of(covariance, Chain(SITES))
    return iterate(law, member("schemes", "momentum-shell")(b=2), generator=torch.Generator(), steps=STEPS)


def _described(flow: Flow) -> Running:
    """Return a at every level, from the two longest waves of its own lattice, as if measured to a precision."""
    values = []
    for scale in flow:
        power = torch.fft.fft(scale.ensemble.covariance[0]).real[1:3].tolist()
        (p, q), ratio = wave_numbers(scale.ensemble.geometry.sites)[1:3] ** 2, power[0] / power[1]
        values.append((q - ratio * p) / (ratio * p**2 - q**2))
    n, C = len(values), torch.eye(len(values), dtype=torch.float64) * PRECISION**2
    lengths = torch.tensor([float(scale.log_length or 0) for scale in flow])
    where = (Axis("momentum-shell", "steps", Direction.COARSENING), flow.labels, torch.arange(n), lengths)
    g = torch.tensor(values, dtype=torch.float64)[:, None]
    return Running(*where, ("a",), ("1",), g, C, inf, (None,) * n, (), "exact, described to a precision")
