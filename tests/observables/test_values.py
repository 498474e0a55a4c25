"""Observables where the answer is known."""

import pytest
import torch

from blockspin import Chain, Ensemble, GaussianLaw, Unordered
from blockspin.errors import ConstantUnitsError, GeometryError, TooFewSamplesError
from blockspin.observables.base import evaluate
from blockspin.observables.correlation import Correlation
from blockspin.observables.covariance import Covariance
from blockspin.observables.cumulants import Cumulants, directions
from blockspin.observables.gram import Gram, centred_gram
from blockspin.observables.participation_ratio import ParticipationRatio

DOUBLE = torch.float64


def gaussian(covariance, samples, seed=0, geometry=None):
    law = GaussianLaw.of(covariance, geometry or Unordered(len(covariance)))
    return law.sample(samples, generator=torch.Generator().manual_seed(seed))


def test_participation_ratio_debiased_is_right_where_plain_is_not():
    """30 equal directions seen through 40 samples: plain reads about 17."""
    found = [evaluate(ParticipationRatio(), gaussian(torch.eye(30, dtype=DOUBLE), 40, s)) for s in range(100)]
    plain, debiased = (torch.stack([row[key] for row in found]) for key in ("plain", "debiased"))
    assert float(plain.mean()) < 20
    assert abs(float(debiased.mean()) - 30) < 4 * float(debiased.std()) / 10 + 30 / 40**2 * 30


def test_participation_ratio_of_one_direction_is_one():
    x = torch.randn(50, 1, generator=torch.Generator().manual_seed(0), dtype=DOUBLE) * torch.ones(4, dtype=DOUBLE)
    assert float(evaluate(ParticipationRatio(), Ensemble.of(x))["plain"]) == pytest.approx(1, abs=1e-12)


def test_cumulants_of_independent_uniform_sites():
    """Excess kurtosis -1.2; along a direction u it is -1.2 * sum of u^4."""
    x = torch.rand(40_000, 8, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    found = evaluate(Cumulants(), Ensemble.of(x))
    expected = -1.2 * float(directions(8).pow(4).sum(0).mean())
    error = (24 / 40_000) ** 0.5  # of a Gaussian's kurtosis, larger than that of a uniform one's, at one site
    assert float(found["kurtosis"]) == pytest.approx(-1.2, abs=4 * error)
    assert float(found["fourth_order"]) == pytest.approx(expected, abs=4 * error)
    assert float(found["skewness"]) == pytest.approx(0, abs=4 * (6 / 40_000) ** 0.5)


def test_constant_sites_are_left_out_of_cumulants():
    x = torch.rand(500, 4, generator=torch.Generator().manual_seed(0))
    with_constant = torch.cat([x, torch.full((500, 1), 0.1)], dim=1)
    found, expected = (evaluate(Cumulants(), Ensemble.of(v))["kurtosis"] for v in (with_constant, x))
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("observable", [Cumulants(), ParticipationRatio(), Gram(), Correlation(Chain(3))])
def test_a_field_that_does_not_vary_is_refused_by_name(observable):
    with pytest.raises((ConstantUnitsError, TooFewSamplesError)):
        evaluate(observable, Ensemble.of(torch.ones(20, 3), Chain(3), units=torch.arange(20)))


def test_correlation_of_a_gaussian_ring():
    distance = Chain(12).distances()
    field = gaussian(torch.exp(-distance / 2), 20_000, geometry=Chain(12))
    found = evaluate(Correlation(Chain(12)), field)["correlation"]
    torch.testing.assert_close(found, torch.exp(-torch.arange(7, dtype=DOUBLE) / 2), rtol=0, atol=4 / 20_000**0.5)


def test_correlation_needs_distances():
    with pytest.raises(GeometryError):
        evaluate(Correlation(Unordered(3)), Ensemble.of(torch.rand(9, 3, generator=torch.Generator().manual_seed(0))))


def test_gram_spectrum_is_that_of_the_covariance():
    field = Ensemble.of(torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=DOUBLE))
    spectrum = evaluate(Covariance(), field)["spectrum"]
    shares = evaluate(Gram(), field)["spectrum"][:5]
    torch.testing.assert_close(shares, spectrum / spectrum.sum(), rtol=1e-10, atol=1e-12)


def test_effective_rank_of_equal_directions():
    x = torch.cat([torch.eye(4, dtype=DOUBLE), -torch.eye(4, dtype=DOUBLE)])
    assert float(evaluate(Gram(), Ensemble.of(x))["effective_rank"]) == pytest.approx(4, rel=1e-12)


def test_the_centred_kernel_has_norm_one_and_no_mean():
    K = centred_gram(torch.rand(9, 3, generator=torch.Generator().manual_seed(0)))
    assert float(K.norm()) == pytest.approx(1)
    assert float(K.sum(0).abs().max()) < 1e-12
