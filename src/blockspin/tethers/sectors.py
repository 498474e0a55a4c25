"""Sectors: two planted networks side by side, independent and coupled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.couplings.sectors import find_sectors
from blockspin.ensemble import Ensemble
from blockspin.geometry import Unordered
from blockspin.law import GaussianLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.tethers.swendsen import grouped

SIZE, INSIDE = 6, 0.35


@register
@dataclass(frozen=True)
class SectorsTether(Tether):
    """Plant two rings of coupled sites, and couple each site to one of the other ring, or not."""

    name = "sectors"
    system = "two Gaussian rings side by side"
    source = "dempster1972"

    def rows(self) -> Iterator[Row]:
        """Yield sectors found and strengths within and across."""
        for across in (0.0, 0.2):
            fit, measured = _drawn(across).halves()
            labels = find_sectors(accumulate(member("couplings", "sectors")().monoid, fit), level=0.001)
            yield exact(f"sectors found (coupling across {across:g})", 1.0 if across else 2.0, max(labels) + 1, 0.0)
            found = grouped(member("couplings", "sectors")((0,) * SIZE + (1,) * SIZE), measured)
            within, cross = found["within"], found["cross"]
            yield sampled(f"strength across (coupling {across:g})", across**2 / SIZE, _entry(cross))
            yield sampled(f"strength within (coupling across {across:g})", 2 * INSIDE**2 / (SIZE - 1), _entry(within))


def _drawn(across: float) -> Ensemble:
    law = GaussianLaw.of(torch.linalg.inv(_precision(across)), Unordered(2 * SIZE))
    return law.sample(4000, generator=torch.Generator().manual_seed(0))


def _precision(across: float) -> Tensor:
    ring = torch.eye(SIZE, dtype=torch.float64)
    ring = ring - INSIDE * (ring.roll(1, 0) + ring.roll(-1, 0))
    between = -across * torch.eye(SIZE, dtype=torch.float64)
    return torch.cat([torch.cat([ring, between], 1), torch.cat([between, ring], 1)])


def _entry(m: Measurement) -> Measurement:
    return Measurement(m.value[0], m.error[0], m.unit, m.n_eff, m.how, m.dof)
