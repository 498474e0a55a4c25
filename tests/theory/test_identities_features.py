"""Identities across systems: finite width, learned kernels, information shells and singular minima."""

import numpy as np
import pytest
import torch

from blockspin.theory import bayesian_renormalization, four_point, learning_coefficient, linear_features
from blockspin.theory.feature_learning import kernel_shift
from blockspin.theory.gaussian_average import hermite_rule
from blockspin.theory.kernel_adaptation import TwoLayers, adapted
from blockspin.theory.kernel_regression_rg import learnability_cut
from blockspin.theory.noisy_training import gaussian_mean, hidden_moments, width_correction

X = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, -1, 0.5, 0]])
Y, NOISE = np.array([2, -1, 0.5]), 0.1


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z, w = hermite_rule(x.shape[1], 3)
    return hidden_moments(z @ x.T / x.shape[1] ** 0.5, w)


def task(width: int) -> linear_features.Task:
    return linear_features.Task(X[:3], Y, NOISE, width)


def test_vertex_of_linear_units_is_two_pairings_and_a_third_of_the_cumulant():
    K, V = moments(X)
    assert pytest.approx(X @ X.T / 4, abs=1e-12) == K
    pairings = np.einsum("ac,bd->abcd", K, K) + np.einsum("ad,bc->abcd", K, K)
    assert pytest.approx(pairings, abs=1e-12) == V
    U = 3 * np.einsum("aabb->ab", V) - np.einsum("aabb->ab", V)  # any one input: three equal pairings
    assert np.diag(U) == pytest.approx(2 * np.diag(K) ** 2 * 2)


def test_vertex_of_one_layer_is_that_of_criticality_of_learned_kernels_and_of_noisy_training():
    """Pairs of a layer's Gaussian preactivations, or its weights in full: the same vertex, and the same cumulant."""
    x = np.array([[0.8, -0.3], [0.1, 1.1], [-0.6, 0.5]])
    z, w = hermite_rule(2, 60)
    K, V = hidden_moments(np.tanh(z @ x.T / 2**0.5), w)
    fresh = four_point.fresh_vertex(torch.tanh, x @ x.T / 2, 1.0, 60)
    assert pytest.approx(fresh, abs=1e-6) == V
    fourth = np.einsum("ka,kb,kc,kd,k->abcd", *[np.tanh(z @ x.T / 2**0.5)] * 4, w)
    pairs = [np.einsum(how, K, K) for how in ("ab,cd->abcd", "ac,bd->abcd", "ad,bc->abcd")]
    assert pytest.approx(3 * fourth - sum(pairs), abs=1e-6) == four_point.connected(fresh)


def test_modes_that_can_be_learned_are_the_directions_that_data_tell_apart():
    """Information about modes in units of their prior, with what was integrated out as noise, against the ridge."""
    n, noise, sites = 30, 0.2, 64
    grid = 2 * np.pi * np.arange(sites) / sites
    waves = [np.sqrt(2) * f(k * grid) for k in range(1, 25) for f in (np.cos, np.sin)]
    features = np.stack(waves, 1)  # orthonormal over the grid
    prior = np.arange(1, features.shape[1] + 1) ** -1.5
    cut = learnability_cut(prior, n, noise)
    assert 0 < cut < len(prior)
    for kept, least in ((cut, cut), (cut + 1, cut)):  # one mode more is not told apart
        left = noise + prior[kept:].sum()
        scores = features[:, :kept] * np.sqrt(prior[:kept])
        information = np.linalg.eigvalsh(scores.T @ scores / sites / left)
        assert bayesian_renormalization.distinguishable(information, n).sum() == least


def test_correction_of_noisy_training_is_that_of_the_exact_posterior():
    K, V = moments(X)
    first = width_correction(K, V, Y, NOISE)[0]
    assert first == pytest.approx(3.516265, abs=1e-6)
    found = []
    for width in (1000, 4000):
        data = task(width)
        mean = linear_features.mean_over_scales(data, lambda Q, d=data: linear_features.predicted(d, X[3], Q))
        found.append(width * (mean - gaussian_mean(K, Y, NOISE)[0]))
    assert found[0] == pytest.approx(first, rel=0.01)
    assert abs(found[1] - first) == pytest.approx(abs(found[0] - first) / 4, rel=0.05)


@pytest.mark.slow
def test_three_theories_learn_the_same_features_to_first_order():
    """Linear response, fixed point and exact posterior of the first weight's square."""
    along = np.vstack([X[:3], 2 * np.eye(4)])  # units of input 2 e_i are the weights times d^1/2
    K, V = moments(along)
    first = kernel_shift(K, V, Y, NOISE, 1)[3, 3]
    assert first == pytest.approx(7.056505, abs=1e-5)
    width = 10**5
    network = TwoLayers(X[:3], Y, NOISE, width, lambda z: z)
    assert width * (4 * adapted(network, hermite_rule(4, 3))[0, 0] - 1) == pytest.approx(first, abs=100 / width * 10)
    exact = width * (4 * linear_features.weight_covariance(task(1000))[0, 0] - 1) / 100
    assert exact == pytest.approx(first, rel=0.01)


def test_learning_coefficient_counts_modes_at_regular_points_alone():
    data = 1e6
    for k in (1, 2, 5):  # K = |w|^2 / 2 in k directions
        counted = bayesian_renormalization.distinguishable(np.ones(k), data).sum()
        assert bayesian_renormalization.averaging_cost(counted, data) == pytest.approx(
            bayesian_renormalization.predictive_divergence(k, data), rel=1e-5
        )
    regular = learning_coefficient.deep_linear((3, 7, 2), 2)  # M + N < H + r: every map is reached
    assert (regular.value, regular.multiplicity) == (3, 1)
    singular = learning_coefficient.normal_crossing((1, 1))
    assert not bayesian_renormalization.distinguishable(np.zeros(2), data).any()
    assert 2 * singular.value == 1
