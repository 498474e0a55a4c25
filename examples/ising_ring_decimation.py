"""The coupling of an Ising ring under decimation, read off the exact law at every scale, beside theory."""

import math

import torch

from blockspin import iterate, member
from blockspin.flows.rescaling import no_rescaling
from blockspin.theory.ising_ring import zero_field_coupling

K = 0.9
ring = member("sources", "ising-ring")(sites=16, coupling=K).law()
decimation = member("schemes", "decimation")(b=2)
flow = iterate(ring, decimation, generator=torch.Generator(), steps=2, rescaling=no_rescaling)  # spins stay spins


def coupling(law) -> float:
    """Read K off the ratio of two configurations that differ in two bonds: all up, and one spin down."""
    spins = law.values[:, :, 0]
    up = law.weights[(spins == 1).all(1)]
    one_down = law.weights[(spins.sum(1) == spins.shape[1] - 2) & (spins[:, 0] == -1)]
    return float(torch.log(up / one_down)) / 4


print("spins      K measured       K theory")
for step, scale in enumerate(flow):
    measured, exact = coupling(scale.ensemble), zero_field_coupling(K, 2**step)
    print(f"{scale.ensemble.geometry.sites:5d} {measured:15.12f} {exact:14.12f}")
    assert math.isclose(measured, exact, rel_tol=1e-10)
