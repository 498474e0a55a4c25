"""Theory of the Ising ring equals brute force."""

import numpy as np
import pytest

from blockspin.theory import ising_ring as theory

COUPLINGS = [(0.6, 0.0), (0.7, 0.3), (-0.4, 0.2), (0.0, 0.5)]


def brute_log_weight(spins: np.ndarray, K: float, h: float) -> np.ndarray:
    total = np.zeros(len(spins))
    sites = spins.shape[1]
    for i in range(sites):
        total += K * spins[:, i] * spins[:, (i + 1) % sites] + h * spins[:, i]
    return total


@pytest.mark.parametrize(("K", "h"), COUPLINGS)
def test_partition_function_equals_the_sum_over_configurations(K, h):
    spins, _ = theory.ring_probabilities(8, K, h)
    assert theory.log_partition(8, K, h) == pytest.approx(
        np.log(np.exp(brute_log_weight(spins, K, h)).sum()), abs=1e-12
    )


@pytest.mark.parametrize(("K", "h"), COUPLINGS)
def test_probabilities_are_boltzmann(K, h):
    spins, probability = theory.ring_probabilities(8, K, h)
    weight = np.exp(brute_log_weight(spins, K, h))
    assert probability == pytest.approx(weight / weight.sum(), abs=1e-14)


@pytest.mark.parametrize("distance", range(9))
def test_correlation_equals_brute_force(distance):
    spins, probability = theory.ring_probabilities(8, 0.6)
    measured = (probability * spins[:, 0] * spins[:, distance % 8]).sum()
    assert theory.correlation(distance, 8, 0.6) == pytest.approx(measured, abs=1e-14)


@pytest.mark.parametrize("b", [2, 3, 4])
@pytest.mark.parametrize(("K", "h"), COUPLINGS)
def test_decimation_keeps_the_partition_function(K, h, b):
    coarse = theory.decimated_coupling(K, h, b)
    rest = theory.log_partition(12 // b, coarse.coupling, coarse.field)
    assert 12 // b * coarse.constant + rest == pytest.approx(theory.log_partition(12, K, h), abs=1e-11)


@pytest.mark.parametrize("b", [2, 3])
@pytest.mark.parametrize(("K", "h"), COUPLINGS)
def test_decimation_equals_the_marginal_of_the_kept_spins(K, h, b):
    spins, probability = theory.ring_probabilities(12, K, h)
    kept = ((spins[:, ::b] > 0) * 2 ** np.arange(12 // b)).sum(axis=1)
    marginal = np.bincount(kept, weights=probability)
    coarse = theory.decimated_coupling(K, h, b)
    assert marginal == pytest.approx(theory.ring_probabilities(12 // b, coarse.coupling, coarse.field)[1], abs=1e-14)


def test_decimations_compose():
    once = theory.decimated_coupling(0.7, 0.3, 6)
    first = theory.decimated_coupling(0.7, 0.3, 2)
    twice = theory.decimated_coupling(first.coupling, first.field, 3)
    assert (twice.coupling, twice.field, 3 * first.constant + twice.constant) == pytest.approx(
        (once.coupling, once.field, once.constant), abs=1e-14
    )


def test_without_field_decimation_has_a_closed_form():
    assert theory.decimated_coupling(0.9, 0.0, 3).coupling == pytest.approx(
        theory.zero_field_coupling(0.9, 3), abs=1e-14
    )


def test_decimation_divides_the_correlation_length():
    coarse = theory.decimated_coupling(0.9, 0.0, 2).coupling
    assert theory.correlation_length(coarse) == pytest.approx(theory.correlation_length(0.9) / 2, rel=1e-12)


def test_eigenvalue_ratio_is_taken_to_the_power_b():
    coarse = theory.decimated_coupling(0.7, 0.3, 2)
    assert theory.eigenvalue_ratio(coarse.coupling, coarse.field) == pytest.approx(
        theory.eigenvalue_ratio(0.7, 0.3) ** 2, abs=1e-15
    )


def test_mutual_information_equals_brute_force_on_a_long_ring():
    spins, probability = theory.ring_probabilities(16, 0.3)  # 1 + t^14 is 1 to 1e-8
    joint = np.array([[probability[(spins[:, 0] == a) & (spins[:, 2] == c)].sum() for c in (1, -1)] for a in (1, -1)])
    measured = (joint * np.log(joint / np.outer(joint.sum(1), joint.sum(0)))).sum()
    assert theory.mutual_information(2, 0.3) == pytest.approx(measured, abs=1e-7)


@pytest.mark.parametrize("b", [2, 3, 5])
@pytest.mark.parametrize("K", [0.3, 0.9, -0.4])
def test_linearised_decimation_is_the_derivative(K, b):
    step = 1e-5
    up, down = theory.decimated_coupling(K + step, 0.0, b), theory.decimated_coupling(K - step, 0.0, b)
    more, less = theory.decimated_coupling(K, step, b), theory.decimated_coupling(K, -step, b)
    measured = (up.coupling - down.coupling) / (2 * step), (more.field - less.field) / (2 * step)
    assert theory.linearised_decimation(K, b) == pytest.approx(measured, abs=1e-9)


@pytest.mark.parametrize("K", [0.6, -0.4])
def test_fisher_information_equals_the_variance_of_the_energy(K):
    spins, probability = theory.ring_probabilities(8, K)
    energy = (spins * np.roll(spins, 1, axis=1)).sum(axis=1)
    variance = probability @ energy**2 - (probability @ energy) ** 2
    assert theory.fisher_information(K, 8) == pytest.approx(variance, rel=1e-12)


def test_fisher_information_kept_on_a_long_ring_is_that_of_the_infinite_one():
    assert theory.fisher_retained(0.6, 200) == pytest.approx(theory.fisher_retained(0.6), rel=1e-12)


def test_fisher_information_kept_equals_enumeration_by_another_script():
    assert theory.fisher_retained(0.6) == pytest.approx((0.44771, 0.91683), abs=5e-6)
    assert theory.fisher_retained(0.6, 18) == pytest.approx((0.44800, 0.91683), abs=5e-6)
