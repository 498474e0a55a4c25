"""Closed forms of the model organisms against independent computations."""

from math import log, pi, sqrt

import numpy as np
import pytest

from blockspin.errors import FitFailedError
from blockspin.theory import (
    asymmetric_sk,
    dyson_gaussian,
    hidden_markov,
    latent_drivers,
    percolation,
    phi4,
    random_hierarchy,
)


def test_the_critical_line_of_the_kinetic_model():
    known = {0.2: 1.0417099, 0.4: 1.1937052, 0.5: 1.3484999, 0.7: 2.2943998, 0.75: 3.2761986, 0.79: 8.0815021}
    for deviation, beta in known.items():
        assert asymmetric_sk.critical_beta(deviation) == pytest.approx(beta, abs=1.1e-7)  # seven digits, cut off
        assert asymmetric_sk.critical_deviation(beta) == pytest.approx(deviation, abs=2e-7)
    with pytest.raises(FitFailedError, match="no ordered phase"):
        asymmetric_sk.critical_beta(0.8)


def test_the_order_parameter_solves_its_equation_by_other_means():
    x, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / sqrt(2 * pi)
    beta, deviation = 1.6, 0.5
    m, q = asymmetric_sk.magnetisation(beta, deviation), asymmetric_sk.lagged_overlap(beta, deviation)
    assert w @ np.tanh(beta * (m + deviation * x)) == pytest.approx(m, abs=1e-8)
    assert 0 < m < 1
    y = q * x[:, None] + sqrt(1 - q * q) * x[None]
    assert w @ (
        np.tanh(beta * (m + deviation * x))[:, None] * np.tanh(beta * (m + deviation * y))
    ) @ w == pytest.approx(q, abs=1e-6)
    assert asymmetric_sk.magnetisation(1.2, 0.5) == 0.0


def test_the_ring_of_phi4_agrees_with_the_free_field_and_with_integration_by_parts():
    for sites, hopping in ((3, 0.2), (8, 0.4)):
        ring = phi4.ring_moments(sites, hopping, 0.0)
        assert (ring["phi2"], ring["bond"]) == pytest.approx(phi4.free_moments((sites,), hopping), abs=1e-10)
        assert ring["phi4"] == pytest.approx(3 * ring["phi2"] ** 2, abs=1e-9)
    for coupling in (0.0, 0.3, 5.0):
        ring = phi4.ring_moments(5, 0.3, coupling)
        one = phi4.schwinger_dyson(**ring, dimension=1, hopping=0.3, coupling=coupling)
        assert one == pytest.approx(1.0, abs=1e-10)


def test_cluster_sizes_are_a_distribution_with_its_tail():
    s = np.arange(1, 200001)
    p = percolation.cluster_sizes(s)
    assert p[:3] == pytest.approx([0.6, 0.6 * 2 / 7, 0.6 * 2 / 7 * 4 / 9])  # by the recursion of the beta function
    assert p.sum() == pytest.approx(1.0, abs=1e-6)
    slope = log(p[99999] / p[49999]) / log(0.5 / 1.0) * -1
    assert slope == pytest.approx(-percolation.tail_exponent(), abs=1e-4)


def test_the_hierarchical_recursion_has_its_fixed_point_and_exponent():
    for branching, strength in ((2, 1.3), (3, 0.7)):
        star = dyson_gaussian.critical_mass(strength, branching)
        assert dyson_gaussian.mass_after_step(star, strength, branching) == pytest.approx(star)
        growth = (dyson_gaussian.mass_after_step(star + 1e-3, strength, branching) - star) / 1e-3
        assert log(growth) / log(branching) == pytest.approx(dyson_gaussian.mass_exponent(strength, branching))


def test_processes_with_two_causal_states():
    for process in (hidden_markov.golden_mean(), hidden_markov.even_process()):
        assert process["entropy_rate"] == pytest.approx(2 / 3 * log(2))
        assert process["complexity"] == pytest.approx(log(3) - 2 / 3 * log(2))
    assert hidden_markov.golden_mean()["excess_entropy"] == pytest.approx(0.2516 * log(2), abs=3e-5)


def test_moments_of_driven_units_agree_with_other_quadrature():
    x, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / sqrt(2 * pi)
    W, bias = np.array([[0.5, -0.3], [0.2, 0.9]]), -0.7
    field = W[:, :1, None] * x[:, None] + W[:, 1:, None] * x[None]  # [2, z_1, z_2]
    chance = 1 / (1 + np.exp(-bias - field))
    both = np.einsum("iab,a,b->i", chance, w, w)
    assert latent_drivers.rates(W, bias) == pytest.approx(both, abs=1e-9)
    exact = np.einsum("ab,ab,a,b->", chance[0], chance[1], w, w) - both[0] * both[1]
    assert latent_drivers.covariance(W[0], W[1], bias) == pytest.approx(exact, abs=1e-9)


def test_the_spread_of_class_frequencies_is_that_of_random_grammars():
    """Every pair once a level: rules are a shuffled list of all pairs, and shares a product of counts."""
    rng, n, grammars = np.random.default_rng(0), 4, 4000
    first = np.repeat(np.arange(n), n)  # the first feature of each of the n^2 pairs

    def level() -> np.ndarray:
        order = rng.permuted(np.broadcast_to(first, (grammars, n * n)), axis=1).reshape(grammars, n, n)
        return (order[..., None] == np.arange(n)).mean(2)  # [grammars, parent, first feature]

    share = level()
    for depth in (2, 3, 4):
        many = 1e9
        found = np.square(share - 1 / n).mean((1, 2)) / n**2
        noise = (n - 1) / n**2 / many  # within groups
        error = 4 * found.std() / grammars**0.5 / noise
        assert random_hierarchy.synonym_ratio(n, depth, many) == pytest.approx(found.mean() / noise, abs=error)
        share = share @ level()
    assert random_hierarchy.synonym_ratio(n, 2, 1000.0) > 1 > random_hierarchy.synonym_ratio(n, 2, 10.0)
