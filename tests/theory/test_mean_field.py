"""Gaussian averages and mean-field propagation: other quadrature, limits, refusals."""

from math import inf, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from blockspin.errors import ConfigError, FitFailedError
from blockspin.theory import mean_field
from blockspin.theory.gaussian_average import average, averages, cloud, pair_average, slope


@pytest.mark.parametrize("K", [0.01, 1.0, 30.0])
def test_averages_agree_with_an_adaptive_rule(K):
    for phi in (torch.tanh, torch.relu, lambda z: z.abs() ** 1.5, torch.sigmoid):

        def density(x, phi=phi):
            return float(phi(torch.tensor(sqrt(K) * x, dtype=torch.float64)).square()) * np.exp(-(x**2) / 2)

        expected = sum(quad(density, *ends, epsabs=1e-13, epsrel=1e-12)[0] for ends in ((-12, 0), (0, 12)))
        assert average(lambda z, phi=phi: phi(z).square(), K) == pytest.approx(expected / sqrt(2 * pi), rel=1e-10)


def test_averages_of_monomials():
    K = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    assert torch.allclose(averages(lambda z: z**6, K), 15 * K**3, rtol=1e-13)
    assert pair_average(lambda z: z**3, lambda z: z, (0.5, -0.4, 2.0)) == pytest.approx(3 * 0.5 * -0.4, abs=1e-12)
    assert pair_average(lambda z: z.sign(), lambda z: z.sign(), (1.0, 0.5, 1.0)) == pytest.approx(1 / 3, abs=1e-12)


def test_averages_at_full_correlation():
    for sign in (1, -1):
        found = pair_average(torch.relu, torch.relu, (1.0, float(sign), 1.0))
        assert found == pytest.approx(0.5 if sign > 0 else 0.0, abs=1e-12)


def test_a_cloud_has_the_moments_of_its_covariance_and_its_rank():
    x = np.array([[1.0, 0.2], [0.3, -1.0], [0.5, 0.5]])
    z, w = cloud(x @ x.T, 6)
    assert len(w) == 36
    assert (z.T * w @ z).numpy() == pytest.approx(x @ x.T, abs=1e-12)
    with pytest.raises(ConfigError, match="too many"):
        cloud(np.eye(5), 40)


def test_slopes_are_those_of_calculus():
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.allclose(slope(torch.tanh)(z), 1 - z.tanh() ** 2)
    assert not slope(torch.tanh)(z).requires_grad


def test_no_covariance_is_refused():
    with pytest.raises(ConfigError, match="variance"):
        average(torch.tanh, -1.0)
    with pytest.raises(ConfigError, match="covariance"):
        pair_average(torch.tanh, torch.tanh, (1.0, 1.1, 1.0))


def test_iterated_layers_settle_where_propagation_says():
    for weight, bias in ((1.3, 0.05), (2.5, 0.05), (3.0, 0.0)):
        found = mean_field.propagation(torch.tanh, weight, bias)
        q = c = 0.5
        for _ in range(400):
            q = mean_field.variance_map(torch.tanh, q, weight, bias)
        for _ in range(150):
            c = mean_field.correlation_map(torch.tanh, c, found.variance, weight, bias)
        assert q == pytest.approx(found.variance, rel=1e-10)
        assert c == pytest.approx(found.correlation, abs=1e-5)


def test_the_slope_of_the_variance_map():
    q, h = 0.7, 1e-5
    ends = [mean_field.variance_map(torch.sin, q + s * h, 1.5, 0.0) for s in (-1, 1)]
    assert mean_field.variance_slope(torch.sin, q, 1.5) == pytest.approx((ends[1] - ends[0]) / (2 * h), abs=1e-8)


def test_phases():
    assert mean_field.propagation(torch.tanh, 1.0, 0.05).phase == "ordered"
    assert mean_field.propagation(torch.tanh, 3.0, 0.05).phase == "chaotic"
    weight, _ = mean_field.critical_weight_variance(torch.tanh, 0.05)
    on = mean_field.propagation(torch.tanh, weight, 0.05)
    assert (on.phase, on.correlation_depth) == ("critical", inf)
    assert mean_field.critical_weight_variance(torch.tanh, 0.0) == (pytest.approx(1.0), 0.0)


def test_what_has_no_fixed_point_is_refused():
    with pytest.raises(FitFailedError, match="every variance is kept"):
        mean_field.propagation(torch.relu, 2.0, 0.0)
    with pytest.raises(FitFailedError, match="grows"):
        mean_field.propagation(torch.relu, 2.5, 0.0)
    with pytest.raises(FitFailedError, match="no critical line"):
        mean_field.critical_weight_variance(torch.relu, 0.1)
    with pytest.raises(ConfigError, match="variances"):
        mean_field.propagation(torch.tanh, -1.0, 0.0)
