"""Effective action: couplings of free fields along a momentum shell, and those that a quartic field was made with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.law import GaussianLaw
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.tethers.swendsen import grouped
from blockspin.theory import gaussian_model as theory

ROUNDING = 1e-9
"""Largest error of couplings of exact laws: rounding times condition numbers of at most a few thousand."""
HOPPING, COUPLING = 0.2, 0.5


@register
@dataclass(frozen=True)
class EffectiveActionTether(Tether):
    """Match the scores of fields whose action is known, on exact laws and on samples."""

    name = "effective-action"
    system = "free fields under a momentum shell, and a quartic field on the square lattice, by score matching"
    source = "hyvarinen2005"
    schemes = ("momentum-shell",)

    def rows(self) -> Iterator[Row]:
        """Yield masses and quartic couplings scale by scale, then the couplings of the quartic field."""
        for shape in ((36,), (12, 12)):
            yield from _shells(shape)
        yield from _sampled_shells()
        yield from _quartic()


def _coarse(law: GaussianLaw, b: int) -> GaussianLaw:
    if b == 1:
        return law
    return law.push(member("schemes", "momentum-shell")(b=b).fit(law, generator=torch.Generator()))


def _shells(shape: tuple[int, ...], mass: float = 0.3) -> Iterator[Row]:
    law = member("sources", "gaussian-field")(shape=shape, mass=mass).law()
    action = member("couplings", "effective-action")
    sites = " x ".join(map(str, shape))
    for b in (1, 2, 3):
        coarse = _coarse(law, b)
        matched = action.on(coarse, operators=("mass", "derivative", "quartic"))
        found = matched.value(matched.sums_of_law(coarse))
        r = float(found["mass"] / found["derivative"])
        yield exact(f"mass over stiffness, {sites} sites, b = {b}", theory.mass_after_shell(mass, b), r, ROUNDING)
        yield exact(f"quartic coupling there, {sites} sites, b = {b}", 0.0, float(found["quartic"]), ROUNDING)
    cumulants = member("couplings", "edgeworth-action").on(law)
    quartic = float(cumulants.value(cumulants.sums_of_law(law))["quartic"])
    yield exact(f"quartic coupling from cumulants, {sites} sites", 0.0, quartic, ROUNDING)


def _sampled_shells(samples: int = 4000, mass: float = 0.3) -> Iterator[Row]:
    generator = torch.Generator().manual_seed(0)
    fine = member("sources", "gaussian-field")(shape=(36,), mass=mass).sample(samples, generator=generator)
    for b in (1, 2, 3):
        scheme = member("schemes", "momentum-shell")(b=b) if b > 1 else None
        field = fine if scheme is None else scheme.fit(fine, generator=generator)(fine)
        fit_half, held_out = field.halves()
        matched = member("couplings", "effective-action").on(fit_half, operators=("mass", "derivative", "quartic"))
        found = grouped(matched, held_out)
        yield sampled(f"quartic coupling of {len(held_out)} samples of a free field, b = {b}", 0.0, found["quartic"])


def _quartic() -> Iterator[Row]:
    source = member("sources", "phi4")(
        shape=(8, 8), hopping=HOPPING, coupling=COUPLING, chains=200, burn_in=40, sweeps=3
    )
    field = source.sample(6000, generator=torch.Generator().manual_seed(0))
    known = {"mass": 2 * (1 - 2 * COUPLING - 4 * HOPPING), "gradient": 2 * HOPPING, "quartic": 24 * COUPLING}
    found = grouped(member("couplings", "effective-action")(field.geometry, operators=tuple(known)), field)
    for name, expected in known.items():
        yield sampled(f"{name} of a quartic field on 8 x 8 sites", expected, found[name])
