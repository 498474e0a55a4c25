"""Flows of real modules against theory: agreement where it holds, and the assumption that is named where not."""

import pytest
import torch

from blockspin import Verdict
from blockspin.answer import Light
from blockspin.organisms.random_mlp import RandomMlp
from blockspin.questions.diagnosis import Evidence
from blockspin.questions.gaussian_enough import GaussianEnough
from blockspin.questions.theory_holds import TheoryHolds
from blockspin.tethers.finite_networks import kernel_flow, kernel_theory, points
from blockspin.tethers.finite_width import family


def test_a_wide_network_agrees_with_theory():
    organism, x = RandomMlp(1.5, 0.3, 400, 3), points(400, 2)
    measured = kernel_flow(organism, x, 40)
    answer = TheoryHolds(level=0.01).ask(measured, kernel_theory(organism, x), controls={}, generator=torch.Generator())
    assert answer.verdict is not Verdict.NO
    assert [item.name for item in answer.assumptions] == ["enough samples"]


@pytest.mark.slow
def test_a_narrow_network_departs_from_the_infinite_one_and_width_and_depth_are_named():
    """Critical tanh networks of ten units and six layers: kurtosis of 0.19 a layer to first order in 1 / width."""
    organism, x = RandomMlp(1.0, 0.0, 10, 6), points(10, 2)
    measured, infinite = kernel_flow(organism, x, 2500), kernel_theory(organism, x)
    answer = GaussianEnough().ask(
        measured,
        infinite,
        controls={},
        generator=torch.Generator(),
        evidence=Evidence(family=family(1000, (8, 16, 32))),
    )
    lights = {item.name: item.light for item in answer.assumptions}
    assert answer.verdict is Verdict.NO
    assert lights["width"] is Light.RED
    assert lights["depth"] is Light.RED
    assert answer.verdicts["layer 0, over networks"] is Verdict.YES  # exactly Gaussian over networks
