"""Coupling recursions: limits, invariances, and refusals."""

from math import atanh, log, tanh

import numpy as np
import pytest

from blockspin.errors import FitFailedError
from blockspin.theory import migdal_kadanoff as theory
from blockspin.theory import niemeijer_van_leeuwen, spin_glass


@pytest.mark.parametrize("b", [2, 3, 1.5])
@pytest.mark.parametrize("K", [0.01, 0.5, 2.0])
def test_bonds_in_series_are_a_power_of_the_hyperbolic_tangent(K, b):
    assert theory.in_series(K, b) == pytest.approx(atanh(tanh(K) ** b), rel=1e-12)


def test_bonds_in_series_keep_their_digits_where_the_tangent_saturates():
    assert theory.in_series(40.0, 2) == pytest.approx(40 - log(2) / 2, rel=1e-14)


@pytest.mark.parametrize("dimension", [1.5, 2, 3, 4])
@pytest.mark.parametrize("b", [2, 3])
def test_both_orders_have_one_exponent_and_stay_at_their_fixed_points(dimension, b):
    for moved_first, step in ((True, theory.moved_then_decimated), (False, theory.decimated_then_moved)):
        point = theory.fixed_point(dimension, b, moved_first=moved_first)
        K, h = point.coupling, 1e-5 * point.coupling
        assert step(K, dimension, b) == pytest.approx(K, rel=1e-12)
        slope = (step(K + h, dimension, b) - step(K - h, dimension, b)) / (2 * h)
        assert log(slope) / log(b) == pytest.approx(point.thermal_exponent, abs=1e-8)


def test_near_one_dimension_the_exponent_is_the_distance_from_it():
    for eps in (0.1, 0.05):
        assert theory.fixed_point(1 + eps).thermal_exponent == pytest.approx(eps, abs=1e-6)


@pytest.mark.parametrize("dimension", [1, 0.5])
def test_one_dimension_has_no_critical_point(dimension):
    for call in (theory.fixed_point, theory.infinitesimal_fixed_point):
        with pytest.raises(FitFailedError, match="no critical coupling"):
            call(dimension)


def test_correlation_exponent_of_the_printed_table():
    assert theory.fixed_point(3).correlation_exponent == pytest.approx(1.06482, abs=1e-5)


def test_first_cumulant_stays_at_its_fixed_point():
    point = niemeijer_van_leeuwen.first_cumulant()
    assert niemeijer_van_leeuwen.renormalised_coupling(point.coupling) == pytest.approx(point.coupling, rel=1e-14)


# --- random couplings -------------------------------------------------------------------------------------------------


def test_random_bonds_in_series_equal_the_formula_and_their_zero_temperature_limit():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 100))
    assert spin_glass.in_series(first, second) == pytest.approx(np.arctanh(np.tanh(first) * np.tanh(second)), abs=1e-13)
    strong = spin_glass.in_series(1000 * first, 1000 * second) / 1000
    assert strong == pytest.approx(spin_glass.weaker(first, second), abs=1e-3)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_density_converges_with_its_cells(temperature):
    coarse, fine, finest = (spin_glass.density_widths(temperature, 3, 4, cells)[-1] for cells in (200, 400, 800))
    assert abs(fine - finest) < 0.5 * abs(coarse - fine)
    assert fine == pytest.approx(finest, rel=5e-3)


def test_two_dimensions_have_no_spin_glass_phase():
    with pytest.raises(FitFailedError, match="no spin-glass phase"):
        spin_glass.critical_temperature(2)
