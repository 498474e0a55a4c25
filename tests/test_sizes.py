"""Scaling laws read from folders: of sweeps over models, of families; what is missing is told by name."""

import json

import numpy as np
import pytest
import torch

from blockspin.cli.scaling import command, losses_of
from blockspin.couplings.scaling_law import fit_scaling
from blockspin.errors import ConfigError, RunFolderError, TooFewSamplesError
from blockspin.flows.sizes import sizes_of
from blockspin.measurement import Measurement

SIZES = (100, 300, 1000, 3000, 10000)
SHARE = 0.01


def law(size: float) -> float:
    return 0.5 + 8.0 * size**-0.5


def swept(folder, sizes=SIZES, *, seeds=1, targets=True, noise=0.0):
    """Write what a sweep over models leaves, as far as scaling laws read it; each network is read twice."""
    rng, rows = np.random.default_rng(0), []
    for size in sizes:
        for seed in range(seeds):
            loss = law(size) * float(np.exp(noise * rng.normal()))
            told = Measurement(loss, SHARE * loss, "nats", 20, "jackknife", 19).to_dict() if targets else None
            for scheme in ("a", "b"):
                name = f"model=n{size}-{seed},scheme={scheme}"
                (folder / name).mkdir(parents=True)
                network = {"parameters": size, "loss": told, "no_loss": "" if targets else "no targets were given"}
                (folder / name / "answers.json").write_text(json.dumps({"network": network}), encoding="utf-8")
                hashes = {"hashes": {"weights": f"{size}-{seed}"}}
                (folder / name / "manifest.json").write_text(json.dumps(hashes), encoding="utf-8")
                rows.append({"model": f"n{size}-{seed}", "scheme": scheme, "folder": name, "error": None})
    rows.append({"model": "damaged", "scheme": "a", "folder": "model=damaged", "error": "cannot be loaded"})
    content = {"format": 1, "axes": ["model", "scheme"], "runs": rows}
    (folder / "sweep.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_sweep_over_models_is_read_as_sizes_and_losses(tmp_path):
    found = sizes_of(swept(tmp_path / "sweep"))
    assert found.losses == {float(size): [law(size)] for size in SIZES}
    assert found.noise == (pytest.approx(SHARE), 19)
    assert found.left_out == ("model=damaged: cannot be loaded",)


def test_the_law_of_a_sweep_is_the_planted_one(tmp_path, capsys):
    assert command(swept(tmp_path / "sweep"), held_out=1, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["exponent"]["interval"]
    assert low < 0.5 < (high or np.inf)
    assert found["held_out"][0]["inside"]
    assert "another training" in found["noise"]
    assert found["left_out"] == ["model=damaged: cannot be loaded"]


def test_seeds_tell_the_noise_where_there_are_enough(tmp_path):
    folder = swept(tmp_path / "sweep", seeds=3, noise=0.02)
    losses, noise, _ = losses_of(folder, "")
    assert noise is None
    assert [len(row) for row in losses.values()] == [3] * len(SIZES)


def test_noise_that_is_given_serves_as_well_as_that_of_seeds():
    """With the same noise known, a single loss a size gives the interval that the mean of seeds would."""
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(40):
        losses = {float(size): [law(size) * float(np.exp(SHARE * rng.normal()))] for size in SIZES}
        found = fit_scaling(losses, generator=torch.Generator().manual_seed(seed), noise=(SHARE, 19))
        low, high = found.exponent[1]
        covered += low <= 0.5 <= high
    assert covered >= 34  # of 95 % intervals: fewer than 34 of 40 have a chance of 0.3 %


def test_what_is_missing_is_told_by_name(tmp_path):
    with pytest.raises(TooFewSamplesError, match=r"0 sizes .*no targets were given"):
        losses_of(swept(tmp_path / "bare", targets=False), "")
    with pytest.raises(TooFewSamplesError, match=r"3 sizes .*model=damaged: cannot be loaded"):
        losses_of(swept(tmp_path / "few", SIZES[:3]), "")
    with pytest.raises(ConfigError, match="size"):
        sizes_of(tmp_path / "few", "seed")
    with pytest.raises(RunFolderError, match="no sweep"):
        sizes_of(tmp_path)


def test_a_run_on_a_family_is_read_too(tmp_path):
    told = Measurement(1.0, 0.1, "nats", 20, "jackknife", 19).to_dict()
    row = {"label": "width 4", "position": 4.0, "parameters": 100, "loss": told, "no_loss": ""}
    rows = [row, {**row, "label": "width 8", "position": 8.0, "loss": None, "no_loss": "no row a passage"}]
    (tmp_path / "answers.json").write_text(json.dumps({"network": {"family": rows}}), encoding="utf-8")
    found = sizes_of(tmp_path, "position")
    assert found.losses == {4.0: [1.0]}
    assert found.left_out == ("width 8: no row a passage",)
