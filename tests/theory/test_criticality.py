"""Criticality and vertices: classes, limits, other routes, refusals."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from blockspin.errors import ConfigError
from blockspin.theory import criticality, depth_to_width, four_point
from blockspin.theory.gaussian_average import average, cloud

K = np.array([[1.0, 0.3], [0.3, 0.7]])


@pytest.mark.parametrize(
    ("phi", "universality"),
    [
        (torch.relu, "scale-invariant"),
        (lambda z: functional.leaky_relu(z, 0.1), "scale-invariant"),
        (torch.tanh, "K* = 0"),
        (torch.sin, "K* = 0"),
        (lambda z: 3 * torch.tanh(z / 2), "K* = 0"),
        (functional.gelu, "half-stable"),
        (functional.silu, "half-stable"),
    ],
)
def test_classes(phi, universality):
    found = criticality.critical_initialisation(phi)
    assert found.universality == universality
    kernel = found.kernel if found.kernel > 0 else (1e-6 if found.kernel == 0 else 2.3)
    assert criticality.perpendicular(phi, kernel, found.weight_variance) == pytest.approx(1, abs=1e-5)
    assert criticality.parallel(phi, kernel, found.weight_variance) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("phi", [torch.sigmoid, functional.softplus, torch.square, torch.cos, torch.exp])
def test_activations_without_a_critical_point(phi):
    assert criticality.critical_initialisation(phi) is None


def test_a_tenth_of_the_bias_keeps_no_kernel_of_swish():
    """A printed C_b of 0.0555 has lost a digit: the variance then leaves K*."""
    found = criticality.critical_initialisation(functional.silu)
    moved = found.bias_variance / 10 + found.weight_variance * average(
        lambda z: functional.silu(z).square(), found.kernel
    )
    assert abs(moved - found.kernel) > 0.4


def test_derivatives_at_zero():
    assert criticality.derivatives_at_zero(torch.tanh) == pytest.approx((1, 0, -2))
    assert criticality.derivatives_at_zero(lambda z: torch.exp(2 * z)) == pytest.approx((2, 4, 8))
    bent = lambda z: torch.tanh(z) + 0.1 * torch.tanh(z) ** 2  # noqa: E731
    s1, s2, s3 = criticality.derivatives_at_zero(bent)
    assert criticality.decay_coefficient(bent) == pytest.approx(s3 / s1 + 0.75 * (s2 / s1) ** 2)
    assert criticality.perpendicular_exponent(torch.sin) == pytest.approx(1.0)


def test_unequal_widths_rescale_the_vertex():
    equal = criticality.running_couplings(torch.tanh, (0.0, 1.0), 4, 1.0)
    same = criticality.running_couplings(torch.tanh, (0.0, 1.0), 4, 1.0, [30, 30, 30])
    assert same.vertex == pytest.approx(equal.vertex)
    widths = [10, 20, 40]
    wide = criticality.running_couplings(torch.tanh, (0.0, 1.0), 4, 1.0, widths)
    v, K = 0.0, 1.0  # V over the width before
    for layer, n in enumerate(widths):
        fresh = average(lambda z: torch.tanh(z) ** 4, K) - average(lambda z: torch.tanh(z) ** 2, K) ** 2
        v = criticality.parallel(torch.tanh, K) ** 2 * v + fresh / n
        K = average(lambda z: torch.tanh(z) ** 2, K)
        assert wide.vertex[layer + 1] / n == pytest.approx(v)
    with pytest.raises(ConfigError, match="widths"):
        criticality.running_couplings(torch.tanh, (0.0, 1.0), 4, 1.0, [10, 20])


def test_growth_is_refused_without_a_class():
    with pytest.raises(ConfigError, match="class"):
        criticality.vertex_growth(functional.gelu)


def test_scale_invariant_couplings_grow_by_nu_a_layer():
    run = criticality.running_couplings(torch.relu, (0.0, 2.0), 6, 1.3)
    assert run.vertex / run.kernel**2 == pytest.approx(5.0 * np.arange(6), abs=1e-10)


def test_the_jacobian_is_that_of_differences():
    def kernel(K):
        z, w = cloud(K, 60)
        p = torch.tanh(z)
        return ((p * w[:, None]).T @ p).numpy()

    J = four_point.kernel_jacobian(torch.tanh, K)
    assert pytest.approx(J.transpose(0, 1, 3, 2)) == J
    for direction in ([[0, 1], [1, 0]], [[1, 0], [0, 0]], [[0, 0], [0, 1]]):
        step = 1e-5 * np.array(direction)
        assert np.einsum("abcd,cd->ab", J, step) == pytest.approx((kernel(K + step) - kernel(K - step)) / 2, abs=1e-13)


def test_vertices_of_one_input_are_the_running_couplings():
    run = criticality.running_couplings(torch.tanh, (0.1, 1.2), 4, 1.0)
    for layer, (kernel, V) in enumerate(four_point.vertices(torch.tanh, (0.1, 1.2), 4, K)):
        assert kernel[0, 0] == pytest.approx(run.kernel[layer], rel=1e-9)
        assert V[0, 0, 0, 0] == pytest.approx(run.vertex[layer], rel=1e-8)
        assert pytest.approx(V.transpose(2, 3, 0, 1), abs=1e-15) == V


def test_parallel_inputs_are_refused():
    with pytest.raises(ConfigError, match="parallel"):
        four_point.kernel_jacobian(torch.tanh, np.array([[1.0, 2.0], [2.0, 4.0]]))


def test_moments_of_one_hidden_layer_are_sums_over_units():
    """E of the cube of a mean of n squares of rectified normals, over all ways in which indices coincide."""
    n = 7
    relu = {2: 0.5, 4: 1.5, 6: 7.5}
    mean = (n * relu[6] + 3 * n * (n - 1) * relu[4] * relu[2] + n * (n - 1) * (n - 2) * relu[2] ** 3) / n**3
    assert four_point.scale_invariant_moment(6, n, 2) == pytest.approx(8 * mean)
    with pytest.raises(ConfigError, match="order"):
        four_point.scale_invariant_moment(8, n, 2)


def test_information_of_scales_is_that_of_a_direct_integral():
    """Two single neurons: the density on a grid of both, and of one."""
    v = 0.3
    x, w = np.polynomial.hermite_e.hermegauss(40)
    s, w = np.exp(-v / 2 + np.sqrt(v) * x), w / w.sum()
    z = np.linspace(-14, 14, 701)
    one = np.exp(-(z[:, None] ** 2) / (2 * s)) / np.sqrt(2 * np.pi * s)
    p, both = one @ w, (one * w) @ one.T
    h = z[1] - z[0]
    expected = -2 * h * np.sum(p * np.log(p)) + h**2 * np.sum(both * np.log(both))
    assert depth_to_width.mutual_information(1, v) == pytest.approx(expected, abs=1e-6)
    assert depth_to_width.information_series(1, 0.01) == pytest.approx(
        depth_to_width.mutual_information(1, np.log(1.01)), rel=0.01
    )
