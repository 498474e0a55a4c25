"""Exact results on finite tori: derivatives, symmetry, duality and limits."""

from math import log, sinh, tanh

import pytest

from blockspin.theory import cylinder, kaufman

K_C = kaufman.CRITICAL_COUPLING


@pytest.mark.parametrize("K", [0.2, K_C, 0.44068, 0.6])
@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (8, 12), (64, 64)])
def test_energy_is_the_derivative_of_the_free_energy(K, rows, columns):
    h = 2e-5
    near, far = (
        (kaufman.log_partition(K + s, rows, columns) - kaufman.log_partition(K - s, rows, columns)) / (2 * s)
        for s in (h, 2 * h)
    )
    assert kaufman.energy(K, rows, columns) == pytest.approx((4 * near - far) / 3, abs=1e-6)


@pytest.mark.parametrize("K", [0.3, K_C, 0.5])
def test_rows_and_columns_may_be_exchanged(K):
    assert kaufman.log_partition(K, 6, 10) == pytest.approx(kaufman.log_partition(K, 10, 6), rel=1e-13)


def test_the_infinite_lattice_is_dual_to_itself():
    K = 0.3
    dual = -log(tanh(K)) / 2
    difference = kaufman.onsager_log_partition(K) - kaufman.onsager_log_partition(dual)
    assert difference == pytest.approx(log(sinh(2 * K)), abs=1e-12)


def test_two_columns_of_spins_are_a_ladder():
    """Two sites around make every bond count twice; two rows of two are four spins: sixteen states by hand."""
    from itertools import product
    from math import exp

    K = 0.4
    Z = sum(exp(2 * K * (a * b + c * d + a * c + b * d)) for a, b, c, d in product((1, -1), repeat=4))
    assert kaufman.log_partition(K, 2, 2) == pytest.approx(log(Z), rel=1e-14)


def test_dimensions_of_a_wide_cylinder_are_those_of_the_continuum():
    found = cylinder.scaling_dimensions(10000)
    assert (found.spin, found.energy) == pytest.approx((1 / 8, 1.0), abs=1e-7)


def test_dimensions_of_the_printed_cylinder():
    found = cylinder.scaling_dimensions(64)
    assert (found.spin, found.energy) == pytest.approx((0.1250126, 0.9997993), abs=1e-7)
