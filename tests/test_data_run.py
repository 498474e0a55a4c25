"""Data alone: from the command line to the report, without a network."""

import gzip
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from blockspin.config import RunConfig
from blockspin.errors import ConfigError, MemoryBudgetError, StepNotPossibleError
from blockspin.material import open_material, resolved
from blockspin.organisms._pictures import fashion_folder, has_fashion
from blockspin.prediction_run import write_predictions, write_scores
from blockspin.registry import member
from blockspin.report.page import write_report
from blockspin.run import run

SIDE, SAMPLES = 16, 600
BLOCKS = {"name": "block-average", "b": 2}


def pictures(seed: int = 0) -> np.ndarray:
    """Smooth Gaussian pictures: a free field of correlation length 4 on a torus, [samples, side, side]."""
    k = 2 * np.pi * np.fft.fftfreq(SIDE)
    power = 1 / (4 - 2 * np.cos(k)[:, None] - 2 * np.cos(k)[None] + 1 / 16)
    noise = np.random.default_rng(seed).normal(size=(SAMPLES, SIDE, SIDE))
    return np.fft.ifft2(np.fft.fft2(noise) * power**0.5).real.astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "data.npz", x=pictures(), y=np.arange(SAMPLES) % 2)
    (folder / "labels.txt").write_text("\n".join(["cat", "dog"] * (SAMPLES // 2)), encoding="utf-8")
    return folder


def config(files: Path, **more) -> RunConfig:
    given = {"model": "off", "data": str(files / "data.npz"), "column": "x", "modality": "image", "scheme": BLOCKS}
    return RunConfig().with_options(
        {**given, "targets": "y", "samples": SAMPLES, "kernel_samples": 400, "groups": 10, **more}
    )


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory) -> Path:
    return run(config(files, out=str(tmp_path_factory.mktemp("run") / "one")))


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_data_alone_leave_levels_couplings_and_predictions_and_nothing_of_a_network(finished):
    answers, couplings = read(finished, "answers.json"), read(finished, "couplings.json")
    assert [flow["role"] for flow in answers["flows"]] == ["explicit", "exchanged"]
    assert answers["flows"][0]["labels"] == ["256 sites", "64 sites", "16 sites", "4 sites", "1 site"]
    assert not answers["network"]
    assert {table["null_of"] for table in couplings["tables"]} == {"", "explicit"}
    assert {row["null"] for row in couplings["nulls"]} == {"sites shuffled", "Gaussian of equal covariance"}
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "data.npz alone" in page
    assert "Implicit flow" not in page
    assert set(read(finished, "manifest.json")["hashes"]) == {"records"}


def test_a_gaussian_field_is_called_nothing_else_at_any_level(finished):
    (answer,) = read(finished, "answers.json")["answers"]
    assert answer["question"] == "gaussian-enough"
    assert answer["verdict"] != "no"
    couplings = read(finished, "couplings.json")
    assert {row["verdict"] for row in couplings["validity"] if row["theory"] == "effective-action"} <= {
        "yes",
        "cannot tell",
    }
    told = {(row["theory"], row["null"]): row["verdict"] for row in couplings["nulls"] if row["scales"]}
    assert told["participation-ratio", "sites shuffled"] == "yes"
    assert "yes" not in {verdict for (_, null), verdict in told.items() if null.startswith("Gaussian")}


def test_the_targets_part_the_data_into_slices(finished):
    rows = read(finished, "couplings/explicit/001.json")["rows"]
    assert {row["slice"] for row in rows} == {"all", "target 0", "target 1"}


def test_finer_levels_are_predicted_in_writing_and_scored_afterwards(finished, tmp_path):
    place = shutil.copytree(finished, tmp_path / "run")
    content = write_predictions(place, ("256 sites",))
    assert not any("000.json" in path for path in content["read"])  # the held-out level is the first file
    scored = write_scores(place)["scores"]
    assert {row["flow"] for row in scored if not row["null_of"]} == {"explicit"}
    write_report(place)


@pytest.mark.slow
def test_a_folder_that_was_begun_is_finished_to_the_same_bytes(files, finished, tmp_path):
    wanted = config(files, out=str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text(resolved(wanted).to_toml(), encoding="utf-8")
    place = run(wanted, folder=tmp_path / "run", resume=True)
    for name in ("answers.json", "couplings.json", "levels.json"):
        assert (place / name).read_bytes() == (finished / name).read_bytes()


# --- what belongs to the records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", ["labels.txt", "labels-idx1-ubyte.gz", "y.npy"])
def test_targets_may_lie_in_a_file_of_their_own(files, targets):
    place = files / targets
    if targets == "y.npy":
        np.save(place, np.arange(SAMPLES) % 2)
    if targets.endswith(".gz"):
        head = struct.pack(">HBBI", 0, 8, 1, SAMPLES)
        place.write_bytes(gzip.compress(head + (np.arange(SAMPLES) % 2).astype("u1").tobytes()))
    material = open_material(resolved(config(files, targets=str(place))))
    named = {"cat": 0.0, "dog": 1.0}
    parity = {hash_of(picture): k % 2 for k, picture in enumerate(pictures())}
    for record, key in zip(material.sample.records, material.sample.ids.tolist(), strict=True):
        found = material.targets[key]
        assert named.get(str(found), np.asarray(found).size == 1 and found) == parity[hash_of(record.content)]


def hash_of(picture) -> bytes:
    return np.ascontiguousarray(picture, dtype=np.float32).tobytes()


def test_a_margin_goes_around_pictures_alone(files):
    raw = member("representations", "raw")(margin=2)
    sample = open_material(resolved(config(files))).sample.first(3)
    padded = raw.ensemble(sample)
    assert padded.geometry.shape == (SIDE + 4, SIDE + 4)
    grid = padded.values.reshape(3, SIDE + 4, SIDE + 4)
    inner = torch.stack([torch.as_tensor(record.content)[:, :, 0] for record in sample.records])
    assert torch.equal(grid[:, 2:-2, 2:-2], inner)
    assert float(grid.abs().sum()) == pytest.approx(float(inner.abs().sum()), rel=1e-6)
    assert raw.width(sample.records[0]) == padded.values[0].numel()
    array = open_material(resolved(config(files, modality="array"))).sample
    with pytest.raises(ConfigError, match="margin"):
        raw.ensemble(array)


def test_texts_are_read_as_counts(tmp_path):
    lines = [f"{'red' if k % 2 else 'blue'} word{k} and word{k * 7 % 40} again" for k in range(60)]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    given = {
        "model": "off",
        "data": str(tmp_path / "a.txt"),
        "groups": 4,
        "couplings": ("off",),
        "steps": 1,
        "scheme": {"name": "principal-modes", "b": 8},
    }
    given |= {"representation": {"name": "ngrams", "sites": 64}, "out": str(tmp_path / "run")}
    place = run(RunConfig().with_options(given))
    assert any("hashed counts" in note for note in read(place, "answers.json")["notes"])
    assert read(place, "levels.json")["levels"][0]["clusters"]


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"checkpoint": "a.pt"}, "checkpoint"),
        ({"checkpoints": "a"}, "checkpoints"),
        ({"family": ("builtin",)}, "family"),
        ({"layers": ("net.*",)}, "layers"),
        ({"activations": "float32"}, "activations"),
        ({"targets": "next-token"}, "targets"),
        ({"representation": "tokens"}, "representation"),
        ({"data": ""}, "data"),
        ({"nulls": ("untrained",)}, "nulls"),
    ],
)
def test_what_belongs_to_a_network_is_refused_by_name(files, more, field):
    with pytest.raises(ConfigError) as error:
        run(config(files, **more))
    assert error.value.field == field


