"""Kernel regression flows, fluctuations at the edge of chaos, and relative entropies: other routes and refusals."""

from math import inf, log

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from blockspin.errors import ConfigError
from blockspin.tethers._networks import in_law, through_weights
from blockspin.theory import edge_of_chaos, kaufman, relative_entropy
from blockspin.theory import kernel_regression_rg as theory

SPECTRUM = np.arange(1.0, 301) ** -1.5


def test_the_ridge_runs_by_the_eigenvalue_that_is_removed():
    ridge = theory.running_ridge(SPECTRUM, 0.1)
    slow = [0.1 + sum(SPECTRUM[k:]) for k in range(301)]
    assert ridge == pytest.approx(slow)
    assert np.diff(ridge) == pytest.approx(-SPECTRUM)


def test_a_local_ridge_is_the_running_one_where_modes_are_flat():
    rng = np.random.default_rng(0)
    flat = rng.choice([-1.0, 1.0], (5, 200))
    assert theory.local_ridge(SPECTRUM[100:], flat, 0.1) == pytest.approx(theory.running_ridge(SPECTRUM, 0.1)[100])
    modes = rng.standard_normal((4000, 200))
    found = theory.local_ridge(SPECTRUM[100:], modes, 0.1)
    assert found.std() > 0
    error = found.std() / 4000**0.5
    assert found.mean() == pytest.approx(theory.running_ridge(SPECTRUM, 0.1)[100], abs=4 * error)


def test_the_effective_ridge_is_a_fixed_point():
    for n, ridge in ((10, 0.0), (50, 1e-3), (1000, 0.1)):
        kappa = 1.0
        for _ in range(20000):
            kappa = ridge + (SPECTRUM * kappa / (kappa + n * SPECTRUM)).sum()
        assert theory.effective_ridge(SPECTRUM, n, ridge) == pytest.approx(kappa, rel=1e-8)
    with pytest.raises(ConfigError, match="samples"):
        theory.effective_ridge(SPECTRUM, 400, 0.0)


def test_the_running_ridge_is_the_effective_one_of_modes_that_are_not_learned():
    """Far below the effective ridge a mode contributes its eigenvalue, whatever the number of samples."""
    weak = np.full(10**5, 1e-6)
    strong = np.array([50.0, 20.0])
    whole = theory.effective_ridge(np.concatenate([strong, weak]), 100, 0.01)
    reduced = theory.effective_ridge(strong, 100, theory.running_ridge(np.concatenate([strong, weak]), 0.01)[2])
    assert whole == pytest.approx(reduced, rel=2e-3)


def test_noise_adds_its_amplified_part():
    clean = theory.generalisation(SPECTRUM, SPECTRUM, 60, 0.01)
    noisy = theory.generalisation(SPECTRUM, SPECTRUM, 60, 0.01, noise=0.3)
    assert noisy.error - clean.error == pytest.approx(0.3 * clean.overfitting / (1 - clean.overfitting))


def test_ridge_regression_on_two_modes_has_the_error_that_is_predicted():
    """Many samples and strong ridge: plain ridge regression shrinks each coefficient by n lambda / (n lambda + s2)."""
    eigenvalues, n, ridge = np.array([1.0, 0.2]), 10**5, 1e4
    shrunk = ridge / (ridge + n * eigenvalues)
    expected = float(shrunk**2 @ [1.0, 1.0])
    assert theory.generalisation(eigenvalues, np.ones(2), n, ridge).error == pytest.approx(expected, rel=1e-3)


def test_the_cut_is_where_modes_cease_to_be_learned():
    for n, ridge in ((20, 0.0), (20, 0.5), (10**7, 1e-9)):
        cut = theory.learnability_cut(SPECTRUM, n, ridge)
        running = theory.running_ridge(SPECTRUM, ridge)
        assert all(n * SPECTRUM[k] > running[k + 1] for k in range(cut))
        assert cut == len(SPECTRUM) or n * SPECTRUM[cut] <= running[cut + 1]
    with pytest.raises(ConfigError, match="descending"):
        theory.learnability_cut(SPECTRUM[::-1], 10, 0.1)


def test_moments_of_norms_are_those_of_chi_square_variables():
    network, q = edge_of_chaos.LinearNetwork(6, 0.8, 0.3), 1.4
    scale = (0.8 * q + 0.3) / 6
    mean, square = edge_of_chaos.moments(network, q, 1)[1]
    assert mean == pytest.approx(scale * chi2(6).mean())
    assert square == pytest.approx(scale**2 * chi2(6).moment(2))
    expected = chi2(6).expect(np.log) / 2 + (log(0.8) - log(6)) / 2
    assert edge_of_chaos.quenched_exponent(network) == pytest.approx(expected, abs=1e-7)


def test_fluctuations_do_not_settle_beyond_their_critical_point():
    critical = edge_of_chaos.fluctuation_criticality(20)
    assert edge_of_chaos.fluctuation_depth(edge_of_chaos.LinearNetwork(20, 1.0)) == inf
    assert edge_of_chaos.fluctuation_depth(edge_of_chaos.LinearNetwork(20, 0.99 * critical)) < inf
    assert edge_of_chaos.annealed_exponent(1.0) == 0


def test_layers_drawn_in_law_have_the_moments_of_layers_of_drawn_weights():
    h = torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).double().expand(20_000, 5)
    q = 0.3 + 1.2 * float(h[0].square().mean())
    weights = through_weights(h[:, None], 4, (0.3, 1.2), generator=torch.Generator().manual_seed(1))[:, 0]
    law = in_law(h, 4, (0.3, 1.2), generator=torch.Generator().manual_seed(2))
    for z in (weights, law):
        error = q * (2 / z.numel()) ** 0.5
        assert float(z.square().mean()) == pytest.approx(q, abs=4 * error)
        assert float((z[:, 0] * z[:, 1]).mean()) == pytest.approx(0, abs=4 * q / 20_000**0.5)


def test_the_energy_of_the_plane_is_the_slope_of_its_partition_function():
    for K in (0.1, 0.4, kaufman.CRITICAL_COUPLING + 0.02, 1.2):
        h = 1e-4
        ends = [kaufman.onsager_log_partition(K + s * h) for s in (-1, 1)]
        assert relative_entropy.plane_energy(K) == pytest.approx((ends[1] - ends[0]) / (2 * h), abs=2e-6)
        assert relative_entropy.ising_plane(K, K) == 0
        assert relative_entropy.ising_plane(K, 0.8 * K) > 0


def test_relative_entropy_of_layers():
    assert relative_entropy.network_layer(2.0, 2.0) == 0
    expected = relative_entropy.gaussian(np.array([[3.0]]), np.array([[2.0]]))
    assert relative_entropy.network_layer(3.0, 2.0) == pytest.approx(expected)
