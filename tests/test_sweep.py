"""Sweeps: every combination, equal passes read once, cut short and gone on, failures told in their row."""

import json

import pytest
import small_run
from safetensors.torch import save_file

from blockspin.config import RunConfig
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError
from blockspin.material import resolved
from blockspin.run import run
from blockspin.sweep import Axis, sweep


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())["hashes"]


def axes(*texts):
    return [Axis.parse(text) for text in texts]


@pytest.fixture
def read(monkeypatch):
    """Count the shards that are carried out."""
    counted = []
    plain = Serial.run

    def counting(self, reading, works, shards):
        counted.append(len(shards))
        return plain(self, reading, works, shards)

    monkeypatch.setattr(Serial, "run", counting)
    return counted


def test_runs_share_what_they_read_and_answer_as_alone(tmp_path, read):
    config = small_run.bare(tmp_path)
    rows = sweep(config, axes("scheme=principal-modes,correlation-pairing,block-average"), tmp_path / "sweep")
    assert [row["verdict"] is None for row in rows] == [False, False, True]
    assert "no neighbours" in rows[2]["error"]
    groups = 4  # a pass over ensembles in memory has a shard a group, the network's more
    assert len([count for count in read if count > groups]) == 2  # the network and its untrained copy, once each
    alone = run(small_run.bare(tmp_path, scheme="correlation-pairing", out=str(tmp_path / "alone")))
    for name in ("answers.json", "levels.json"):
        assert (alone / name).read_bytes() == (tmp_path / "sweep" / rows[1]["folder"] / name).read_bytes()
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["runs"] == rows
    assert not (tmp_path / "sweep" / "states").exists()


@pytest.mark.slow
def test_a_finished_run_is_not_repeated(tmp_path, read):
    first = sweep(small_run.bare(tmp_path), axes("seed=0,1"), tmp_path / "sweep")
    read.clear()
    assert sweep(small_run.bare(tmp_path), axes("seed=0,1"), tmp_path / "sweep") == first
    assert not read
    (changed,) = sweep(small_run.bare(tmp_path, steps=1), axes("seed=0"), tmp_path / "sweep")
    assert "another configuration" in changed["error"]


@pytest.mark.slow
def test_options_of_a_member_and_lists_are_read(tmp_path):
    rows = sweep(small_run.bare(tmp_path), axes("scheme.b=2,4", "layers=0+2+4"), tmp_path / "sweep")
    assert [row["folder"] for row in rows] == ["scheme.b=2,layers=0+2+4", "scheme.b=4,layers=0+2+4"]
    assert not any(row["error"] for row in rows)
    text = (tmp_path / "sweep" / rows[1]["folder"] / "config.toml").read_text()
    assert "b = 4" in text
    assert 'layers = ["0", "2", "4"]' in text


@pytest.mark.slow
def test_checkpoints_are_read_each_for_itself(tmp_path):
    for scale in (1, 2):
        state = {name: scale * value for name, value in small_run.make().state_dict().items()}
        save_file(state, tmp_path / f"step-{scale}.safetensors")
    (tmp_path / "step-3.safetensors").write_bytes(b"dear")
    rows = sweep(small_run.bare(tmp_path), axes(f"checkpoint={tmp_path}/step-*"), tmp_path / "sweep")
    assert "step-3.safetensors cannot be read" in rows[2]["error"]
    hashes = [manifest(tmp_path / "sweep" / row["folder"])["weights"] for row in rows[:2]]
    plain = run(small_run.bare(tmp_path, out=str(tmp_path / "plain")))
    assert hashes[0] == manifest(plain)["weights"] != hashes[1]
    assert "step-1.safetensors" in (tmp_path / "sweep" / rows[0]["folder"] / "report.html").read_text()


def test_a_checkpoint_belongs_to_a_model():
    with pytest.raises(ConfigError, match="checkpoint"):
        resolved(RunConfig(checkpoint="step.pt"))


def test_patterns_are_paths_that_exist(tmp_path):
    for name in ("step-1", "step-2"):
        (tmp_path / name).mkdir()
    (axis,) = axes(f"model={tmp_path}/step-*")
    assert axis.values == (f"{tmp_path}/step-1", f"{tmp_path}/step-2")
    with pytest.raises(ConfigError, match="matches at least one path"):
        axes(f"model={tmp_path}/none-*")


@pytest.mark.parametrize("text", ["seed", "sead=1", "seed=", "seed=one", "samples.b=2", "keep_states=maybe"])
def test_what_cannot_be_varied_is_refused_by_name(text):
    with pytest.raises(ConfigError, match="vary"):
        axes(text)


def test_a_sweep_needs_axes_each_once_and_not_too_many(tmp_path):
    for wrong in ([], axes("seed=0", "seed=1"), [Axis("seed", tuple(range(200))), Axis("steps", tuple(range(200)))]):
        with pytest.raises(ConfigError, match="10000 runs"):
            sweep(small_run.bare(tmp_path), wrong, tmp_path / "sweep")


def test_folders_stay_inside_of_the_sweep(tmp_path):
    (row,) = sweep(small_run.bare(tmp_path), [Axis("model", ("../../small_run:make",))], tmp_path / "a" / "sweep")
    assert row["error"]
    assert "/" not in row["folder"]
    assert not row["folder"].startswith(".")
