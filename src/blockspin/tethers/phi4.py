"""Phi4: sampled fields against the transfer operator on a ring, the free field, and integration by parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.flows.iterate import iterate
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.running.assembled import running_of_flow
from blockspin.tethers._means import mean_over_units
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import phi4 as theory


@register
@dataclass(frozen=True)
class Phi4Tether(Tether):
    """Sample rings and a torus by clusters and single sites; identities hold for every coupling."""

    name = "phi4"
    system = "lattice field with a quartic action"
    source = "brower1989"
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield moments of rings, of the free torus, the identity <phi dS/dphi> = 1, and to which sink blocks flow."""
        for hopping, coupling in ((0.3, 0.5), (0.4, 20.0)):
            moments = theory.ring_moments(8, hopping, coupling)
            yield from _moments((8,), hopping, coupling, moments)
            one = theory.schwinger_dyson(**moments, dimension=1, hopping=hopping, coupling=coupling)
            yield exact(f"<phi dS/dphi>, transfer operator of 8 sites (lambda = {coupling})", 1.0, one, 1e-10)
        variance, bond = theory.free_moments((12, 12), 0.22)
        yield from _moments((12, 12), 0.22, 0.0, {"phi2": variance, "bond": bond})
        for hopping, coupling in ((0.3, 0.5), (0.22, 5.0)):
            ensemble, numbers = _sampled((12, 12), hopping, coupling)
            identity = (
                2 * numbers["phi2"] + 4 * coupling * (numbers["phi4"] - numbers["phi2"]) - 8 * hopping * numbers["bond"]
            )
            quantity = f"<phi dS/dphi>, 12 x 12 sites (kappa = {hopping}, lambda = {coupling})"
            yield sampled(quantity, 1.0, mean_over_units(identity, ensemble))
        for hopping, sink, sign in ((0.28, "white noise", -1.0), (0.36, "order", 1.0)):
            about = f"to {sink} (16 x 16 sites, kappa = {hopping}, lambda = 0.5)"
            yield exact(f"direction of the flow, {about}", sign, _direction(hopping), 0.0)


def _direction(hopping: float) -> float:
    """Return the sign by which the correlation of neighbours moves in two blockings, 0 within its 99 % interval.

    Blocks of an ordered field copy their neighbours (correlation 1), those of a disordered one do not know of them.
    """
    ensemble, _ = _sampled((16, 16), hopping, 0.5)
    flow = iterate((ensemble, ensemble), member("schemes", "block-average")(b=2), generator=torch.Generator(), steps=2)
    couplings = [member("observables", "correlation")(geometry=scale.ensemble.geometry) for scale in flow]
    running = running_of_flow(flow, couplings).select(names=["correlation[2]"], scales=[0, 2])
    moved = float(running.values[1, 0] - running.values[0, 0])
    error = float(running.covariance[0, 0] + running.covariance[1, 1] - 2 * running.covariance[0, 1]) ** 0.5
    low, high = Measurement(moved, error, "1", dof=running.dof).interval(0.99)
    return 1.0 if low > 0 else -1.0 if high < 0 else 0.0


def _sampled(shape: tuple[int, ...], hopping: float, coupling: float) -> tuple[Ensemble, dict[str, Tensor]]:
    """Return samples and, for each, the lattice means of phi^2, phi^4 and of neighbours' products."""
    model = member("sources", "phi4")(shape=shape, hopping=hopping, coupling=coupling, chains=40, sweeps=3)
    ensemble = model.sample(40 * 100, generator=torch.Generator().manual_seed(0))
    x = ensemble.values.double().reshape(-1, *shape)
    axes = tuple(range(1, x.ndim))
    bond = torch.stack([(x * x.roll(1, axis)).mean(axes) for axis in axes]).mean(0)
    return ensemble, {"phi2": (x**2).mean(axes), "phi4": (x**4).mean(axes), "bond": bond}


def _moments(shape: tuple[int, ...], hopping: float, coupling: float, known: dict[str, float]) -> Iterator[Row]:
    ensemble, numbers = _sampled(shape, hopping, coupling)
    sites = " x ".join(map(str, shape))
    for key, expected in known.items():
        quantity = f"{key}, {sites} sites (kappa = {hopping}, lambda = {coupling})"
        yield sampled(quantity, expected, mean_over_units(numbers[key], ensemble))
