"""Ising collapse: the critical point of the square lattice from cumulants of several sizes, by bracket and collapse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from blockspin.flow import Axis
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.running.base import Running
from blockspin.running.bracket import bracket
from blockspin.running.data_collapse import Curve, collapse
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.tethers.swendsen import grouped
from blockspin.theory.kaufman import CRITICAL_COUPLING

SIZES = (8, 16, 32)
COUPLINGS = tuple(float(K) for K in np.linspace(0.424, 0.456, 9))


@register
@dataclass(frozen=True)
class IsingCollapseTether(Tether):
    """Sample three sizes at nine couplings; U4 neither grows nor falls with size at the critical one."""

    name = "ising-collapse"
    system = "cumulants of the Ising model on square lattices of three sizes"
    source = "binder1981"
    fast: ClassVar[bool] = False
    minutes: ClassVar[float] = 1.5

    def rows(self) -> Iterator[Row]:
        """Yield the bracket from the two larger sizes, and K_c and nu by collapse."""
        U = {L: [binder(L, K) for K in COUPLINGS] for L in SIZES}
        runs = {L: _running(U[L]) for L in SIZES}
        found = bracket(runs[32], runs[16], "binder")
        inside = found.low <= CRITICAL_COUPLING <= found.high
        yield exact("whether 32 and 16 bracket Onsager's coupling", 1, inside, 0)
        yield sampled("K at which U4 of 32 and 16 cross", CRITICAL_COUPLING, found.crossing)
        curves = {
            float(L): Curve(np.array(COUPLINGS), *(np.array([getattr(m, a) for m in U[L]]) for a in ("value", "error")))
            for L in SIZES
        }
        start = (0.44, 1.0, 0.0)
        scaled = collapse(curves, start, generator=torch.Generator().manual_seed(0), fixed=("zeta",))
        yield sampled("K_c by collapse of U4, sizes 8 to 32", CRITICAL_COUPLING, scaled.critical)
        yield sampled("nu by collapse of U4, sizes 8 to 32", 1.0, scaled.nu)


def binder(side: int, coupling: float, samples: int = 5000) -> Measurement:
    """Return U4 of a square lattice."""
    generator = torch.Generator().manual_seed(side * 1000 + round(1000 * coupling))
    spins = member("sources", "ising-square")(side=side, coupling=coupling).sample(samples, generator=generator)
    return grouped(member("observables", "binder")(), spins)["binder"]


def _running(U: list[Measurement]) -> Running:
    n = len(U)
    where = (Axis("coupling", "k_B T"), tuple(f"{K:.3f}" for K in COUPLINGS), torch.tensor(COUPLINGS))
    values = torch.tensor([[m.value] for m in U], dtype=torch.float64)
    C = torch.diag(torch.tensor([m.error for m in U], dtype=torch.float64) ** 2)
    lengths = torch.full((n,), torch.nan)
    return Running(*where, lengths, ("binder",), ("1",), values, C, U[0].dof, (None,) * n, (), "independent runs")
