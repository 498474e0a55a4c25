"""Flows of real modules against theory: agreement where it holds, and the assumption that is named where it does not."""

import pytest
import torch

from blockspin import Verdict
from blockspin.answer import Light
from blockspin.flows.width import width_flow
from blockspin.organisms.random_mlp import RandomMlp
from blockspin.questions.comparison import departures
from blockspin.questions.diagnosis import Evidence, diagnose
from blockspin.questions.gaussian_enough import GaussianEnough
from blockspin.tethers.finite_networks import kernel_flow, kernel_theory, points


@pytest.fixture(scope="module")
def narrow():
    """Sixteen units, at the width where the first order in 1 / width is a fair account."""
    organism, x = RandomMlp(1.5, 0.0, 16, 6), points(16, 2)
    return organism, x, kernel_flow(organism, x, 500)


def test_a_narrow_network_departs_from_the_infinite_one_and_width_and_depth_are_named(narrow):
    organism, x, measured = narrow
    infinite, finite = kernel_theory(organism, x), kernel_theory(organism, x, corrected=True)
    family = {}
    for width in (8, 16, 32):
        deepest = RandomMlp(1.5, 0.0, width, 4)
        outputs = [deepest.network(generator=torch.Generator().manual_seed(s)).double()[:-1] for s in range(300)]
        with torch.no_grad():
            family[width] = torch.stack([net(points(width, 2)) for net in outputs])
    evidence = Evidence(family=width_flow("family", family), alternatives={"infinite width": finite})
    answer = GaussianEnough().ask(measured, infinite, controls={}, generator=torch.Generator(), evidence=evidence)
    lights = {item.name: item.light for item in answer.assumptions}
    assert answer.verdict is Verdict.NO
    assert lights["width"] is Light.RED
    assert lights["depth"] is Light.RED
    assert answer.verdicts["layer 0, over networks"] is Verdict.YES  # exactly Gaussian over networks


def test_a_wide_network_agrees_with_theory():
    organism, x = RandomMlp(1.5, 0.3, 400, 3), points(400, 2)
    measured = kernel_flow(organism, x, 60)
    found = departures(measured, kernel_theory(organism, x))
    assert not [row for row in found if row.departs(0.01)]
    assert diagnose(found, measured, Evidence(), 0.01) == ()
