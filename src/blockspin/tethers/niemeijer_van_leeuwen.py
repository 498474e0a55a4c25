"""Niemeijer-van Leeuwen: majority of weakly joined triangles of spins, enumerated, against the first cumulant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import torch
from torch import Tensor

from blockspin.geometry import Chain
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import niemeijer_van_leeuwen as theory

WEAK = 1e-3
"""Strength of the bonds between blocks, relative to K: the answer is read off as it goes to zero."""
FIRST_ORDER = 1e-10
"""What is left of higher orders after two strengths are extrapolated, and of rounding over ``WEAK``."""


@register
@dataclass(frozen=True)
class NiemeijerVanLeeuwenTether(Tether):
    """Let triangles of spins vote in exact laws and read off the couplings to first order between triangles."""

    name = "niemeijer-van-leeuwen"
    system = "Ising model on the triangular lattice, blocks of three, first cumulant"
    source = "niemeijer1973"
    schemes = ("majority-rule",)

    def rows(self) -> Iterator[Row]:
        """Yield bonds between blocks, couplings, the critical point and exponents."""
        yield exact("bonds between neighbouring blocks", 2.0, float(_bonds_between_blocks()), 0.0)
        for K in (0.1, 0.3, 0.6):
            yield exact(
                f"K' to first order (K = {K})", theory.renormalised_coupling(K), _coupling(K), FIRST_ORDER, "k_B T"
            )
            field = theory.renormalised_field(1.0, K)
            yield exact(f"dh'/dh to first order (K = {K})", field, _field(K), FIRST_ORDER)
        low, high = 0.1, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if _coupling(middle) < middle else (low, middle)
        K, step = (low + high) / 2, 1e-2
        slopes = [(_coupling(K + s) - _coupling(K - s)) / (2 * s) for s in (step, 2 * step)]
        slope = (4 * slopes[0] - slopes[1]) / 3
        known = theory.first_cumulant()
        yield exact("K* by enumeration", known.coupling, K, 1e-7, "k_B T")
        yield exact("y_t by enumeration", known.thermal_exponent, log(slope) / log(theory.RATIO), 1e-6)
        yield exact("y_h by enumeration", known.field_exponent, log(_field(K)) / log(theory.RATIO), 1e-6)
        yield exact("K* as published", 0.3356, known.coupling, 5e-5, "k_B T")
        yield exact("y_t to seven digits of an independent script", 0.8822026, known.thermal_exponent, 1e-7)
        yield exact("y_h to seven digits of an independent script", 1.3690702, known.field_exponent, 1e-7)


def _coupled(K: float, between: float) -> EnumeratedLaw:
    """Return two triangles of spins, the last spin of the first one joined to two of the second."""

    def log_weight(s: Tensor) -> Tensor:
        inside = sum(s[:, i] * s[:, j] for i, j in ((0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)))
        return K * inside + between * s[:, 2] * (s[:, 3] + s[:, 4])

    return enumerate_law(Chain(6), (-1.0, 1.0), log_weight)


def _voted(law: EnumeratedLaw) -> EnumeratedLaw:
    return law.push(member("schemes", "majority-rule")(b=3).fit(law, generator=torch.Generator()))


def _coupling(K: float) -> float:
    """Return K' per strength of the bonds between blocks, times K; odd in the strength, so that two suffice."""

    def response(strength: float) -> float:
        down_down, down_up, up_down, up_up = _voted(_coupled(K, strength * K)).weights.log().tolist()
        return (up_up + down_down - up_down - down_up) / 4 / strength

    return (4 * response(WEAK) - response(2 * WEAK)) / 3


def _field(K: float) -> float:
    """Return dh'/dh of one triangle in a small field."""

    def response(h: float) -> float:
        def log_weight(s: Tensor) -> Tensor:
            return K * (s[:, 0] * s[:, 1] + s[:, 1] * s[:, 2] + s[:, 0] * s[:, 2]) + h * s.sum(1)

        down, up = _voted(enumerate_law(Chain(3), (-1.0, 1.0), log_weight)).weights.log().tolist()
        return (up - down) / 2 / h

    return (4 * response(WEAK) - response(2 * WEAK)) / 3


def _bonds_between_blocks() -> int:
    """Count the bonds that join a block of the triangular lattice to a neighbouring one, from positions in the plane.

    Sites are integer combinations of two unit vectors at 60 degrees; blocks of three tile the lattice at the
    combinations of (1, 1) and (2, -1), which are sqrt(3) long.
    """
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.5, sqrt(3) / 2])
    cell = torch.tensor([[0, 0], [1, 0], [0, 1]])
    counts = set()
    for shift in ((1, 1), (2, -1), (1, -2)):
        other = cell + torch.tensor(shift)
        here, there = (c[:, :1] * first + c[:, 1:] * second for c in (cell, other))
        counts.add(int((torch.cdist(here, there) < 1.01).sum()))
    (count,) = counts  # the same in every direction
    return count
