"""A network read at several lengths of context, and families along an axis that the user names."""

import json

import numpy as np
import pytest
import small_run
import xarray
from capture.networks import WORDS

from blockspin.config import RunConfig
from blockspin.errors import ConfigError
from blockspin.flows.family import Kinship
from blockspin.networks import with_last
from blockspin.run import run

LENGTHS = (4, 6, 10, 18, 34)
NOT_WORDS = 2
"""Tokens at the ends of every passage, which are left out of every statistic."""


def config(folder, **more) -> RunConfig:
    """Return a configuration of passages of independent words, each as long as the longest context."""
    rows = np.random.default_rng(0).integers(len(WORDS), size=(160, max(LENGTHS)))
    data = folder / "passages.txt"
    data.write_text("\n".join(" ".join(WORDS[k] for k in row) for row in rows), encoding="utf-8")
    given = {"model": "small_run:words", "data": str(data), "layers": ("embed", "out"), "executor": "serial"}
    given |= {"contexts": tuple(map(str, LENGTHS)), "samples": 160, "kernel_samples": 100, "groups": 10, "steps": 1}
    return RunConfig().with_options({**given, "nulls": ("off",), **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contexts")
    return run(config(folder), folder=folder / "run")


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_means_of_independent_words_vary_as_one_over_their_number(finished):
    data = xarray.open_zarr(finished / "flows" / "context-000.zarr", consolidated=False, chunks=None)
    assert data.attrs["axis"] == "context"
    words = data["position"].values - NOT_WORDS
    assert words.tolist() == [length - NOT_WORDS for length in LENGTHS]
    value, error = (data[f"covariance.variance{part}"].values * words for part in ("", ":error"))
    embed = small_run.words()[0].embed.weight[3 : 3 + len(WORDS)].detach().numpy()
    exact = ((embed - embed.mean(0)) ** 2).sum(1).mean()
    assert (np.abs(value - exact) < 4 * error).all()


def test_longer_contexts_are_predicted_from_shorter_ones(finished):
    found = read(finished, "couplings.json")
    held = {tuple(row["held_out"]) for row in found["predictions"] if row["flow"] == "context" and row["scored"]}
    assert held == {("context 34",)}
    assert any(table["flow"] == "context" and len(table["rows"]) == len(LENGTHS) for table in found["tables"])


def test_the_report_says_what_was_read(finished):
    answers = read(finished, "answers.json")
    assert [row["label"] for row in answers["network"]["family"]] == [f"context {n}" for n in LENGTHS]
    assert any("5 lengths of context" in note for note in answers["notes"])
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert 'id="context"' in page
    assert "over context" in page
    assert "max_tokens = 34" in page


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"contexts": ("8",)}, "contexts"),
        ({"contexts": ("8", "8")}, "contexts"),
        ({"contexts": ("8", "long")}, "contexts"),
        ({"contexts": ("1", "8")}, "contexts"),
        ({"checkpoints": "steps"}, "contexts"),
        ({"representation": "tokens"}, "contexts"),
    ],
)
def test_contexts_that_cannot_be_are_refused_by_name(tmp_path, more, field):
    with pytest.raises(ConfigError) as error:
        run(config(tmp_path, **more), folder=tmp_path / "run")
    assert error.value.field == field


def test_contexts_belong_to_texts(tmp_path):
    with pytest.raises(ConfigError, match="only texts"):
        run(small_run.config(tmp_path, contexts=("4", "8")), folder=tmp_path / "run")


@pytest.mark.slow
def test_networks_may_differ_in_what_the_user_names(tmp_path):
    family = tuple(f"small_run:width_{width}" for width in small_run.WIDTHS)
    given = {"model": "", "family": family, "along": "records", "nulls": ("off",), "couplings": ("gaussian-precision",)}
    place = run(small_run.config(tmp_path, **given), folder=tmp_path / "run")
    answers = read(place, "answers.json")
    assert answers["network"]["along"] == "records"
    assert {flow["role"] for flow in answers["flows"]} >= {"records"}
    page = (place / "report.html").read_text(encoding="utf-8")
    assert 'id="records"' in page
    assert "over records" in page


@pytest.mark.parametrize("word", ["training", "network", "two words", "../x", "Width", ""])
def test_words_that_stand_for_something_else_are_refused(word):
    with pytest.raises(ConfigError, match="along"):
        Kinship.along(word)
    with pytest.raises(ConfigError, match="along"):
        with_last(RunConfig().with_options({"family": ("a-1", "a-2"), "along": word}))
