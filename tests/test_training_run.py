"""A run on a folder of checkpoints: its flows, its answer, its report; names, order and refusals of checkpoints."""

import json
from pathlib import Path

import grokking
import pytest
import small_run
import torch
import xarray
from safetensors.torch import save_file

from blockspin.config import RunConfig
from blockspin.errors import CheckpointError, ConfigError
from blockspin.flows.training import checkpoints_of
from blockspin.run import run


def states(folder: Path, steps=(0, 5, 10, 20, 40, 80)) -> Path:
    """Write the small network moved along one direction, the further the later."""
    place = folder / "steps"
    place.mkdir()
    for step in steps:
        state = {name: value * (1 + 0.01 * step) for name, value in small_run.make().state_dict().items()}
        save_file(state, place / f"model_{step}.safetensors")
    return place


@pytest.fixture(scope="module")
def grokked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grokking")
    training = grokking.train()
    training.save(folder)
    given = {"model": "grokking:make", "checkpoints": str(folder / "steps"), "data": str(folder / "pairs.npz")}
    given |= {"column": "x", "targets": "y", "layers": ("1", "2"), "groups": 10, "executor": "serial"}
    config = RunConfig().with_options(
        {**given, "samples": 400, "kernel_samples": 150, "steps": 2, "out": str(folder / "run")}
    )
    return run(config), training


def test_a_run_on_checkpoints_finds_where_the_network_groks(grokked):
    folder, training = grokked
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    (answer,) = [row for row in answers["answers"] if row["question"] == "transition"]
    assert answer["verdict"] == "yes"
    low, high = _interval(answer, "cka/with_target of 2")
    assert 0.5 < (low * high) ** 0.5 / training.drop < 2
    assert any("tangent kernel" in sentence for sentence in answers["summary"])


def _interval(answer, name):
    (curve,) = [curve for curve in answer["figure"]["curves"] if curve["name"] == name]
    assert curve["verdict"] == "yes"
    return curve["interval"]


def test_the_flow_over_training_is_kept_with_errors(grokked):
    folder, training = grokked
    data = xarray.open_zarr(folder / "flows" / "training-001.zarr", consolidated=False, chunks=None)
    assert data.attrs["axis"] == "training"
    assert data["position"].values.tolist() == list(training.states)
    aligned = data["cka.with_target"].values
    assert aligned[-1] - aligned[0] > 4 * data["cka.with_target:error"].values.max()
    whole = xarray.open_zarr(folder / "flows" / "training-network.zarr", consolidated=False, chunks=None)
    assert 0 < whole["cka.tangent_with_first"].values[-1] < 0.5  # it learned features


def test_the_report_has_a_section_on_training(grokked):
    page = (grokked[0] / "report.html").read_text(encoding="utf-8")
    assert 'id="training"' in page
    assert "Alignment of the kernel with that of the targets" in page
    assert "Similarity with the last checkpoint" in page


def test_checkpoints_of_scaled_weights_give_the_same_bytes_when_resumed(tmp_path):
    config = small_run.config(tmp_path, checkpoints=str(states(tmp_path)), keep_states=True)
    first = run(config, folder=tmp_path / "one")
    before = (first / "answers.json").read_bytes()
    (first / "answers.json").unlink()
    again = run(config, folder=first, resume=True)
    assert (again / "answers.json").read_bytes() == before


def test_checkpoints_are_sorted_as_numbers(tmp_path):
    place = states(tmp_path, (9, 10, 100, 2))
    (place / "readme.txt").write_text("no checkpoint", encoding="utf-8")
    assert [c.step for c in checkpoints_of(place)] == [2, 9, 10, 100]
    assert [c.step for c in checkpoints_of(str(place / "model_1*.safetensors"))] == [10, 100]
    folders = [tmp_path / f"checkpoint-{step}" for step in (1000, 200)]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text("{}", encoding="utf-8")
    assert [c.step for c in checkpoints_of(folders)] == [200, 1000]


@pytest.mark.parametrize(
    ("names", "words"),
    [(("final", "a1"), "no number"), (("a-1", "b-01"), "both of step 1"), (("a1",), "1 checkpoint")],
)
def test_checkpoints_that_cannot_be_ordered_are_refused(tmp_path, names, words):
    for name in names:
        torch.save({}, tmp_path / f"{name}.pt")
    with pytest.raises(CheckpointError, match=words):
        checkpoints_of(tmp_path)


def test_options_that_do_not_go_together_are_refused(tmp_path):
    place = str(states(tmp_path))
    for more in ({"checkpoint": "x.pt"}, {"model": "", "data": ""}):
        with pytest.raises(ConfigError, match="checkpoints"):
            run(small_run.config(tmp_path, checkpoints=place, **more), folder=tmp_path / "run")
    with pytest.raises(CheckpointError):
        run(small_run.config(tmp_path, checkpoints=str(tmp_path / "none*")), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
