"""The command that collapses a table of curves: the answer of the function, in words and as JSON, and refusals."""

import json
from functools import partial

import numpy as np
import pytest

from blockspin.cli.collapse import command, curves_in
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.running import data_collapse

NU, CRITICAL = 1.0, 2.2692


@pytest.fixture
def table(tmp_path):
    """Curves of a dimensionless ratio, rows in no order."""
    rng = np.random.default_rng(0)
    rows = [
        (L, x, 1 / (1 + np.exp(1.2 * (x - CRITICAL) * L ** (1 / NU))) + 0.01 * rng.standard_normal(), 0.01)
        for L in (16, 32, 64)
        for x in np.linspace(2.2, 2.34, 9)
    ]
    rng.shuffle(rows)
    path = tmp_path / "curves.csv"
    path.write_text("size,x,y,error\n" + "\n".join(",".join(map(repr, map(float, row))) for row in rows))
    return path


def test_a_table_is_collapsed_and_told(table, capsys, monkeypatch):
    monkeypatch.setattr(data_collapse, "collapse", partial(data_collapse.collapse, resamples=12))
    assert command(table, start=(2.26, 1.1, 0.0), fixed=["zeta"], as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    for name, truth in (("critical", CRITICAL), ("nu", NU)):
        assert found[name]["value"] == pytest.approx(truth, abs=5 * found[name]["error"])
    assert found["held"] == ["zeta"]
    assert found["p_value"] > 0.05
    command(table, start=(2.26, 1.1, 0.0), fixed=["zeta"])
    shown = capsys.readouterr().out
    assert "x_c = 2.26" in shown
    assert "zeta = 0 (held)" in shown
    assert "not refused" in shown


def test_points_are_put_in_order(table):
    assert all((np.diff(curve.x) > 0).all() for curve in curves_in(table).values())


def test_mistakes_are_told_by_name(table, tmp_path):
    with pytest.raises(ConfigError, match="fixed"):
        command(table, start=(2.26, 1.1, 0.0), fixed=["beta"])
    (tmp_path / "other.csv").write_text("size,x,y\n1,2,3\n")
    with pytest.raises(ConfigError, match="size, x, y and error"):
        command(tmp_path / "other.csv", start=(1.0, 1.0, 0.0))
    (tmp_path / "few.csv").write_text("size,x,y,error\n1,2,3,1\n")
    with pytest.raises(TooFewSamplesError, match="at least three"):
        command(tmp_path / "few.csv", start=(1.0, 1.0, 0.0))
    with pytest.raises(ConfigError, match="readable"):
        command(tmp_path / "none.csv", start=(1.0, 1.0, 0.0))
