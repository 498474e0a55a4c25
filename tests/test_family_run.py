"""A run on a family of widths: its flows, couplings and losses, its report; in parts; what is refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import small_run
import torch
import xarray

from blockspin.config import RunConfig
from blockspin.divided import merge, run_part
from blockspin.engine.parts import Part
from blockspin.ensemble import group_of
from blockspin.errors import CheckpointError, ConfigError
from blockspin.flows.width import networks_of
from blockspin.loss_run import loss_of
from blockspin.material import open_material, resolved
from blockspin.prediction_run import write_predictions, write_scores
from blockspin.run import run

FAMILY = tuple(f"small_run:width_{width}" for width in small_run.WIDTHS)


def configured(folder, **more):
    """Return a configuration of a family over points of three classes."""
    if not (folder / "data.npz").exists():
        points = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
        np.savez(folder / "data.npz", x=points, y=points[:, :3].argmax(1)[:, None])
    given = {"model": "", "family": FAMILY, "data": str(folder / "data.npz"), "column": "x", "targets": "y"}
    return small_run.config(folder, **{**given, "steps": 1, **more})


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    root = tmp_path_factory.mktemp("family")
    return SimpleNamespace(root=root, whole=run(configured(root), folder=root / "whole"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_flow_over_width_is_kept_with_errors(family):
    answers = read(family.whole / "answers.json")
    roles = {row["file"]: row["role"] for row in answers["flows"]}
    assert roles["width-000.zarr"] == roles["width-network.zarr"] == "width"
    data = xarray.open_zarr(family.whole / "flows" / "width-000.zarr", consolidated=False, chunks=None)
    assert data.attrs["axis"] == "width"
    assert data["position"].values.tolist() == list(small_run.WIDTHS)
    assert (data["participation-ratio.debiased:error"].values > 0).all()
    assert np.isfinite(data["cka.with_last"].values[:-1]).all()
    assert answers["network"]["name"] == FAMILY[-1]


def test_the_loss_of_every_network_is_that_of_its_outputs(family):
    """The slow twin: cross-entropy of one forward pass, errors from leaving groups out one by one."""
    config = resolved(configured(family.root))
    material = open_material(config)
    sample = material.sample.first(config.kernel_samples)
    x = torch.stack([torch.as_tensor(record.content) for record in sample.records])
    y = torch.tensor([int(material.targets[key][0]) for key in sample.ids.tolist()])
    group = group_of(sample.units, config.groups)
    rows = read(family.whole / "answers.json")["network"]["family"]
    assert [row["position"] for row in rows] == list(small_run.WIDTHS)
    for row, width in zip(rows, small_run.WIDTHS, strict=True):
        outputs = small_run.of_width(width).double()(x.double()).detach()
        each = torch.nn.functional.cross_entropy(outputs, y, reduction="none")
        rest = torch.stack([each[group != g].mean() for g in range(config.groups)])
        error = rest.std() * (config.groups - 1) / config.groups**0.5
        assert row["loss"]["value"] == pytest.approx(float(each.mean()), rel=1e-6)
        assert row["loss"]["error"] == pytest.approx(float(error), rel=1e-4)
        assert row["parameters"] == 8 * width + width + 3 * width + 3


def test_the_widest_are_predicted_from_the_narrower(family):
    found = read(family.whole / "couplings.json")
    rows = {row["theory"]: row for row in found["predictions"] if row["flow"] == "width"}
    assert {"loss", "participation-ratio"} <= rows.keys()
    assert rows["loss"]["held_out"] == ["width 16", "width 24"]
    assert rows["loss"]["scored"]["points"]
    assert not any(row["theory"] == "loss" for row in found["validity"])  # it assumes nothing


def test_predict_works_on_the_run_folder(family):
    content = write_predictions(family.whole, ["width 24"], "width")
    assert content["held_out"] == {"width": {"width 24": "couplings/width/005.json"}}
    assert "couplings/width/005.json" not in content["read"]
    scored = write_scores(family.whole)["scores"]
    assert any(row["theory"] == "loss" and row["scored"] for row in scored)


def test_the_report_has_a_section_on_width(family):
    page = (family.whole / "report.html").read_text(encoding="utf-8")
    assert 'id="width"' in page
    assert "Similarity with the last" in page
    assert "over width" in page


@pytest.mark.slow
def test_parts_of_a_family_put_together_are_the_same_bytes(family, tmp_path):
    few = {"family": FAMILY[:3]}
    whole = run(configured(family.root, **few), folder=tmp_path / "whole")
    for index in (1, 2):
        run_part(configured(family.root, out=str(tmp_path / "parts"), **few), Part(index, 2))
    left = {path.name for path in (tmp_path / "parts" / "states").iterdir() if path.is_dir()}
    assert left == {"network", "untrained-network", "width-4", "width-6"}
    place = merge([tmp_path / "parts"], tmp_path / "out")
    assert (place / "answers.json").read_bytes() == (whole / "answers.json").read_bytes()


def test_a_family_that_is_trained_on_the_spot():
    said = []
    given = {"model": "builtin:cluster-tree", "family": ("8", "4"), "samples": 60}
    material = open_material(resolved(RunConfig().with_options(given)), said.append)
    widths = {width: recipe.open().module[0].out_features for width, recipe in material.family.members.items()}
    assert widths == {4: 4, 8: 8}
    assert material.trained.module[0].out_features == 8  # the run itself is of the widest
    assert material.targets
    assert said == [f"training the network of width {w}, {k} of 2" for k, w in ((1, 4), (2, 8))]


def test_without_targets_the_loss_is_told_to_be_missing(tmp_path):
    study = SimpleNamespace(material=open_material(small_run.config(tmp_path)), kernels=60)
    assert "--targets" in loss_of(study, "network", tmp_path).reason


@pytest.mark.slow
def test_outputs_that_targets_do_not_belong_to_have_no_loss(tmp_path):
    given = {"family": (), "model": "small_run:make", "couplings": ("off",)}
    network = read(run(configured(tmp_path, **given), folder=tmp_path / "run") / "answers.json")["network"]
    assert network["loss"] is None
    assert "gives 8 outputs" in network["no_loss"]


def test_widths_are_read_off_names_or_said(tmp_path):
    for width in (9, 100, 20):
        (tmp_path / f"width-{width}").mkdir()
        (tmp_path / f"width-{width}" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "width-5").mkdir()  # no network
    assert list(networks_of([f"{tmp_path}/width-*"])) == [9, 20, 100]
    assert networks_of(["512=org/net-70m", "nets.py:w_64"]) == {64: "nets.py:w_64", 512: "org/net-70m"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("org/net-70m", "a-1"), "no width"),
        (("org/net-1.4b", "a-1"), "no width"),
        (("a-1", "b-01"), "both of width 1"),
        (("a", "b-1"), "no number"),
        (("a-1",), "1 network"),
    ],
)
def test_families_that_cannot_be_ordered_are_refused(names, words):
    with pytest.raises(CheckpointError, match=words):
        networks_of(names)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"checkpoint": "x.pt"}, "family"),
        ({"checkpoints": "steps"}, "family"),
        ({"model": "small_run:make"}, "the last of the family"),
        ({"model": "builtin:deep-linear", "data": "", "targets": "", "family": ("builtin",)}, "one size"),
        ({"model": "builtin:cluster-tree", "data": "", "targets": "", "family": ("8",)}, "two different widths"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, more, words):
    with pytest.raises(ConfigError, match=words):
        run(configured(tmp_path, **more), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
