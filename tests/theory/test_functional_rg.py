"""Fixed points of the local potential: the linearised flow, convergence, refusals, and the one-loop limit."""

import numpy as np
import pytest

from blockspin.errors import ConfigError
from blockspin.theory import epsilon_expansion
from blockspin.theory.functional_rg import lpa_fixed_point, lpa_flow
from blockspin.theory.lpa_collocation import lpa_collocation


def test_the_flow_of_the_expansion_is_that_of_the_potential():
    """Difference the flow equation of a potential, given as a polynomial, at points near its minimum."""
    d, N = 3.0, 2.0
    x = np.array([2.5, 0.07, 0.01, 0.002])
    flow = lpa_flow(x, d, N)

    def rhs(t):
        u = np.polynomial.Polynomial([0, 0, *x[1:]])
        first, second, rho = u.deriv()(t), u.deriv(2)(t), x[0] + t
        return -d * u(t) + (d - 2) * rho * first + (N - 1) / (1 + first) + 1 / (1 + first + 2 * rho * second)

    # u(rho, t) with rho_0 moving: d_t u = sum flow_n (rho - rho_0)^n - u' flow_0, and c_0 is free
    t = np.linspace(-0.01, 0.01, 9)
    fitted = np.polynomial.polynomial.polyfit(t, rhs(t), 6)
    u = np.array([0, 0, *x[1:], 0])
    expected = [-(n + 1) * u[n + 1] * flow[0] + (flow[n - 1] if n > 1 else 0) for n in range(1, len(x) + 1)]
    assert fitted[1 : len(x) + 1] == pytest.approx(expected, abs=1e-5)


def test_orders_converge_as_an_alternating_series():
    limit = lpa_fixed_point(3, 1, 20).correlation_exponent
    errors = [abs(lpa_fixed_point(3, 1, M).correlation_exponent - limit) for M in (4, 6, 10, 14)]
    assert errors == sorted(errors, reverse=True)
    assert lpa_fixed_point(3, 1, 6).correlation_exponent == pytest.approx(0.64985, abs=5e-6)


@pytest.mark.parametrize(("dimension", "components"), [(2.9, 1), (2.9, 2), (3, 2.5), (3, 10)])
def test_both_methods_agree_where_dimension_or_components_are_not_whole(dimension, components):
    expansion, grid = lpa_fixed_point(dimension, components), lpa_collocation(dimension, components)
    assert -1 / grid.eigenvalues[0].real == pytest.approx(expansion.correlation_exponent, abs=2e-6)
    assert grid.minimum == pytest.approx(expansion.minimum, rel=2e-6)


def test_the_grid_does_not_matter():
    exponents = [
        lpa_collocation(3, 4, points, stretch).eigenvalues[:3].real for points, stretch in ((40, 3), (50, 2.5))
    ]
    assert exponents[0] == pytest.approx(exponents[1], abs=1e-8)


@pytest.mark.parametrize("dimension", [2, 4, 5])
def test_dimensions_without_a_fixed_point_within_reach_are_refused(dimension):
    with pytest.raises(ConfigError, match="dimension"):
        lpa_fixed_point(dimension, 1)


def test_one_loop_exponent_is_that_of_the_flow_of_two_couplings():
    eps = 1e-4
    x = np.array([0.0, 0.0])
    x[1] = eps / 9
    for _ in range(50):  # the fixed point
        x = np.array([-1.5 * x[1] / (1 + x[0]), eps * (1 + x[0]) ** 2 / 9])

    def flow(x):
        return np.array(epsilon_expansion.coupling_flow(*x, eps))

    assert np.abs(flow(x)).max() < 1e-15
    step = 1e-6
    jacobian = np.stack([(flow(x + step * e) - flow(x - step * e)) / (2 * step) for e in np.eye(2)], axis=1)
    nu = 1 / np.linalg.eigvals(jacobian).max()
    assert (nu - 0.5) / eps == pytest.approx(1 / 12, abs=10 * eps)


def test_second_order_of_the_expansion_follows_from_two_loops():
    eps = 1e-4
    gap = epsilon_expansion.from_two_loop_functions(eps) - epsilon_expansion.correlation_exponent(eps, 2)
    assert abs(gap) < eps**3
