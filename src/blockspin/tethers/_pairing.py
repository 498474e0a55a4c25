"""Pairing: exponents of nested clusters, chosen on one half of the units and measured on the other."""

from __future__ import annotations

import torch

from blockspin.couplings.pairing_exponents import PairingExponents, nested_clusters
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble, group_of
from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import no_rescaling
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate
from blockspin.registry import member

GROUPS = 20


def exponents(
    halves: tuple[Ensemble, Ensemble], scheme: str, steps: int, *, smallest: int = 1, seed: int = 0
) -> dict[str, Measurement]:
    """Return alpha, beta, mu, local slopes and curvature with jackknife errors.

    Args:
        halves: What pairs are chosen on, and what is measured; twice the same measures in sample.
        scheme: Name of the pairing scheme.
        steps: Doublings.
        smallest: Smallest size of the fits.
        seed: Seed of random pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    flow = iterate(halves, member("schemes", scheme)(), generator=generator, steps=steps, rescaling=no_rescaling)
    coupling = PairingExponents(nested_clusters([scale.map.pairs for scale in flow.scales[1:]]), smallest)
    measured = halves[1]
    group = group_of(measured.units, GROUPS, chain=measured.chain)
    parts = [measured.select((group == g).nonzero().flatten()) for g in range(GROUPS)]
    return jackknife(coupling, [accumulate(coupling.monoid, part) for part in parts])


def difference(one: Measurement, two: Measurement) -> Measurement:
    """Return the difference of two independent numbers."""
    error = (float(one.error) ** 2 + float(two.error) ** 2) ** 0.5
    return Measurement(float(one.value) - float(two.value), error, one.unit, one.n_eff, one.how, one.dof)
