"""Gaussian precision recovers the exact couplings, says what it projected away, and knows what is not Gaussian."""

import pytest
import torch
from grouped import covered, group_states, within_binomial
from scipy.stats import binom

from blockspin.couplings._sums import sums_of_law
from blockspin.couplings.gaussian_precision import GaussianPrecision, strongest_pairs
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, GeometryError, ShapeError, TooFewSamplesError
from blockspin.geometry import Chain, Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member

RING = Chain(6)


def ring_law(coupling: float = -0.4) -> GaussianLaw:
    """Return the Gaussian law whose precision is 1 on the diagonal and ``coupling`` between neighbours."""
    near = (RING.distances() == 1).to(torch.float64)
    return GaussianLaw.of(torch.linalg.inv(torch.eye(6, dtype=torch.float64) + coupling * near), RING)


def drawn(law: GaussianLaw, samples: int, seed: int) -> Ensemble:
    return law.sample(samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_intervals_cover_the_exact_coupling():
    law, estimator = ring_law(), GaussianPrecision(geometry=RING)

    def interval(seed: int) -> tuple[float, float]:
        states = group_states(estimator, drawn(law, 300, seed), chain=False)
        low, high = jackknife(estimator, states)["coupling"].interval(0.68)
        return low[0], high[0]

    assert within_binomial(covered(interval, -0.4), 200, 0.68)


def test_couplings_are_unbiased_where_samples_hardly_outnumber_sites():
    law, estimator = ring_law(), GaussianPrecision(geometry=RING)
    values = torch.stack([evaluate(estimator, drawn(law, 20, seed))["diagonal"] for seed in range(400)])
    assert abs(float(values.mean()) - 1) < 4 * float(values.std()) / 20  # uncorrected: 1.58


def test_it_is_exact_on_a_gaussian_law():
    found = GaussianPrecision(geometry=RING).value(sums_of_law(ring_law()))
    assert float(found["diagonal"]) == pytest.approx(1, abs=1e-12)
    assert found["coupling"].tolist() == pytest.approx([-0.4, 0, 0], abs=1e-12)


def test_it_is_exact_on_an_enumerated_law():
    values = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    law = EnumeratedLaw.of(values[:, :, None], torch.tensor([0.4, 0.1, 0.1, 0.4]), Chain(2))
    found = evaluate(GaussianPrecision(geometry=Chain(2)), law)  # covariance [[1, .6], [.6, 1]]
    assert float(found["diagonal"]) == pytest.approx(1 / 0.64, abs=1e-12)
    assert found["coupling"].tolist() == pytest.approx([-0.6 / 0.64], abs=1e-12)


def test_directions_that_do_not_vary_are_projected_away_and_counted():
    ensemble = drawn(ring_law(), 500, 0)
    centred = ensemble.with_values(ensemble.values - ensemble.values.mean(1, keepdim=True))  # as a layer norm does
    found = evaluate(GaussianPrecision(), centred)
    assert float(found["rank"]) == 5


def test_the_condition_is_that_of_the_covariance_within_its_support():
    values = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    values = torch.cat([values, torch.zeros(4, 1, dtype=torch.float64)], 1)  # a site that does not vary
    law = EnumeratedLaw.of(values[:, :, None], torch.tensor([0.4, 0.1, 0.1, 0.4]), Chain(3))
    coupling = GaussianPrecision()
    found = coupling.remarks(accumulate(coupling.monoid, law))
    assert found["condition"] == pytest.approx(1.6 / 0.4, rel=1e-12)


def test_the_fit_keeps_ranks_apart_from_couplings():
    estimator = GaussianPrecision(geometry=RING)
    states = [accumulate(estimator.monoid, drawn(ring_law(), 500, seed)) for seed in (0, 1)]
    measured = {key: Measurement(value, 0.0) for key, value in estimator.value(states[1]).items()}
    fit = estimator.fit(measured, estimator.goodness(*states))
    assert set(fit.notes) == {"rank"}
    assert "third and higher order" in fit.left_out[0]


def test_parts_merge_to_the_whole():
    ensemble, monoid = drawn(ring_law(), 101, 0).times(3.0), GaussianPrecision().monoid
    shifted = ensemble.with_values(ensemble.values + 100.0)
    parts = [accumulate(monoid, shifted.select(index)) for index in torch.arange(101).tensor_split([7, 40])]
    whole = accumulate(monoid, shifted)
    for key, tensor in monoid.merge(monoid.merge(parts[0], parts[1]), parts[2]).items():
        assert torch.allclose(tensor, whole[key], rtol=1e-9, atol=1e-6)


def test_strongest_pairs_are_the_neighbours():
    estimator = GaussianPrecision()
    state = accumulate(estimator.monoid, drawn(ring_law(), 5000, 0))
    assert set(strongest_pairs(estimator, state, 6)) == {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)}


def test_given_pairs_are_entries_of_the_precision():
    found = evaluate(GaussianPrecision(pairs=((0, 1), (0, 3))), drawn(ring_law(), 20000, 0))
    assert found["pair"].tolist() == pytest.approx([-0.4, 0.0], abs=4 * 1.2 / 20000**0.5)


# --- goodness of fit --------------------------------------------------------------------------------------------------


def p_value(ensemble: Ensemble) -> float:
    estimator = GaussianPrecision()
    fitted, held_out = (accumulate(estimator.monoid, half) for half in ensemble.halves())
    p = estimator.goodness(fitted, held_out).p_value
    assert p is not None
    return p


def test_p_values_reject_gaussian_samples_no_more_often_than_they_say():
    rejected = sum(p_value(drawn(ring_law(), 1000, seed)) < 0.05 for seed in range(200))
    assert rejected <= binom.ppf(0.99, 200, 0.05)


def test_spins_are_not_gaussian():
    assert p_value(member("sources", "ising-ring")().sample(1000, generator=torch.Generator().manual_seed(0))) < 1e-6


def test_heavy_tails_are_not_gaussian():
    noise = drawn(ring_law(), 2000, 0)
    scale = torch.exp(0.4 * torch.randn(2000, 1, 1, generator=torch.Generator().manual_seed(1)))
    assert p_value(noise.with_values(noise.values * scale)) < 1e-6


def test_held_out_log_likelihood_is_that_of_the_exact_law():
    law, estimator = ring_law(), GaussianPrecision()
    fitted, held_out = (accumulate(estimator.monoid, drawn(law, 20000, seed)) for seed in (0, 1))
    score = estimator.goodness(fitted, held_out).score
    entropy = 0.5 * float(torch.logdet(2 * torch.pi * torch.e * law.covariance))
    assert abs(score.value + entropy) < 4 * score.error


@pytest.mark.parametrize("options", [{"reach": 0}, {"tolerance": 0.0}])
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ConfigError):
        GaussianPrecision(**options)


def test_too_few_samples_are_refused():
    # the scatter of 7 samples has full rank but leaves no freedom
    with pytest.raises(TooFewSamplesError, match="effective samples"):
        evaluate(GaussianPrecision(), drawn(ring_law(), 7, 0))


def test_sites_without_distance_have_no_classes():
    with pytest.raises(GeometryError):
        evaluate(GaussianPrecision(geometry=Unordered(6)), drawn(ring_law(), 50, 0))


def test_a_geometry_of_another_size_is_refused():
    with pytest.raises(ShapeError):
        evaluate(GaussianPrecision(geometry=Chain(5)), drawn(ring_law(), 50, 0))
