"""The flow over width: kurtosis and vertex of one hidden layer in closed form, its kernel, its slope."""

from math import pi

import pytest
import torch
from torch import nn

from blockspin.errors import FitFailedError, ShapeError
from blockspin.flows.width import outputs_of, slope_in_width, width_flow

DOUBLE = torch.float64
WIDTHS = (8, 16, 32, 64)


def relu_outputs(width, inputs=4, seeds=8000, seed=0):
    """One hidden layer of Gaussian weights on orthogonal inputs, whose preactivations are independent normal."""
    generator = torch.Generator().manual_seed(seed + width)
    hidden = torch.randn(seeds, inputs, width, dtype=DOUBLE, generator=generator).relu()
    read = torch.randn(seeds, width, 3, dtype=DOUBLE, generator=generator) / width**0.5
    return hidden @ read


def arc_cosine(inputs=4):
    """The kernel of a ReLU layer on orthogonal unit inputs: 1/2 on the diagonal, 1/2 pi beside it."""
    return torch.full((inputs, inputs), 1 / (2 * pi), dtype=DOUBLE).fill_diagonal_(0.5)


@pytest.fixture(scope="module")
def flow():
    return width_flow("relu", {width: relu_outputs(width) for width in WIDTHS}, arc_cosine())


def test_kurtosis_and_vertex_of_one_hidden_layer_are_known(flow):
    """15 / n, and 2 (1/4 - 1/4 pi^2) / (1/4) / n between orthogonal inputs."""
    for scale in flow:
        kurtosis, vertex = (scale.measurements[f"width/{key}"] for key in ("kurtosis", "vertex"))
        assert abs(kurtosis.value - 15 / scale.position) < 4 * kurtosis.error
        assert abs(vertex.value - (2 - 2 / pi**2) / scale.position) < 4 * vertex.error


def test_kurtosis_falls_with_slope_minus_one(flow):
    slope = slope_in_width(flow)
    assert abs(slope.value + 1) < 4 * slope.error
    assert slope.error < 0.1


def test_the_kernel_is_that_of_the_theory(flow):
    for scale in flow:
        overlap = scale.measurements["width/overlap"]
        assert abs(overlap.value - 1) < 4 * overlap.error
    wrong = width_flow("relu", {64: relu_outputs(64)}, torch.eye(4, dtype=DOUBLE))[0].measurements["width/overlap"]
    assert wrong.value < 1 - 10 * wrong.error


def test_networks_are_read_one_at_a_time():
    def networks():
        for seed in range(60):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                yield nn.Sequential(nn.Linear(4, 16, bias=False), nn.ReLU(), nn.Linear(16, 2, bias=False))

    outputs = outputs_of(networks(), torch.eye(4))
    assert outputs.shape == (60, 4, 2)
    assert width_flow("mlp", {16: outputs})[0].measurements["width/kurtosis"].error > 0


def test_what_has_no_slope_is_refused():
    gaussian = {n: torch.randn(500, 3, 1, generator=torch.Generator().manual_seed(n)) for n in (8, 16)}
    with pytest.raises(FitFailedError, match="three errors"):
        slope_in_width(width_flow("gaussian", gaussian))
    with pytest.raises(ShapeError, match="kernel"):
        width_flow("relu", gaussian, torch.eye(2))