def test_what_cannot_be_coarse_grained_or_held_is_refused_before_anything_is_written(files, tmp_path):
    with pytest.raises(StepNotPossibleError):
        run(config(files, scheme={"name": "block-average", "b": 3}, out=str(tmp_path / "a")))
    with pytest.raises(MemoryBudgetError):
        run(config(files, memory="10MB", out=str(tmp_path / "a")))
    assert not (tmp_path / "a").exists()


def test_data_alone_have_nothing_to_divide(files, told):
    given = ["--model", "off", "--data", files / "data.npz", "--column", "x", "--modality", "image"]
    done = told("run", *given, "--scheme", "block-average", "--shard", "1/2")
    assert done.returncode
    assert "data alone have no passes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not has_fashion(), reason="the files of Fashion-MNIST are not there")
def test_fashion_mnist_under_block_averaging(tmp_path):
    """Real pictures: couplings with errors at every level, held-out levels beside the baselines, classes as slices."""
    names = [str(fashion_folder() / f"train-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")]
    given = {"model": "off", "data": names[0], "targets": names[1], "scheme": BLOCKS, "samples": 4000}
    raw = {"name": "raw", "margin": 2}
    place = run(
        RunConfig().with_options({**given, "kernel_samples": 3000, "representation": raw, "out": f"{tmp_path}/r"})
    )
    couplings = read(place, "couplings.json")
    own = {table["theory"]: table["rows"] for table in couplings["tables"] if not table["null_of"]}
    sites = [row["label"] for row in own["gaussian-precision"]]
    assert sites == ["1024 sites", "256 sites", "64 sites", "16 sites", "4 sites", "1 site"]
    assert all(row["values"] and row["goodness"]["p_value"] < 0.01 for row in own["gaussian-precision"])
    assert "exactly 0" in own["effective-action"][0]["reason"]  # the background has atoms
    ratio = {row["label"]: row["values"]["debiased"]["value"] for row in own["participation-ratio"]}
    assert list(ratio.values()) == sorted(ratio.values(), reverse=True)
    scored = {row["theory"]: row["scored"] for row in couplings["predictions"] if not row["null_of"] and row["scored"]}
    assert {"gaussian-precision", "participation-ratio", "cumulants"} <= set(scored)
    assert {score["model"] for score in scored["cumulants"]["scores"]} >= {"no running", "nearest scale", "power law"}
    fails = next(row for row in couplings["validity"] if row["theory"] == "gaussian-precision")
    assert fails["verdict"] == "no"
