"""Schemes that learn, on laws whose answer is exact: what is fitted on weights, and error bars of what is measured."""

import pytest
import torch
from scipy.stats import binom

from blockspin import Chain, Ensemble, Unordered
from blockspin.engine.base import Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.registry import member
from blockspin.schemes.correlation_pairing import CorrelationPairing
from blockspin.schemes.decimation import Decimation
from blockspin.schemes.majority_rule import MajorityRule
from blockspin.schemes.momentum_shell import MomentumShell
from blockspin.schemes.principal_modes import PrincipalModes
from blockspin.testing.worlds import gaussian_field, generic_law, ising_ring

NO_CHANCE = torch.Generator()


@pytest.mark.parametrize("b", [2, 3])
def test_decimating_the_ring_gives_the_ring_of_the_exact_coupling(b):
    coarse = ising_ring(12, 0.9).push(Decimation(b=b).fit(ising_ring(12, 0.9), generator=NO_CHANCE))
    exact = torch.atanh(torch.tanh(torch.tensor(0.9, dtype=torch.float64)) ** b)
    assert (coarse.weights - ising_ring(12 // b, float(exact)).weights).abs().max() < 1e-12
    assert (coarse.weights - ising_ring(12 // b, 1.1 * float(exact)).weights).abs().max() > 1e-3


def test_a_tie_goes_to_the_corner():
    field = Ensemble.of(torch.tensor([[1.0, -1.0, -1.0, 1.0], [-1.0, 1.0, 1.0, 1.0]]), Chain(4))
    coarse = MajorityRule(b=2).fit(field, generator=NO_CHANCE)
    assert coarse.values(field.values)[:, :, 0].tolist() == [[1, -1], [-1, 1]]


def test_the_momentum_shell_keeps_the_spectrum_of_the_modes_that_it_keeps():
    law = gaussian_field((36,), 0.3)
    coarse = law.push(MomentumShell(b=3).fit(law, generator=NO_CHANCE))
    fine, rough = (torch.fft.fft(x.covariance[0]).real / len(x.covariance) for x in (law, coarse))
    assert torch.allclose(rough[:6], fine[:6], rtol=0, atol=1e-14)


def test_modes_of_an_enumerated_law_are_those_of_its_weighted_covariance():
    """A biased coin a site and a coupled pair: the leading direction is the pair's sum, known in closed form."""
    law = ising_ring(4, 0.0)
    s = law.values[:, :, 0]
    weights = torch.exp(0.8 * s[:, 0] * s[:, 1] + 0.3 * s[:, 2])
    tilted = type(law).of(law.values, weights, law.geometry)
    coarse = PrincipalModes(b=4).fit(tilted, generator=NO_CHANCE)
    expected = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64) / 2**0.5
    assert torch.allclose(coarse.modes[:, 0].abs(), expected, atol=1e-12)
    assert float(coarse.mean[2, 0]) == pytest.approx(
        float(torch.tanh(torch.tensor(0.3, dtype=torch.float64))), abs=1e-12
    )


def test_pairs_of_an_enumerated_law_follow_its_weights():
    law = ising_ring(4, 0.0)
    s = law.values[:, :, 0]
    tilted = type(law).of(law.values, torch.exp(0.8 * s[:, 0] * s[:, 2] + 0.2 * s[:, 1] * s[:, 3]), law.geometry)
    assert CorrelationPairing().fit(tilted, generator=NO_CHANCE).pairs.tolist() == [[0, 2], [1, 3]]


def test_a_site_that_is_left_over_is_carried_along():
    law = generic_law(Unordered(5))
    coarse = CorrelationPairing().fit(law, generator=NO_CHANCE)
    field = torch.randn(3, 5, 1, generator=torch.Generator().manual_seed(0))
    assert coarse.values(field).shape == (3, 3, 1)
    assert torch.allclose(coarse.values(field).sum(1), field.sum(1), atol=1e-6)


@pytest.mark.slow
def test_the_error_of_held_out_variance_covers_the_exact_value_of_the_fitted_map():
    """Modes fitted on one half, their variance measured on the other; the law tells what that map's variance is."""
    law = generic_law(Unordered(12))
    task = Task(member("observables", "covariance")(), ("coarse",))
    serial = member("engine", "serial")()
    covered = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        fit_half, measured = law.sample(400, generator=generator).halves()
        coarse = PrincipalModes(b=4).fit(fit_half, generator=generator)
        truth = float(law.push(coarse).covariance.trace())
        reading = EnsemblePass.of({"coarse": coarse(measured)})
        found = measure(reading, [task], executor=serial, store=None, generator=generator).measurement(task)["variance"]
        low, high = found.interval(0.68)
        covered += low <= truth <= high
    assert binom.ppf(0.001, 200, 0.68) <= covered <= binom.ppf(0.999, 200, 0.68)
