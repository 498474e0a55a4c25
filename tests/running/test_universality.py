"""Universality: runs of two known classes are sorted, one class is not split, and chains of likeness stay open."""

import numpy as np
import pytest

from blockspin.answer import Verdict
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.running.universality import universality

ISING, PERCOLATION = {"nu": 1.0, "eta": 1 / 4}, {"nu": 4 / 3, "eta": 5 / 24}
"""Exact exponents of the plane."""


def run(exponents, seed, error=0.02, dof=19.0):
    rng = np.random.default_rng(seed)
    return {
        key: Measurement(value + error * rng.standard_normal(), error * np.sqrt(rng.chisquare(dof) / dof), dof=dof)
        for key, value in exponents.items()
    }


def test_two_classes_of_the_plane_are_told_apart():
    runs = {
        "square": run(ISING, 0),
        "triangular": run(ISING, 1),
        "bonds": run(PERCOLATION, 2),
        "sites": run(PERCOLATION, 3),
    }
    found = universality(runs, margin=0.1)
    assert found.classes == (("square", "triangular"), ("bonds", "sites"))
    assert found.verdict is Verdict.YES
    assert found.statement == "2 classes of exponents: square, triangular; bonds, sites."
    pair = next(pair for pair in found.pairs if pair.runs == ("square", "bonds"))
    assert (pair.verdict, pair.largest) == (Verdict.NO, "nu")
    assert pair.difference.value == pytest.approx(-1 / 3, abs=4 * pair.difference.error)


def test_a_class_is_not_said_to_be_one_where_differences_would_not_be_seen():
    found = universality({"a": run(ISING, 0), "b": run(ISING, 1)}, margin=0.01)
    assert found.classes == (("a", "b"),)
    assert found.verdict is Verdict.CANNOT_TELL
    assert "more than 0.01" in found.statement


def test_likeness_that_does_not_carry_over_leaves_the_number_open():
    runs = {str(x): {"nu": Measurement(x, 0.1, dof=50.0)} for x in (1.0, 1.3, 1.6)}
    found = universality(runs, margin=0.5)
    assert found.classes == (("1.0", "1.3", "1.6"),)
    assert found.verdict is Verdict.CANNOT_TELL
    assert "open" in found.statement


def test_one_class_is_split_no_more_often_than_the_level():
    alarms = 0
    for seed in range(200):
        found = universality({str(k): run(ISING, 5 * seed + k) for k in range(5)}, margin=0.1)
        alarms += any(pair.verdict is Verdict.NO for pair in found.pairs)
    assert alarms <= 18


def test_what_cannot_be_compared_is_refused_by_name():
    one = run(ISING, 0)
    with pytest.raises(TooFewSamplesError):
        universality({"a": one}, margin=0.1)
    with pytest.raises(ShapeError, match="b has the exponents"):
        universality({"a": one, "b": {"nu": one["nu"]}}, margin=0.1)
    with pytest.raises(ConfigError, match=r"b\.nu"):
        universality({"a": one, "b": {**one, "nu": Measurement(1.0, 0.0)}}, margin=0.1)
    with pytest.raises(ConfigError, match="margin"):
        universality({"a": one, "b": one}, margin=0.0)
