"""Sectors in a run: planted networks side by side, independent and coupled, told through the run's own folder."""

import json

import numpy as np
import pytest
import small_run

from blockspin.run import run

LAYERS = ("0", "1", "2")


def couplings(tmp_path, model, couplings):
    data = tmp_path / "many.npy"
    np.save(data, np.random.default_rng(0).normal(size=(1600, 8)).astype(np.float32))
    given = {"data": str(data), "samples": 1600, "kernel_samples": 1200, "shard_size": 400, "nulls": ("off",)}
    config = small_run.config(tmp_path, model=model, couplings=couplings, layers=LAYERS, groups=10, **given)
    folder = run(config.with_options({"batch_size": 400}), folder=tmp_path / "run")
    found = json.loads((folder / "couplings.json").read_text(encoding="utf-8"))
    rows = next(t["rows"] for t in found["tables"] if (t["flow"], t["theory"]) == ("network", "sectors"))
    (row,) = (row for row in found["validity"] if row["flow"] == "network" and row["theory"] == "sectors")
    return {row["label"]: row for row in rows}, row, (folder / "report.html").read_text(encoding="utf-8")


def test_two_independent_networks_side_by_side_are_not_coupled_across(tmp_path):
    rows, said, page = couplings(tmp_path, "small_run:side_by_side", ("sectors:blocks=2,names=['left', 'right']",))
    for row in rows.values():
        assert set(row["values"]) == {"within[left]", "within[right]", "cross[left, right]"}
        cross, within = row["values"]["cross[left, right]"], row["values"]["within[left]"]
        assert abs(cross["value"]) < 4 * cross["error"]
        assert within["value"] > 10 * abs(cross["value"])
    assert said["verdict"] == "yes"
    assert said["statement"].startswith("No coupling across sectors seen in 3 tests")
    assert "● coupled across: not seen" in page


@pytest.mark.slow
def test_a_planted_coupling_is_seen_and_no_theory_is_said_to_fail(tmp_path):
    rows, said, page = couplings(tmp_path, "small_run:coupled_side_by_side", ("sectors:blocks=2",))
    for row in rows.values():
        cross = row["values"]["cross[block 0, block 1]"]
        assert cross["value"] > 4 * cross["error"]
    assert said["verdict"] == "no"
    assert said["statement"].startswith("Sectors are coupled at every scale, most clearly at ")
    assert "▲ coupled across" in page
    assert "The theory fails" not in said["statement"]


@pytest.mark.slow
def test_sectors_are_found_on_units_that_are_not_measured(tmp_path):
    rows, said, _ = couplings(tmp_path, "small_run:side_by_side", ("sectors:by='found'",))
    for row in rows.values():
        assert set(row["values"]) == {"mean_within", "mean_cross"}
        assert row["notes"]["sectors"] >= 2
        assert row["values"]["mean_within"]["value"] > 10 * abs(row["values"]["mean_cross"]["value"])
    assert said["verdict"] == "yes"
