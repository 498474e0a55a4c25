"""Relative entropy: closed forms equal sums, and coarse-graining never adds to it."""

from itertools import pairwise

import numpy as np
import pytest

from blockspin.theory import relative_entropy as theory
from blockspin.theory.ising_ring import ring_probabilities


@pytest.mark.parametrize(("K", "reference"), [(0.3, 0.8), (1.2, 0.1), (-0.4, 0.5), (0.0, 0.6)])
@pytest.mark.parametrize("sites", [2, 5, 8])
def test_ring_equals_the_sum_over_configurations(K, reference, sites):
    _, p = ring_probabilities(sites, K)
    _, q = ring_probabilities(sites, reference)
    assert theory.ising_ring(K, reference, sites) == pytest.approx(float(p @ np.log(p / q)), abs=1e-12)


def test_a_long_ring_is_a_chain_and_equal_rings_are_not_told_apart():
    assert theory.ising_ring(0.5, 0.9, 2000) / 2000 == pytest.approx(theory.ising_chain(0.5, 0.9), abs=1e-12)
    assert theory.ising_chain(0.7, 0.7) == 0


def test_it_falls_with_every_decimation():
    levels = theory.decimated_ising_ring(1.5, 0.4, 64, 5)
    assert all(later < sooner for sooner, later in pairwise(levels))


def test_gaussians_that_do_not_commute_equal_a_sampled_mean_of_log_ratios():
    rng = np.random.default_rng(0)
    a, b = (m @ m.T + 3 * np.eye(3) for m in rng.standard_normal((2, 3, 3)))
    x = rng.multivariate_normal(np.zeros(3), a, 200_000)
    quadratic = np.einsum("ni,ij,nj->n", x, np.linalg.inv(b) - np.linalg.inv(a), x) / 2
    ratio = quadratic + (np.linalg.slogdet(b)[1] - np.linalg.slogdet(a)[1]) / 2
    assert abs(theory.gaussian(a, b) - ratio.mean()) < 4 * ratio.std() / len(x) ** 0.5
