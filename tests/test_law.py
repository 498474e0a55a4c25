"""Exact laws: normalised, pushed through maps, sampled."""

import pytest
import torch

from blockspin import Chain, GaussianLaw, Unordered
from blockspin.errors import NotLinearError, ShapeError, TooFewSamplesError
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.observables.covariance import moments
from blockspin.schemes.base import Map
from blockspin.schemes.block_average import BlockAverage

DOUBLE = torch.float64
LAW = enumerate_law(Chain(6), (-1.0, 1.0), lambda s: 0.7 * (s * s.roll(1, 1)).sum(1) + 0.2 * s.sum(1))


def average(law):
    return BlockAverage(b=2).fit(law, generator=torch.Generator())


class Absolute(Map):
    """A map that is not affine."""

    linear = False
    log_b = 0.0

    def values(self, values):
        return values.abs()

    def coarse(self, geometry):
        return geometry


def test_probabilities_sum_to_one():
    assert float(LAW.weights.sum()) == pytest.approx(1, abs=1e-15)
    assert len(LAW.values) == 64


def test_probabilities_are_those_of_boltzmann():
    s = LAW.values[:, :, 0]
    log_ratio = LAW.weights.log() - (0.7 * (s * s.roll(1, 1)).sum(1) + 0.2 * s.sum(1))
    assert float(log_ratio.max() - log_ratio.min()) < 1e-12


def test_a_push_groups_equal_outputs():
    coarse = LAW.push(average(LAW))
    assert len(coarse.values) == 27
    assert float(coarse.weights.sum()) == pytest.approx(1, abs=1e-15)


def test_a_push_keeps_expectations_of_coarse_functions():
    coarse, fine = LAW.push(average(LAW)), average(LAW).values(LAW.values)
    found = (coarse.weights[:, None, None] * coarse.values**3).sum(0)
    torch.testing.assert_close(found, (LAW.weights[:, None, None] * fine**3).sum(0), rtol=1e-12, atol=1e-14)


def test_a_gaussian_push_is_that_of_its_moments():
    C = torch.exp(-Chain(6).distances())
    law = GaussianLaw.of(C, Chain(6), mean=torch.arange(6.0)[:, None])
    coarse = law.push(average(law))
    T = torch.kron(torch.eye(3, dtype=DOUBLE), torch.full((1, 2), 0.5, dtype=DOUBLE))
    torch.testing.assert_close(coarse.covariance, T @ C @ T.T, rtol=1e-12, atol=1e-14)
    assert coarse.mean.flatten().tolist() == [0.5, 2.5, 4.5]


def test_a_map_that_is_not_affine_is_refused_by_name():
    with pytest.raises(NotLinearError, match="Sample"):
        GaussianLaw.of(torch.eye(4, dtype=DOUBLE), Chain(4)).push(Absolute())


@pytest.mark.parametrize("law", [LAW, GaussianLaw.of(torch.eye(6, dtype=DOUBLE) + 0.5, Chain(6), torch.ones(6, 1))])
def test_a_factor_scales_the_moments(law):
    factor = torch.tensor([1.0, 2, 3, 4, 5, 6], dtype=DOUBLE)
    mean, C = moments(law)
    scaled_mean, scaled = moments(law.times(factor[:, None]))
    torch.testing.assert_close(scaled_mean, mean * factor, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(scaled, C * torch.outer(factor, factor), rtol=1e-12, atol=1e-14)


def test_samples_have_the_moments_of_their_law():
    C = torch.exp(-Chain(4).distances())
    sample = GaussianLaw.of(C, Chain(4)).sample(20_000, generator=torch.Generator().manual_seed(0))
    mean, found = moments(sample)
    assert float(mean.abs().max()) < 4 / 20_000**0.5
    assert float((found - C).abs().max()) < 4 * (2 / 20_000) ** 0.5


def test_samples_of_a_singular_law_lie_on_its_support():
    law = GaussianLaw.of(torch.ones(3, 3, dtype=DOUBLE), Unordered(3))
    x = law.sample(50, generator=torch.Generator().manual_seed(0)).values
    assert float((x - x[:, :1]).abs().max()) < 1e-6


def test_the_same_generator_gives_the_same_samples():
    law = GaussianLaw.of(torch.eye(3, dtype=DOUBLE), Unordered(3))
    first, second = (law.sample(9, generator=torch.Generator().manual_seed(5)).values for _ in range(2))
    assert torch.equal(first, second)


def test_too_many_configurations_are_refused_by_name():
    with pytest.raises(ShapeError, match="enumerate"):
        enumerate_law(Chain(17), (-1.0, 1.0), lambda s: s.sum(1))


def test_a_law_over_one_configuration_is_refused_by_name():
    with pytest.raises(TooFewSamplesError):
        EnumeratedLaw.of(torch.ones(3, 2, 1), torch.ones(3), Chain(2))


def test_a_covariance_that_does_not_fit_is_refused_by_name():
    with pytest.raises(ShapeError, match="does not fit 3 sites"):
        GaussianLaw.of(torch.eye(4), Chain(3))
