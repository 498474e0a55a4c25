"""A run on a folder of checkpoints: its flows, its answer, its report; names, order and refusals of checkpoints."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import grokking
import pytest
import small_run
import torch
import xarray
from safetensors.torch import save_file

from blockspin.capture.recipe import NetworkRecipe
from blockspin.config import RunConfig
from blockspin.divided import merge, run_part
from blockspin.engine.parts import Part
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
    given = {"model": "builtin:modular-addition", "checkpoints": "builtin", "layers": ("1", "2"), "groups": 10}
    given |= {"couplings": ("off",)}
    config = RunConfig().with_options({**given, "executor": "serial", "steps": 2})
    return run(config, folder=tmp_path_factory.mktemp("grokking") / "run")


@pytest.mark.slow
def test_a_run_on_checkpoints_finds_where_the_network_groks(grokked):
    folder = grokked
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    (answer,) = [row for row in answers["answers"] if row["question"] == "transition"]
    assert answer["verdict"] == "yes"
    low, high = _interval(answer, "cka/with_target of 2")
    assert 0.5 < (low * high) ** 0.5 / grokking.drop() < 2
    assert any("tangent kernel" in sentence for sentence in answers["summary"])


def _interval(answer, name):
    (curve,) = [curve for curve in answer["figure"]["curves"] if curve["name"] == name]
    assert curve["verdict"] == "yes"
    return curve["interval"]


@pytest.mark.slow
def test_the_flow_over_training_is_kept_with_errors(grokked):
    folder = grokked
    data = xarray.open_zarr(folder / "flows" / "training-001.zarr", consolidated=False, chunks=None)
    assert data.attrs["axis"] == "training"
    assert data["position"].values.tolist() == list(grokking.train().checkpoints)
    aligned = data["cka.with_target"].values
    assert aligned[-1] - aligned[0] > 4 * data["cka.with_target:error"].values.max()
    whole = xarray.open_zarr(folder / "flows" / "training-network.zarr", consolidated=False, chunks=None)
    assert 0 < whole["cka.tangent_with_first"].values[-1] < 0.5  # it learned features


@pytest.mark.slow
def test_the_report_has_a_section_on_training(grokked):
    page = (grokked / "report.html").read_text(encoding="utf-8")
    assert 'id="training"' in page
    assert "Alignment of the kernel with that of the targets" in page
    assert "Similarity with the last checkpoint" in page
    assert "Loss during the training" in page  # what the training itself measured, beside the flow
    curves = json.loads((grokked / "answers.json").read_text(encoding="utf-8"))["training_curves"]
    assert curves["test_loss"]["steps"] == sorted(curves["test_loss"]["steps"])
    assert curves["test_loss"]["values"][-1] < curves["test_loss"]["values"][0]


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A run on three checkpoints."""
    root, opened, plain = tmp_path_factory.mktemp("short"), [], NetworkRecipe.open
    given = {"checkpoints": str(states(root, (1, 10, 30))), "samples": 60, "kernel_samples": 30}
    given |= {"shard_size": 64, "nulls": ("off",)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NetworkRecipe, "open", lambda recipe: opened.append(recipe) or plain(recipe))
        whole = run(small_run.config(root, **given), folder=root / "whole")
    return SimpleNamespace(root=root, given=given, whole=whole, opened=opened)


def same(first: Path, second: Path) -> bool:
    return (first / "answers.json").read_bytes() == (second / "answers.json").read_bytes()


@pytest.mark.slow
def test_a_training_killed_between_checkpoints_is_finished_to_the_same_bytes(short, tmp_path):
    (tmp_path / "run.toml").write_text(small_run.config(short.root, **short.given).to_toml(), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("blockspin")), "run", "run.toml", "--out", "cut"]
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    child = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL, process_group=0
    )
    limit = time.monotonic() + 120
    while not list(tmp_path.glob("cut/states/step-1/*.safetensors")):
        assert time.monotonic() < limit
        assert child.poll() is None
        time.sleep(0.002)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(60)
    assert not (tmp_path / "cut" / "answers.json").exists()
    assert same(
        run(RunConfig.from_toml(tmp_path / "cut" / "config.toml"), folder=tmp_path / "cut", resume=True), short.whole
    )
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_parts_of_a_training_put_together_are_the_same_bytes(short, tmp_path):
    for index in (1, 2):
        run_part(small_run.config(short.root, out=str(tmp_path / "parts"), **short.given), Part(index, 2))
    left = tmp_path / "parts" / "states"
    assert {p.name for p in left.iterdir() if p.is_dir()} == {"network", "untrained-network", "step-1", "step-10"}
    told = json.loads((merge([tmp_path / "parts"], tmp_path / "out") / "manifest.json").read_text())["parts"]
    assert [line.partition(",")[0] for line in told] == ["network", "untrained network", "step 1", "step 10"]
    assert same(tmp_path / "out", short.whole)


