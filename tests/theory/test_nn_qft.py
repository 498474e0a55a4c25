"""Networks as fields: moments by other quadrature, correlators, cutoffs, refusals; cos-nets and Edgeworth actions."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.special import erf

from blockspin.errors import ConfigError, FitFailedError
from blockspin.theory import cos_net, edgeworth, nn_qft, nonperturbative_nn

ONE = np.array([[0.3], [0.5], [-0.2], [0.9]])
TWO = np.array([[0.3, 1.0], [-0.2, 0.4], [1.2, 0.1], [0.5, 0.9]])


def slow_moment(unit, x, s, t):
    """E of a product of units of one-dimensional inputs, over weight and bias."""
    w, p = np.polynomial.hermite_e.hermegauss(120)
    grid = unit(np.sqrt(s) * w[:, None, None] * x[:, 0] + np.sqrt(t) * w[None, :, None])
    return p @ grid.prod(-1) @ p / p.sum() ** 2


def test_moments_agree_with_a_grid_of_weights_and_biases():
    assert nn_qft.Erf(1.2, 0.5).moment(ONE) == pytest.approx(slow_moment(erf, ONE, 1.2, 0.5), abs=1e-9)
    norm = np.exp(-4 * 0.3 - 0.7 * np.square(ONE).sum())
    expected = slow_moment(np.exp, ONE, 0.7, 0.3) * norm
    assert nn_qft.Gauss(0.7, 0.3).moment(ONE) == pytest.approx(expected, rel=1e-10)


def test_rectified_moments_agree_with_an_adaptive_integral_over_two_weights():
    def density(r, t):
        w = np.sqrt(1.4 / 2) * r * np.array([np.cos(t), np.sin(t)])
        return np.maximum(TWO @ w, 0).prod() * r * np.exp(-(r**2) / 2) / (2 * np.pi)

    kinks = np.sort(np.concatenate([np.arctan2(*TWO.T[::-1]) + s * np.pi / 2 for s in (-1, 1)]))
    ends = [*kinks, kinks[0] + 2 * np.pi]
    expected = sum(dblquad(density, *pair, 0, 9, epsabs=1e-10)[0] for pair in pairwise(ends))
    assert nn_qft.Relu(1.4).moment(TWO) == pytest.approx(expected, rel=1e-7)


def test_rectified_moments_on_a_line_and_refusals():
    relu = nn_qft.Relu(2.0)
    assert relu.moment(np.array([[1.0], [-1.0]])) == 0
    flat = np.array([[0.3, 0.0], [0.7, 0.0], [0.2, 0.0], [0.9, 0.0]])
    assert relu.moment(flat) == pytest.approx(relu.moment(flat[:, :1]) / 4)  # variance per weight halves
    for bad in (np.ones((3, 1)), np.ones((4, 3))):
        with pytest.raises(ConfigError, match="even number"):
            relu.moment(bad)
    with pytest.raises(ConfigError, match="no bias"):
        nn_qft.Relu(1.0, 0.5).moment(np.ones((2, 1)))


@pytest.mark.parametrize("hidden", [nn_qft.Gauss(1.3, 0.4), nn_qft.Erf(1.3, 0.4), nn_qft.Relu(1.3)])
def test_kernels_are_second_moments(hidden):
    for x, y in zip(TWO, TWO[::-1], strict=True):
        moment = hidden.moment(np.stack([x, y]))
        assert hidden.kernel(x, y[None])[0] == pytest.approx(hidden.weight_variance * moment, rel=1e-6)


def test_gauss_units_have_unit_second_moment_in_every_dimension():
    for d in (1, 2, 5):
        x = np.full((2, d), 0.7)
        assert nn_qft.Gauss(1.0, 1.0).moment(x) == pytest.approx(1.0)


def test_six_points_are_the_cumulant_of_a_mean_of_units():
    """At one input: kappa_6 of a sum of a_i g_i from its moments, by expanding them over units."""
    N, relu, x = 3, nn_qft.Relu(1.0), np.full((6, 1), 1.0)
    g2, g4, g6 = (relu.moment(x[:n]) for n in (2, 4, 6))
    # moments of S = sum g^2 / N, of which the output is a Gaussian variable of variance S
    s1, s2 = g2, (g4 + (N - 1) * g2**2) / N
    s3 = (g6 + 3 * (N - 1) * g4 * g2 + (N - 1) * (N - 2) * g2**3) / N**2
    m2, m4, m6 = s1, 3 * s2, 15 * s3
    assert nn_qft.connected_six(relu, x) / N**2 == pytest.approx(m6 - 15 * m4 * m2 + 30 * m2**3)
    assert nn_qft.connected_four(relu, x[:4]) / N == pytest.approx(m4 - 3 * m2**2)


def test_box_integrals_agree_with_an_adaptive_rule():
    hidden = nn_qft.Gauss(2.0, 0.1)
    expected = quad(lambda y: np.prod([hidden.kernel(p, np.array([[y]]))[0] for p in ONE]), -3, 3)[0]
    assert nn_qft.vertex_integral(hidden, ONE, 3.0) == pytest.approx(expected, rel=1e-9)


def test_scaled_flow_is_that_of_the_couplings():
    """Difference the running couplings at two cutoffs and bring them into units of the cutoff."""
    V, k, h = nonperturbative_nn.loop_volume(1), 2.0, 1e-4
    start = nonperturbative_nn.Couplings(1.5, 0.8, 0.3)

    def scaled(k):
        u = nonperturbative_nn.passive_flow(start, k)
        return np.array([u.quadratic / k**2, V * u.quartic / k**3, V**2 * u.sextic / k**4])

    slope = (scaled(k * np.exp(h)) - scaled(k * np.exp(-h))) / (2 * h)
    assert slope == pytest.approx(nonperturbative_nn.scaled_flow(scaled(k), 1), rel=1e-5)


def test_a_flow_that_ends_and_dimensions_out_of_reach_are_refused():
    with pytest.raises(FitFailedError, match="ends at"):
        nonperturbative_nn.passive_flow(nonperturbative_nn.Couplings(0.5, 500.0, 0.0), 100.0)
    with pytest.raises(ConfigError, match="dimension"):
        nonperturbative_nn.truncated_fixed_point(4, True)


def test_densities_integrate_to_one_with_their_cumulants():
    f = np.linspace(-12, 12, 4001)
    h = f[1] - f[0]
    p = edgeworth.density(f, edgeworth.Cumulants(1.3, 0.2, 0.05))
    assert h * p.sum() == pytest.approx(1)
    assert h * (p @ f**2) == pytest.approx(1.3)
    assert h * (p @ f**4) - 3 * 1.3**2 == pytest.approx(0.2)
    q = cos_net.density(f, 12, 2.0)
    assert h * q.sum() == pytest.approx(1, abs=1e-9)
    assert h * (q @ f**4) - 3 == pytest.approx(1.5 / 12, abs=1e-8)


def test_cos_net_correlators_agree_with_a_grid_of_weights():
    x = np.array([[0.0], [0.5], [1.2], [-0.7]])
    w, p = np.polynomial.hermite_e.hermegauss(60)
    b = np.arange(16) * 2 * np.pi / 16
    units = np.cos(w[:, None, None] * x[:, 0] + b[None, :, None])
    fourth = (p / p.sum()) @ units.prod(-1).mean(1)
    second = np.einsum("q,qbi,qbj->ij", p / p.sum(), units, units) / 16
    pairs = second[0, 1] * second[2, 3] + second[0, 2] * second[1, 3] + second[0, 3] * second[1, 2]
    assert cos_net.connected_four(x, 1.7, 1.0) == pytest.approx(1.7**2 * (3 * fourth - pairs), abs=1e-12)


def test_the_quartic_action_gives_the_connected_function_back():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    K = root @ root.T + np.eye(3)
    raw = rng.standard_normal((3,) * 4) * 1e-3
    connected = sum(raw.transpose(p) for p in permutations(range(4))) / 24
    action = edgeworth.quartic_action(K, connected)
    again = np.einsum("abcd,ai,bj,ck,dl->ijkl", action.quartic, K, K, K, K)
    assert again == pytest.approx(connected, abs=1e-15)
    f = rng.standard_normal((5, 3))
    slow = [-x @ np.linalg.inv(K) @ x / 2 + np.einsum("abcd,a,b,c,d", action.quartic, x, x, x, x) / 24 for x in f]
    assert action.log_density(f) == pytest.approx(slow)


def test_covariances_without_digits_are_refused_and_a_ridge_helps():
    x = np.linspace(0, 0.1, 6)
    K = np.exp(-(np.subtract.outer(x, x) ** 2))
    with pytest.raises(FitFailedError, match="condition number"):
        edgeworth.quartic_action(K, np.zeros((6,) * 4))
    assert edgeworth.quartic_action(K, np.zeros((6,) * 4), ridge=0.1).condition < 1e3
