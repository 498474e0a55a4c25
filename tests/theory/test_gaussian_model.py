"""Theory of the Gaussian model equals brute force."""

import numpy as np
import pytest

from blockspin.theory import gaussian_model as theory


@pytest.mark.parametrize(("shape", "mass", "eta"), [((12,), 0.3, 0.0), ((6, 8), 0.0, 0.5), ((4, 4, 4), 1.0, 0.0)])
@pytest.mark.parametrize("b", [1, 2])
def test_block_variance_equals_the_double_sum_over_the_block(shape, mass, eta, b):
    covariance = np.fft.ifftn(theory.spectrum(shape, mass, eta)).real
    corner = np.stack(np.meshgrid(*[np.arange(b)] * len(shape), indexing="ij")).reshape(len(shape), -1)
    total = sum(covariance[tuple(i - j)] for i in corner.T for j in corner.T)
    assert theory.block_average_variance(shape, mass, b, eta) == pytest.approx(total / b ** (2 * len(shape)), rel=1e-12)


def test_wave_numbers_are_those_of_the_fourier_transform():
    for sites in (7, 8):
        assert theory.wave_numbers(sites) == pytest.approx(2 * np.pi * np.fft.fftfreq(sites), abs=1e-15)


def test_momentum_shell_maps_the_spectrum_onto_itself():
    k = np.array([0.1, 0.7, 2.0])
    b, r, eta = 3.0, 0.2, 0.5
    fine = 1 / ((k / b) ** (2 - eta) + r)
    coarse = 1 / (k ** (2 - eta) + theory.mass_after_shell(r, b, eta))
    assert coarse * b ** (2 - eta) == pytest.approx(fine, rel=1e-14)


def test_rank_exponent_of_a_scale_free_torus():
    S = np.sort(theory.spectrum((256, 256), 0.0, 0.25).reshape(-1))[::-1]
    rank = np.arange(1, len(S) + 1)
    window = slice(100, 10000)
    slope = np.polyfit(np.log(rank[window]), np.log(S[window]), 1)[0]
    assert -slope == pytest.approx(theory.rank_exponent(2, 0.25), abs=0.01)  # lattice corners: 0.867 against 0.875


@pytest.mark.parametrize("eta", [0.25, 1.0])
def test_block_sums_of_a_large_scale_free_torus_nearly_have_their_exponent(eta):
    slopes = theory.block_sum_slopes((512, 512), (2, 4, 8, 16), eta)
    assert (slopes < theory.block_sum_exponent(2, eta)).all()
    assert slopes == pytest.approx([theory.block_sum_exponent(2, eta)] * 3, abs=0.12)
    assert theory.rank_slope((256, 256), (5, 30000), eta) == pytest.approx(theory.rank_exponent(2, eta), abs=1e-3)


def test_block_sums_without_correlations_add_their_variances():
    slopes = theory.block_sum_slopes((64, 64), (1, 2, 4), 2.0)
    assert slopes == pytest.approx([1.0, 1.0], abs=0.01)  # the missing mode


def tree_covariance(variances, branching):
    leaf = np.arange(branching ** (len(variances) - 1))
    return sum(
        v * ((leaf // branching**level)[:, None] == leaf // branching**level) for level, v in enumerate(variances)
    )


@pytest.mark.parametrize("branching", [2, 3])
def test_tree_spectrum_equals_diagonalisation(branching):
    v = [1.0, 0.4, 0.9, 0.2]
    measured = np.linalg.eigvalsh(tree_covariance(v, branching))[::-1]
    assert theory.tree_spectrum(v, branching) == pytest.approx(measured, abs=1e-12)


@pytest.mark.parametrize("branching", [2, 3])
def test_tree_coarse_graining_equals_averaging_the_covariance(branching):
    v = [1.0, 0.4, 0.9, 0.2]
    fine = tree_covariance(v, branching)
    size = len(fine) // branching
    averaged = fine.reshape(size, branching, size, branching).mean(axis=(1, 3))
    assert tree_covariance(theory.tree_level_variances(v, branching), branching) == pytest.approx(averaged, abs=1e-14)