def test_couplings_are_followed_along_the_training(short):
    found = json.loads((short.whole / "couplings.json").read_text(encoding="utf-8"))
    tables = {table["theory"]: table for table in found["tables"] if table["flow"] == "training"}
    assert [row["label"] for row in tables["participation-ratio"]["rows"]] == ["step 1", "step 10", "step 30"]
    assert tables["participation-ratio"]["rows"][0]["values"]
    assert "loss" not in tables  # without targets there is none


def test_every_network_is_opened_once(short):
    assert len(short.opened) == 4  # the last, its untrained copy, and the two checkpoints before


@pytest.mark.slow
def test_folders_that_a_trainer_wrote_are_checkpoints(tmp_path):
    """As the transformers library lays them out: a folder a step, with the optimiser beside the model."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[UNK]", "[PAD]", *(f"w{k}" for k in range(30))]
    fast = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: k for k, word in enumerate(words)}, "[UNK]"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="[UNK]", pad_token="[PAD]")
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(words), **size))
    for step in (500, 1000, 10000):
        place = tmp_path / "out" / f"checkpoint-{step}"
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
        (place / "trainer_state.json").write_text("{}", encoding="utf-8")
        torch.save({"state": {}}, place / "optimizer.pt")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)), alpha=0.03)
    order = torch.randint(30, (80, 6), generator=torch.Generator().manual_seed(1))
    lines = [" ".join(f"w{k}" for k in row) for row in order.tolist()]
    (tmp_path / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
    given = {"model": str(tmp_path / "out" / "checkpoint-500"), "checkpoints": str(tmp_path / "out")}
    given |= {"data": str(tmp_path / "text.txt"), "samples": 60, "kernel_samples": 30, "steps": 2, "groups": 4}
    given |= {"executor": "serial", "couplings": ("off",)}
    folder = run(RunConfig().with_options(given), folder=tmp_path / "run")
    data = xarray.open_zarr(folder / "flows" / "training-000.zarr", consolidated=False, chunks=None)
    assert data["position"].values.tolist() == [500, 1000, 10000]
    whole = xarray.open_zarr(folder / "flows" / "training-network.zarr", consolidated=False, chunks=None)
    assert 0 < whole["cka.tangent_with_first"].values[-1] < 1


@pytest.mark.slow
def test_the_training_of_a_builtin_network_needs_no_files(tmp_path):
    given = {"model": "builtin:cluster-tree", "checkpoints": "builtin", "samples": 60, "kernel_samples": 30, "steps": 2}
    given |= {"groups": 4, "executor": "serial", "layers": ("8",), "couplings": ("off",)}
    folder = run(RunConfig().with_options(given), folder=tmp_path / "run")
    data = xarray.open_zarr(folder / "flows" / "training-000.zarr", consolidated=False, chunks=None)
    steps = [int(path.stem.rpartition("-")[2]) for path in sorted((folder / "checkpoints").iterdir())]
    assert data["position"].values.tolist() == steps
    aligned = data["cka.with_target"].values  # with the leaves that it learns to tell apart
    assert aligned[-1] > aligned[0] + 4 * data["cka.with_target:error"].values.max()
    whole = xarray.open_zarr(folder / "flows" / "training-network.zarr", consolidated=False, chunks=None)
    assert whole["loss.mean"].attrs["unit"] == "nats"
    assert whole["loss.mean"].values[0] > whole["loss.mean"].values[-1] + 4 * whole["loss.mean:error"].values.max()


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
    for more in ({"checkpoint": "x.pt"}, {"model": "", "data": ""}, {"model": "builtin:cluster-tree", "data": ""}):
        with pytest.raises(ConfigError, match="checkpoints"):
            run(small_run.config(tmp_path, checkpoints=place, **more), folder=tmp_path / "run")
    with pytest.raises(CheckpointError):
        run(small_run.config(tmp_path, checkpoints=str(tmp_path / "none*")), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
