"""Every known answer of the registry is met."""

import json

import numpy as np
import pytest

from blockspin.errors import FitFailedError
from blockspin.measurement import Measurement
from blockspin.registry import members
from blockspin.tethers import _driver
from blockspin.tethers._driver import cost_of, run_tether, skipped_tethers, tethered_schemes
from blockspin.tethers.base import Row

FAST = [name for name, tether in members("tethers").items() if tether.fast]
QUICK = [name for name in FAST if not members("tethers")[name].minutes]


def failures(name: str) -> list[dict]:
    rows = run_tether(name)
    assert json.loads(json.dumps(rows)) == rows
    return [row for row in rows if not row["passed"]]


@pytest.mark.parametrize("name", QUICK)
def test_quick_tethers_hold(name):
    assert failures(name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in members("tethers") if name not in QUICK])
def test_longer_tethers_hold(name):
    assert failures(name) == []


def test_fast_and_skipped_are_all():
    assert sorted([*FAST, *skipped_tethers(fast=True)]) == sorted(members("tethers"))
    assert skipped_tethers(fast=False) == []


def test_what_is_skipped_is_said_with_what_it_would_take():
    for name in skipped_tethers(fast=True):
        assert members("tethers")[name].minutes > 0
        assert members("tethers")[name].system in cost_of(name)
        assert " s on one core" in cost_of(name)


def test_rows_say_what_they_are():
    row = run_tether("marchenko-pastur")[0]
    assert {"tether", "system", "source", "quantity", "expected", "measured", "error", "z", "seconds", "passed"} <= set(
        row
    )


def test_tethers_name_schemes_that_exist():
    assert tethered_schemes() <= set(members("schemes"))


def test_a_tether_that_cannot_be_computed_is_a_failed_row(monkeypatch):
    class Broken:
        name, system, source = "broken", "none", "none"

        def rows(self):
            raise FitFailedError("it does not converge")
            yield

    monkeypatch.setattr(_driver, "members", lambda family: {"broken": Broken})
    (row,) = run_tether("broken")
    assert (row["passed"], row["quantity"]) == (False, "it does not converge")


def test_numbers_of_numpy_become_plain_ones():
    one = np.float64(1)
    for error in (np.float64(0), np.float64(0.5)):
        row = Row("x", one, Measurement(one, error, "1"), np.float64(0.1)).to_dict()
        assert {type(value) for value in row.values()} <= {str, float, bool, type(None)}
        assert json.loads(json.dumps(row)) == row
