"""Canonical dimensions and loop coefficients: derived again, symbolically and by integration."""

import numpy as np
import pytest
import sympy
from scipy.integrate import quad

from blockspin.theory import marchenko_pastur
from blockspin.theory import spectral_field_theory as theory


def test_loop_coefficients_follow_from_the_flow_of_the_potential():
    """Expand c / (1 + V' + 2 chi V'') to third order in chi."""
    chi, u2, u4, u6, a = sympy.symbols("chi u2 u4 u6 a", positive=True)
    b, c = 2 * a**2 / 3, 1 / (3 * a)
    V = u2 * chi + a * u4 * chi**2 + b * u6 * chi**3
    loop = c / (1 + sympy.diff(V, chi) + 2 * chi * sympy.diff(V, chi, 2))
    derived = [sympy.diff(loop, chi, n).subs(chi, 0) / sympy.factorial(n) / w for n, w in ((1, 1), (2, a), (3, b))]
    values = {u2: 0.3, u4: 0.2, u6: -0.4}
    none = theory.CanonicalDimensions(0.0, 0.0, 0.0)
    found = theory.beta_functions(theory.Couplings(0.3, 0.2, -0.4), none)
    for expression, number in zip(derived, (found.quadratic, found.quartic, found.sextic), strict=True):
        assert sympy.diff(expression, a).equals(0)  # the normalisation drops out
        assert number == pytest.approx(float(expression.subs(values).subs(a, 1.7)), rel=1e-12)


def test_the_printed_code_of_the_field_has_other_coefficients_than_the_potential():
    """-2 u6 for -10/3 u6 cannot go with 12, 60 and 108 in any normalisation of u6."""
    a, b, c = sympy.symbols("a b c")
    equations = [6 * a * c - 2, 36 * a * c - 12, 180 * a * c - 60, 216 * a**3 * c / b - 108, 15 * b * c / a - 2]
    assert sympy.solve(equations, [a, b, c]) == []


@pytest.mark.parametrize("dimension", [1.5, 2, 3, 4, 6])
def test_power_laws_have_the_dimensions_of_a_lattice(dimension):
    x = 0.7
    found = theory.dimensions(x ** (dimension / 2) / (dimension / 2), x ** (dimension / 2), dimension / 2 - 1)
    expected = theory.power_law_dimensions(dimension)
    assert (found.quadratic, found.quartic, found.sextic) == pytest.approx(
        (expected.quadratic, expected.quartic, expected.sextic)
    )
    assert found.effective_dimension == pytest.approx(dimension)
    assert found.field == pytest.approx(1 - found.quadratic)


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("x", [0.02, 0.2, 0.7])
def test_dimensions_of_noise_are_logarithmic_derivatives_of_integrals(ratio, x):
    low, high = marchenko_pastur.edges(ratio)
    rho = lambda y: float(  # noqa: E731
        marchenko_pastur.density(np.array(low + 1 / (y + 1 / (high - low))), ratio) / (y + 1 / (high - low)) ** 2
    )
    share = quad(lambda y: 2 * y * rho(y**2), 0, x**0.5, epsabs=1e-13)[0]
    h = 1e-4
    slope = x * (np.log(rho(x + h)) - np.log(rho(x - h))) / (2 * h)
    expected = theory.dimensions(share, x * rho(x), slope)
    found = theory.noise_dimensions(x, ratio)
    assert (found.quadratic, found.quartic) == pytest.approx((expected.quadratic, expected.quartic), abs=2e-5)


def test_the_dimension_of_u4_is_what_the_units_of_the_potential_grow_by():
    """[u4] = 2 [u2] - 1 - d ln [u2] / d ln I, by differences along the bulk."""
    ratio, x, h = 0.5, 0.2, 1e-4
    a, b, c = (theory.noise_dimensions(y, ratio) for y in (x * (1 - h), x, x * (1 + h)))
    bend = (np.log(c.quadratic) - np.log(a.quadratic)) / (2 * h) * b.quadratic
    assert b.quartic == pytest.approx(2 * b.quadratic - 1 - bend, abs=1e-5)


def test_momenta_are_zero_at_the_upper_edge_and_infinite_at_the_lower():
    low, high = marchenko_pastur.edges(0.5)
    found = theory.squared_momentum(np.array([low, high, high * 1.1]), 0.5)
    assert found[0] == np.inf
    assert found[1] == pytest.approx(0, abs=1e-12)
    assert found[2] < 0


def test_small_couplings_grow_by_their_dimensions_and_the_flow_converges():
    lattice = theory.power_law_dimensions(3)
    start = theory.Couplings(0.0, 0.0, 1e-12)
    path = theory.flow(start, lambda tau: lattice, (0.0, -2.0))
    assert path[-1].sextic == pytest.approx(1e-12, rel=1e-6)  # marginal in three dimensions
    start = theory.Couplings(1e-5, 0.0, 0.0)
    path = theory.flow(start, lambda tau: lattice, (0.0, -2.0))
    assert path[-1].quadratic == pytest.approx(1e-5 * np.exp(4 / 3), rel=1e-9)
    strong = theory.Couplings(-0.05, 0.02, 0.001)
    ends = [theory.flow(strong, lambda tau: lattice, (0.0, -1.0), steps)[-1].quartic for steps in (20, 40, 80)]
    assert abs(ends[2] - ends[1]) < abs(ends[1] - ends[0]) / 10
