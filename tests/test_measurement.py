"""Measurement: intervals, plain values, text."""

import json
from math import inf

import numpy as np
import pytest

from blockspin import Measurement


def test_a_normal_interval():
    low, high = Measurement(1.0, 0.5).interval(0.95)
    assert (low, high) == (pytest.approx(1 - 0.5 * 1.959964), pytest.approx(1 + 0.5 * 1.959964))


def test_an_interval_of_student():
    """The 97.5 % quantile of Student's t with 19 degrees of freedom is 2.0930."""
    low, high = Measurement(0.0, 1.0, dof=19).interval(0.95)
    assert (low, high) == (pytest.approx(-2.0930, abs=1e-4), pytest.approx(2.0930, abs=1e-4))


def test_an_array_has_an_interval_each():
    low, high = Measurement([1.0, 2.0], [0.1, 0.2]).interval(0.6827)
    np.testing.assert_allclose(high - low, [0.2, 0.4], rtol=1e-3)


def test_one_error_serves_an_array():
    assert Measurement([1.0, 2.0], 0.1).error.tolist() == [0.1, 0.1]


def test_numbers_become_plain_floats():
    measurement = Measurement(np.float32(1.5), np.array(0.5))
    assert type(measurement.value) is float
    assert type(measurement.error) is float


@pytest.mark.parametrize(
    "measurement",
    [
        Measurement(1.5, 0.1, "nats", 100.0, "delete-group jackknife, 20 groups", 19),
        Measurement([1.0, 2.0], [0.1, 0.2], "1", 50.0, "halves", 49),
        Measurement(2.0, 0.0),
    ],
)
def test_it_survives_json(measurement):
    found = Measurement.from_dict(json.loads(json.dumps(measurement.to_dict(), allow_nan=False)))
    assert found.to_dict() == measurement.to_dict()
    assert np.shape(found.value) == np.shape(measurement.value)


def test_what_is_not_finite_becomes_none_in_json():
    row = Measurement(np.nan, inf).to_dict()
    assert (row["value"], row["error"], row["n_eff"]) == (None, None, None)


def test_it_is_written_with_its_error_and_unit():
    assert str(Measurement(1.23456, 0.0123, "nats")) == "1.235 ± 0.012 nats"
    assert f"{Measurement(1.23456, 0.0123):.2f}" == "1.23 ± 0.012"
