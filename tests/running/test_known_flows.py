"""Known flows of sampled fields: on either side of a transition they run to different sinks."""

import pytest
import torch

from blockspin import iterate, member
from blockspin.running.assembled import running_of_flow


@pytest.mark.slow
@pytest.mark.parametrize(("hopping", "sink"), [(0.20, 0.0), (0.36, 1.0)])
def test_a_quartic_field_flows_to_white_noise_or_to_order(hopping, sink):
    """Blocks of a disordered field become independent of their neighbours; blocks of an ordered one copy them."""
    field = member("sources", "phi4")(shape=(16, 16), hopping=hopping, coupling=0.5, sweeps=2)
    drawn = field.sample(2000, generator=torch.Generator().manual_seed(0))
    flow = iterate(drawn, member("schemes", "block-average")(b=2), generator=torch.Generator(), steps=2)
    couplings = [member("observables", "correlation")(geometry=scale.ensemble.geometry) for scale in flow]
    running = running_of_flow(flow, couplings).select(names=["correlation[2]"])  # neighbours, over the variance
    first, last = running.values[0, 0], running.values[-1, 0]
    moved = (running.errors[[0, -1], 0] ** 2).sum() - 2 * running.covariance[0, -1]
    assert abs(last - sink) < abs(first - sink) - 4 * float(moved) ** 0.5
    assert 0 < last < 1
    assert abs(last - sink) < 0.3
