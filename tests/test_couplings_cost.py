"""Time told of couplings: as many scales, slices and null flows as are measured."""

import numpy as np
import pytest
import small_run

from blockspin import couplings_cost
from blockspin.couplings_cost import Sequel
from blockspin.couplings_folder import ladders
from blockspin.run import prepared, run


@pytest.mark.slow
def test_scales_are_counted_as_they_are_measured(tmp_path, monkeypatch):
    """A second a scale: the network's layers and the levels, those of two null flows beside them."""
    monkeypatch.setattr(couplings_cost._Clock, "scale", lambda self, field, samples: 1.0)
    config = small_run.config(tmp_path, steps=1, out=str(tmp_path / "out"))
    told = prepared(config).couplings_cost()
    found = ladders(run(config))
    count = [sum(len(ladder.labels) for ladder in found if bool(ladder.null_of) == null) for null in (False, True)]
    assert [told.own, told.nulls] == count
    assert "null flows" in str(told)


def test_what_is_not_measured_takes_no_time(tmp_path):
    assert prepared(small_run.bare(tmp_path)).couplings_cost() == Sequel()
    assert prepared(small_run.config(tmp_path, nulls=("off",))).couplings_cost().nulls == 0


def test_every_slice_takes_the_time_of_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(couplings_cost._Clock, "scale", lambda self, field, samples: 1.0)
    points = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=points, y=np.arange(120) % 2)
    plain = small_run.config(tmp_path, data=str(tmp_path / "data.npz"), column="x", groups=2)
    cut = plain.with_options({"targets": "y"})
    whole, sliced = (prepared(config).couplings_cost() for config in (plain, cut))
    assert sliced.own == 3 * whole.own
    assert sliced.nulls == whole.nulls  # along null flows the whole alone is measured
