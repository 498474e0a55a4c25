"""Theory of noise spectra equals quadrature and large samples."""

import numpy as np
import pytest
from scipy.integrate import quad

from blockspin.theory import marchenko_pastur as theory


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_moments_are_integrals_of_the_density(ratio, order):
    low, high = theory.edges(ratio, 1.3)
    # x = centre + radius cos(angle) takes the square roots at the edges out of the integrand
    centre, radius = (low + high) / 2, (high - low) / 2

    def integrand(angle):
        x = centre + radius * np.cos(angle)
        return x**order * theory.density(x, ratio, 1.3) * radius * np.sin(angle)

    expected = 1.0 if order == 0 else theory.moment(order, ratio, 1.3)
    assert quad(integrand, 0, np.pi, epsabs=1e-12)[0] == pytest.approx(expected, rel=1e-8)


def test_density_vanishes_outside_the_bulk():
    low, high = theory.edges(0.5)
    assert theory.density(np.array([0.0, low / 2, high * 1.01]), 0.5).tolist() == [0, 0, 0]


def test_spike_leaves_the_bulk_at_the_threshold():
    ratio = 0.5
    just_above = theory.spike_threshold(ratio) * (1 + 1e-9)
    assert theory.spike_position(just_above, ratio) == pytest.approx(theory.edges(ratio)[1], rel=1e-12)


def test_spike_position_equals_a_large_sample():
    rng = np.random.default_rng(0)
    sites, samples, spike = 200, 800, 5.0
    tops = []
    for _ in range(20):
        x = rng.standard_normal((samples, sites))
        x[:, 0] *= np.sqrt(spike)
        tops.append(np.linalg.eigvalsh(x.T @ x / samples)[-1])
    error = np.std(tops, ddof=1) / np.sqrt(len(tops))
    assert abs(np.mean(tops) - theory.spike_position(spike, sites / samples)) < 4 * error


def test_participation_ratio_equals_the_means_of_many_wishart_matrices():
    rng = np.random.default_rng(1)
    sites, dof, trials = 5, 12, 20000
    x = rng.standard_normal((trials, dof, sites))
    S = np.einsum("tni,tnj->tij", x, x) / dof
    top, bottom = np.trace(S, axis1=1, axis2=2) ** 2, (S**2).sum(axis=(1, 2))
    ratio = theory.participation_ratio(sites, dof)
    residual = top - ratio * bottom  # mean zero if and only if the ratio of means is right
    assert abs(residual.mean()) < 4 * residual.std() / np.sqrt(trials)


@pytest.mark.parametrize("ratio", [0.25, 0.9])
def test_share_below_is_the_integral_of_the_density(ratio):
    low, high = theory.edges(ratio)
    assert theory.share_below(high, ratio) == pytest.approx(1, abs=1e-6)
    middle = (low + high) / 2
    expected = quad(lambda x: float(theory.density(np.array(x), ratio)), low, middle, limit=200)[0]
    assert theory.share_below(middle, ratio) == pytest.approx(expected, abs=1e-6)


def test_finite_moments_equal_those_of_many_wishart_matrices():
    rng = np.random.default_rng(2)
    sites, dof, trials = 4, 9, 20000
    x = rng.standard_normal((trials, dof, sites))
    eigenvalues = np.linalg.eigvalsh(np.einsum("tni,tnj->tij", x, x) / dof)
    for order in (1, 2, 3):
        values = (eigenvalues**order).mean(axis=1)
        error = values.std() / np.sqrt(trials)
        assert abs(values.mean() - theory.finite_moment(order, sites, dof)) < 4 * error


def test_finite_moments_tend_to_those_of_the_law():
    for order in (1, 2, 3):
        assert theory.finite_moment(order, 10**6, 2 * 10**6) == pytest.approx(theory.moment(order, 0.5), rel=1e-5)


def test_largest_eigenvalue_equals_that_of_many_matrices():
    rng = np.random.default_rng(3)
    tops = []
    for _ in range(400):
        x = rng.standard_normal((100, 40))
        tops.append(np.linalg.eigvalsh(x.T @ x / 100)[-1])
    error = np.std(tops) / np.sqrt(len(tops))
    assert abs(np.mean(tops) - theory.largest_eigenvalue(40, 100)) < 4 * error
