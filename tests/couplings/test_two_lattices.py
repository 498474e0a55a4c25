"""A flow that turns once is bracketed; one that does not, or not here, is said to."""

import pytest

from blockspin.couplings.two_lattices import bracket, difference
from blockspin.errors import ConfigError, FitFailedError
from blockspin.measurement import Measurement


def flows(*rows: tuple[float, float, float]) -> dict[float, Measurement]:
    return {K: Measurement(value, error, dof=38) for K, value, error in rows}


def test_the_turn_lies_between_what_goes_down_and_what_goes_up():
    found = bracket(flows((0.4, -0.3, 0.02), (0.43, -0.1, 0.02), (0.44, 0.01, 0.02), (0.46, 0.2, 0.02)))
    assert (found.low, found.high, found.found) == (0.43, 0.46, True)
    assert found.holds(0.44)
    assert not found.holds(0.47)
    assert str(found) == "0.43 to 0.46 (95% intervals)"


def test_no_turn_in_range_is_allowed():
    found = bracket(flows((0.1, -0.3, 0.02), (0.2, -0.1, 0.02)))
    assert (found.low, found.high, found.found) == (0.2, None, False)
    assert not found.holds(0.3)


def test_a_flow_that_turns_twice_is_refused():
    with pytest.raises(FitFailedError, match="does not turn once"):
        bracket(flows((0.4, 0.3, 0.02), (0.5, -0.3, 0.02)))


@pytest.mark.parametrize(("rows", "level"), [(((0.4, 0.3, 0.02),), 0.95), (((0.4, 0.3, 0.02), (0.5, 0.4, 0.02)), 1.0)])
def test_what_cannot_be_bracketed_is_refused(rows, level):
    with pytest.raises(ConfigError):
        bracket(flows(*rows), level)


def test_independent_errors_add_in_squares():
    found = difference(Measurement(0.5, 0.03, dof=19), Measurement(0.4, 0.04, dof=19))
    assert (found.value, found.error) == (pytest.approx(0.1), pytest.approx(0.05))
    assert found.dof == pytest.approx(0.0025**2 / (0.0009**2 / 19 + 0.0016**2 / 19))
    assert difference(Measurement(0.5, 0.0), Measurement(0.4, 0.0)).dof == float("inf")
