"""Variances of weights and biases of drawn layers are recovered; trained layers are not taken for random ones."""

import pytest
import torch
from grouped import group_states, within_binomial
from scipy.stats import binom
from torch import nn

from blockspin.couplings._gaussian_kernel import ACTIVATIONS, activated_kernel
from blockspin.couplings.layer_kernel import LayerKernel, fit_layer, random_layer_p_value, units_as_samples
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import AlignmentError, ConfigError, FitFailedError, ShapeError, TooFewSamplesError
from blockspin.observables.base import accumulate, evaluate
from blockspin.organisms.random_mlp import RandomMlp
from blockspin.theory.gaussian_average import pair_average

SIGMA_W, SIGMA_B = 1.5, 0.5
ANGLE = 3e-4
"""Error of the plain sum for functions with a corner, over the variance."""


def inputs(seed: int, count: int = 8, width: int = 300) -> torch.Tensor:
    """Return inputs of several norms that share a direction."""
    generator = torch.Generator().manual_seed(seed)
    size = 0.5 + torch.rand(count, 1, generator=generator)
    return size * torch.randn(count, width, generator=generator) + 0.3 * torch.randn(1, width, generator=generator)


def layers(seed: int, width: int = 300, count: int = 8) -> tuple[Ensemble, Ensemble]:
    """Return the pre-activations of two layers of a random network, units as samples."""
    organism = RandomMlp(sigma_w=SIGMA_W, sigma_b=SIGMA_B, width=width, depth=2)
    net = organism.network(generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        first = net[0](inputs(seed + 1000, count, width))
        return units_as_samples(first), units_as_samples(net[2](net[1](first)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gaussian_averages_are_those_of_another_rule(activation):
    K = torch.tensor([[1.2, 0.5], [0.5, 0.7]], dtype=torch.float64)
    phi, found = ACTIVATIONS[activation], activated_kernel(K, activation)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        expected = pair_average(phi, phi, (float(K[i, i]), float(K[i, j]), float(K[j, j])))
        assert float(found[i, j]) == pytest.approx(expected, abs=ANGLE if activation == "relu" else 1e-12)


def test_an_exact_kernel_gives_exact_variances():
    K = torch.tensor([[1.2, 0.5, 0.1], [0.5, 0.7, 0.2], [0.1, 0.2, 2.0]], dtype=torch.float64)
    made = 0.3 + 1.7 * activated_kernel(K, "tanh")
    state = {"weight": torch.tensor(1.0), "squares": torch.tensor(1.0), "products": made}
    found = LayerKernel(K, "tanh").value(state)
    assert [float(found[key]) for key in ("weight_variance", "bias_variance")] == pytest.approx([1.7, 0.3], abs=1e-12)


def test_a_drawn_layer_is_recovered():
    fit = fit_layer(*layers(0), "tanh")
    weight, bias = fit.parameters["weight_variance"], fit.parameters["bias_variance"]
    assert abs(weight.value - SIGMA_W**2) < 4 * weight.error
    assert abs(bias.value - SIGMA_B**2) < 4 * bias.error
    assert weight.error < 0.2
    assert fit.goodness.p_value > 0.01


@pytest.mark.slow
def test_intervals_cover_and_random_layers_are_called_random():
    covers, rejected = 0, 0
    for seed in range(100):
        fit = fit_layer(*layers(seed), "tanh")
        low, high = fit.parameters["weight_variance"].interval(0.9)
        covers += low <= SIGMA_W**2 <= high
        rejected += fit.goodness.p_value < 0.05
    assert within_binomial(covers, 100, 0.9)
    assert rejected <= binom.ppf(0.99, 100, 0.05)


def test_the_engine_s_error_is_that_of_the_units_alone():
    before, after = layers(1)
    u = before.values.flatten(1).to(torch.float64)
    coupling = LayerKernel(u.T @ u / len(u), "tanh")
    found = jackknife(coupling, group_states(coupling, after, chain=False))["weight_variance"]
    both = fit_layer(before, after, "tanh").parameters["weight_variance"]
    assert found.value == pytest.approx(both.value, abs=1e-9)
    assert 0 < found.error < both.error
    halves = [accumulate(coupling.monoid, half) for half in after.halves()]
    assert 0 < coupling.goodness(*halves).score.value < 1


def test_a_narrow_layer_is_further_from_the_theory():
    fits = [fit_layer(*layers(0, width), "tanh", groups=5) for width in (300, 30)]
    wide, narrow = (fit.notes["finite_width"].value for fit in fits)
    assert narrow > 2 * wide  # by the root of 10 on average


def test_weights_aligned_with_features_are_no_random_layer():
    before, after = layers(0)
    features = before.values.flatten(1).tanh().T  # [inputs, units]
    target = features[:1]  # the layer has learned to answer one input, as a step of gradient descent would make it
    learned = features @ target.T @ torch.randn(1, 300, generator=torch.Generator().manual_seed(5)) / 300
    trained = units_as_samples(after.values.flatten(1).T + 5 * learned)
    p_value = fit_layer(before, trained, "tanh").goodness.p_value
    assert p_value is not None
    assert p_value < 1e-6


def test_training_is_noticed():
    organism = RandomMlp(sigma_w=SIGMA_W, sigma_b=SIGMA_B, width=60, depth=2)
    net = nn.Sequential(*organism.network(generator=torch.Generator().manual_seed(0)), nn.Linear(60, 1))
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(400, 60, generator=generator)
    data[:, 3:] *= 0.2
    labels, x = (data[:, :1] * data[:, 1:2]).sign(), data[:12]
    with torch.no_grad():  # a small readout, so that the layers before have to move
        net[-1].weight.copy_(0.1 * torch.randn(1, 60, generator=generator) / 60**0.5)

    def p_value() -> float:
        with torch.no_grad():
            first = net[0](x)
            return random_layer_p_value(net[2](net[1](first)).T.double(), (first.tanh() @ first.tanh().T / 60).double())

    assert p_value() > 0.01
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(100):
        optimiser.zero_grad()
        nn.functional.mse_loss(net(data), labels).backward()
        optimiser.step()
    assert p_value() < 1e-6


def test_what_cannot_be_fitted_is_refused():
    before, after = layers(0)
    with pytest.raises(ConfigError, match="tanh"):
        LayerKernel(torch.eye(3), "step")
    with pytest.raises(ConfigError):
        LayerKernel(torch.ones(3, 2))
    with pytest.raises(ShapeError):
        evaluate(LayerKernel(torch.eye(3)), after)
    with pytest.raises(TooFewSamplesError):
        LayerKernel(torch.eye(8)).value({})
    with pytest.raises(AlignmentError):
        fit_layer(units_as_samples(before.values.flatten(1).T[:5]), after, "tanh")
    same = torch.ones(2, 2, dtype=torch.float64)
    with pytest.raises(FitFailedError, match="weights from biases"):
        LayerKernel(same).value({"weight": torch.tensor(1.0), "squares": torch.tensor(1.0), "products": same})
    fields = torch.randn(12, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TooFewSamplesError):
        random_layer_p_value(fields, torch.eye(8, dtype=torch.float64))
    with pytest.raises(FitFailedError, match="singular"):
        random_layer_p_value(fields[:, :2], torch.ones(2, 2, dtype=torch.float64))
