"""From a run to predictions that were written first: the command, its order, its refusals, and the report."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_run
import torch

from blockspin import couplings_measured
from blockspin.cli.predict import command
from blockspin.couplings.gaussian_precision import GaussianPrecision
from blockspin.couplings_measured import OFF, chosen_couplings
from blockspin.couplings_run import along
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, RunFolderError, TooFewSamplesError, UnknownNameError
from blockspin.flow import Axis, Flow
from blockspin.geometry import Chain
from blockspin.prediction_run import write_predictions, write_scores
from blockspin.report.page import write_report
from blockspin.run import run

STEPS = {"steps": 5, "scheme": "principal-modes", "groups": 5}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    return run(small_run.config(folder, layers=("*",), **STEPS), folder=folder / "run")


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_predictions_are_written_without_the_held_out_files_and_scored_with_them(folder, capsys):
    flows = ("network", "network-untrained", "network-shuffled")
    kept = {path: path.read_bytes() for path in (folder / "couplings" / flow / "004.json" for flow in flows)}
    for held in kept:
        held.unlink()  # what is not there cannot have been looked at
    assert command(folder, held_out=["4"], flow="network") == 0
    written = read(folder / "predictions.json")
    assert written["held_out"] == {flow: {"4": f"couplings/{flow}/004.json"} for flow in flows}
    assert set(written["read"]) == {f"couplings/{flow}/00{k}.json" for flow in flows for k in range(4)}
    assert written["hash"] in capsys.readouterr().out
    for held, content in kept.items():
        held.write_bytes(content)
    assert command(folder, score=True) == 0
    shown = capsys.readouterr().out
    assert "held-out scales were measured after that" in shown
    scores = read(folder / "scores.json")
    assert scores["predictions"] == written["hash"]
    scored = {row["theory"]: row["scored"] for row in scores["scores"] if not row["null_of"]}
    models = [s["model"] for s in scored["participation-ratio"]["scores"]]
    assert models == ["effective theory", "no running", "nearest scale", "power law", "free fit"]
    assert scored["participation-ratio"]["verdict"] in ("better", "not better", "cannot tell")
    assert "held-out scales were measured after that" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_order_is_told_truly_where_the_measurements_came_first(folder):
    write_predictions(folder)
    order = write_scores(folder)["order"]
    assert "had been measured before" in order
    assert "cannot be told from here" in order


def test_predictions_are_not_overwritten(folder):
    write_predictions(folder)
    before = (folder / "predictions.json").read_bytes()
    with pytest.raises(RunFolderError, match="written already"):
        write_predictions(folder, ["4"])
    assert (folder / "predictions.json").read_bytes() == before


def test_predictions_that_were_changed_are_not_scored(folder):
    written = write_predictions(folder, flow="network")
    written["predictions"][0]["prediction"]["theory"]["values"][0][0] = 0.0
    (folder / "predictions.json").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(RunFolderError, match="changed after it was written"):
        write_scores(folder)


def test_what_predictions_were_made_from_must_not_change(folder):
    write_predictions(folder, flow="network")
    path = folder / "couplings" / "network" / "000.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"000\.json was changed"):
        write_scores(folder)


def test_mistakes_are_refused_by_name(folder, tmp_path):
    with pytest.raises(UnknownNameError, match="no scale named 'nine'"):
        write_predictions(folder, ["nine"])
    with pytest.raises(UnknownNameError, match="no scale named '44'") as refusal:
        write_predictions(folder, ["4", "44"])  # one of several
    assert str(refusal.value).count("4,") <= 1  # not once more for every null flow
    with pytest.raises(UnknownNameError, match="flow"):
        write_predictions(folder, flow="sideways")
    with pytest.raises(TooFewSamplesError, match="Hold out fewer"):
        write_predictions(folder, ["1", "2", "3", "4"], "network")
    with pytest.raises(RunFolderError, match="Write them first"):
        write_scores(folder)
    with pytest.raises(RunFolderError, match="holds no couplings"):
        write_predictions(tmp_path)
    with pytest.raises(RunFolderError, match="there is no folder"):
        write_predictions(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="nothing beside score"):
        command(folder, held_out=["4"], score=True)
    with pytest.raises(ConfigError, match=r"level.*nothing beside score"):
        command(folder, level=0.5, score=True)
    with pytest.raises(ConfigError, match="level"):
        command(folder, level=1.5)
    assert not (folder / "predictions.json").exists()


def test_a_run_predicts_a_third_of_its_scales_and_shows_it(finished):
    found = read(finished / "couplings.json")
    held = {row["flow"]: row["held_out"] for row in found["predictions"] if row["scored"]}
    assert held["network"] == ["4"]
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert 'id="effective-couplings"' in page
    assert "predicted from the other scales before the files" in page
    answers = read(finished / "answers.json")
    assert any("predictions at scales held out" in sentence for sentence in answers["summary"])
    assert any(row["name"] == "gaussian-precision" for row in answers["methods"])


def test_null_flows_stand_beside_the_couplings(finished):
    found = read(finished / "couplings.json")
    named = {(row["flow"], row["null"]) for row in found["nulls"]}
    assert named == {(f, n) for f in ("network", "explicit") for n in ("untrained network", "sites shuffled")}
    labels = {t["flow"]: [row["label"] for row in t["rows"]] for t in found["tables"]}
    for row in found["nulls"]:
        assert labels[row["slug"]] == labels[row["flow"]]
        assert all(scale["p_value"] <= scale["adjusted"] <= 1 for scale in row["scales"])
        assert row["scales"] or row["reason"]
    held = {row["flow"]: row["held_out"] for row in found["predictions"] if row["scored"]}
    assert held["network-untrained"] == held["network-shuffled"] == held["network"]
    assert not {row["flow"] for row in found["validity"]} - {"network", "explicit"}
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "Beside null flows" in page
    assert "</svg>sites shuffled" in page  # in the key of the figures


def test_every_coupling_of_the_tables_has_an_error_and_a_fit_or_a_reason(finished):
    for table in read(finished / "couplings.json")["tables"]:
        for row in table["rows"]:
            assert row["values"] or row["reason"]
            assert all(m["error"] is not None for m in row["values"].values())
            if row["values"] and not table["observable"]:
                assert row["goodness"] or row["reason"]


def test_a_coupling_that_refuses_is_reported_and_the_run_goes_on(finished):
    found = read(finished / "couplings.json")
    rows = [row for table in found["tables"] if table["theory"] == "kernel-exponent" for row in table["rows"]]
    assert all("Lower ``last``" in row["reason"] for row in rows)
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "ends before 50" in page


def test_names_in_the_files_are_shown_as_text(folder):
    path = folder / "couplings.json"
    hostile = "<script>alert(1)</script>"
    text = path.read_text(encoding="utf-8").replace("participation-ratio", hostile).replace("not better", "cannot tell")
    path.write_text(text, encoding="utf-8")
    page = write_report(folder).read_text(encoding="utf-8")
    assert hostile not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_couplings_can_be_left_off(tmp_path):
    assert chosen_couplings(small_run.config(tmp_path, couplings=(OFF,))) == ()
    flows = {"network": Flow("network", Axis("depth"), ())}
    study = SimpleNamespace(config=small_run.config(tmp_path, couplings=(OFF,)))
    assert along(study, tmp_path, flows).flows is flows
    assert not (tmp_path / "couplings").exists()


def test_a_coupling_that_nobody_registered_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UnknownNameError, match="gaussian-precision"):
        run(small_run.config(tmp_path, couplings=("gausian-precision",)), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert chosen_couplings(small_run.config(tmp_path, couplings=("swendsen",))) == ("swendsen",)


@dataclass(frozen=True)
class Made(GaussianPrecision):
    """A theory that says how it is made for a field."""

    @classmethod
    def on(cls, field):
        if field.geometry.sites > 4:
            raise ConfigError("sites", field.geometry.sites, "at most four.")
        return cls(reach=2)


def test_a_theory_is_made_for_the_field_as_it_asks(monkeypatch):
    monkeypatch.setattr(couplings_measured, "member", lambda family, name: Made)
    fields = [Ensemble.of(torch.randn(9, sites, generator=torch.Generator().manual_seed(0))) for sites in (4, 5)]
    assert couplings_measured.suited("made", fields[0]) == Made(reach=2)
    assert "at most four" in couplings_measured.suited("made", fields[1])


def test_a_geometry_with_distances_is_given_to_a_theory_that_takes_one():
    field = Ensemble.of(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), Chain(4))
    assert couplings_measured.suited("gaussian-precision", field) == GaussianPrecision(geometry=Chain(4))
    plain = Ensemble.of(field.values)
    assert couplings_measured.suited("gaussian-precision", plain) == GaussianPrecision()


def test_a_configuration_is_carried_out_first(finished, folder, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("blockspin.run.run", lambda config: seen.append(config) or folder)
    assert command(finished / "config.toml", as_json=True) == 0
    assert len(seen) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["hash"]
    assert err.strip() == str(folder / "predictions.json")
    assert (folder / "predictions.json").exists()
