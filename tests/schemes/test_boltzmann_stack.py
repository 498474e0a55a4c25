"""A stack of restricted Boltzmann machines on 40 x 40 spins: hidden units find blocks of a lattice unknown to them."""

import pytest
import torch

from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import no_rescaling
from blockspin.geometry import Unordered
from blockspin.registry import member
from blockspin.schemes.restricted_boltzmann import RestrictedBoltzmann

SIDE = 40
K = 0.408
"""The coupling of mehta2014, a little above the critical temperature."""
RADIUS = 5


def within_disk(fields: torch.Tensor) -> torch.Tensor:
    """Return the share of each receptive field's squared weight within the disk that holds most of it, [units]."""
    gap = torch.arange(SIDE).minimum(SIDE - torch.arange(SIDE))
    disk = (gap[:, None] ** 2 + gap**2 <= RADIUS**2).to(torch.float64)
    energy = fields.square().reshape(-1, SIDE, SIDE)
    held = torch.fft.ifft2(torch.fft.fft2(energy) * torch.fft.fft2(disk)).real.flatten(1).amax(1)
    return held / energy.sum((1, 2))


def test_the_share_within_a_disk_is_that_of_what_is_known():
    block = torch.zeros(1, SIDE, SIDE, dtype=torch.float64)
    block[0, -2:, :2] = block[0, 10, 10] = 1.0
    assert float(within_disk(block.flatten(1))) == pytest.approx(4 / 5)
    flat = torch.ones(1, SIDE * SIDE, dtype=torch.float64)
    assert float(within_disk(flat)) == pytest.approx(81 / SIDE**2)


@pytest.mark.slow
def test_hidden_units_of_a_stack_are_local_blocks():
    """The layers of mehta2014, trained without a word about who is near whom, against shuffled pixels.

    Each unit is more local than the most local of the shuffled ones. mehta2014 sparsify weights by their L1 norm
    besides, for which the trainer of scikit-learn has no option.
    """
    spins = member("sources", "ising-square")(side=SIDE, coupling=K).sample(
        8000, generator=torch.Generator().manual_seed(0)
    )
    unordered = spins.with_values(spins.values, Unordered(SIDE**2))
    scheme = RestrictedBoltzmann(b=4, epochs=10, rate=0.01)
    flow = iterate(unordered, scheme, generator=torch.Generator().manual_seed(1), steps=3, rescaling=no_rescaling)
    assert [scale.ensemble.geometry.sites for scale in flow] == [1600, 400, 100, 25], flow.ended
    fields = torch.eye(SIDE**2, dtype=torch.float64)
    shuffled = torch.randperm(SIDE**2, generator=torch.Generator().manual_seed(2))
    for scale in flow[1:]:
        fields = scale.map.weights @ fields  # of a unit of this layer, on the pixels
        found, control = within_disk(fields), within_disk(fields[:, shuffled])
        # seen on average: 0.191(2), 0.260(7), 0.196(9); shuffled 0.07, at most 0.10; all pixels alike would give 0.051
        assert float(found.min()) > float(control.max())
