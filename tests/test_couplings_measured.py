"""Which theories suit a field, with which options, and what is said of those that must be told what the field is."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import small_run
import torch

from blockspin.config import RunConfig
from blockspin.couplings.binary_pairs import BinaryPairs
from blockspin.couplings.kernel_exponent import KernelExponent
from blockspin.couplings.sectors import Sectors
from blockspin.couplings.swendsen import Swendsen
from blockspin.couplings_measured import chosen_couplings, measured, suited, whole
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError
from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import spins_kept
from blockspin.geometry import Grid
from blockspin.observables.base import evaluate
from blockspin.registry import member, members
from blockspin.run import run


def field(sites, geometry=None, samples=400):
    return Ensemble.of(torch.randn(samples, sites, generator=torch.Generator().manual_seed(0)), geometry)


def rows(tmp_path, couplings, sites, **more):
    from types import SimpleNamespace

    study = SimpleNamespace(config=small_run.config(tmp_path, couplings=couplings, groups=20, **more))
    return measured(study, chosen_couplings(study.config), field(sites), whole)


def test_options_of_couplings_are_read_and_used(tmp_path):
    found = rows(tmp_path, ("kernel-exponent:first=1,last=8,bend=9.0", "sectors:labels=[0, 0, 1, 1, 1, 1, 1, 1]"), 8)
    assert "ends before" not in found["kernel-exponent", "all"].reason  # the default's last is 50
    assert set(found["sectors", "all"].values) == {"within[0]", "within[1]", "cross[0, 1]"}


@pytest.mark.parametrize(
    ("couplings", "words"),
    [
        (("kernel-exponent:lst=8",), "kernel-exponent:lst.*last"),
        (("kernel-exponent:last",), "values as in TOML"),
        (("effective-action:frame=1",), "effective-action:frame"),
        (("off", "power-law"), "off alone"),
        (("power-law", "off"), "off alone"),
        (("sectors", "sectors:labels=[0, 1]"), "once"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(tmp_path, couplings, words):
    with pytest.raises(ConfigError, match=words):
        chosen_couplings(small_run.config(tmp_path, couplings=couplings))


@pytest.mark.parametrize("sites", [1, 2, 3, 4, 8, 64])
def test_no_theory_is_measured_with_the_example_that_its_default_is(sites):
    for name, cls in members("couplings").items():
        if cls.given:
            found = suited(name, field(sites))
            assert isinstance(found, str), (name, sites)
            assert name in found


def test_what_a_field_says_of_itself_need_not_be_given():
    assert suited("binary-pairs", field(3), {"pairs": ((0, 2),)}) == BinaryPairs(3, ((0, 2),))
    assert suited("binary-action", field(64, Grid((8, 8)))).geometry == Grid((8, 8))
    assert suited("field-mixture", field(64, Grid((64,)))).frame is not None
    assert suited("kernel-exponent", field(64), {"last": 40}) == KernelExponent(last=40)
    assert suited("sectors", field(2), {"labels": (0, 1)}) == Sectors((0, 1))


def test_options_that_a_theory_refuses_are_its_reason(tmp_path):
    assert "at least 4 first" in rows(tmp_path, ("kernel-exponent:last=8",), 8)["kernel-exponent", "all"].reason


def test_coarse_levels_have_the_couplings_of_the_modes_that_are_left():
    assert [suited("effective-action", field(sites)).modes for sites in (1, 2, 4, 9)] == [1, 2, 4, 4]
    assert [suited("edgeworth-action", field(sites)).modes for sites in (1, 2, 4, 9)] == [1, 2, 4, 4]


def test_principal_coordinates_have_no_unit_and_fields_do(tmp_path):
    found = rows(tmp_path, ("effective-action", "edgeworth-action"), 3)
    for name in ("effective-action", "edgeworth-action"):
        assert set(found[name, "all"].units.values()) == {"1"}
    assert suited("effective-action", field(8, Grid((8,)))).units["mass"] == "field^-2"


def test_a_fit_says_how_many_couplings_are_needed(tmp_path):
    notes = rows(tmp_path, ("effective-action",), 3)["effective-action", "all"].notes
    assert notes["couplings needed"] == 3  # independent normal sites: one mass each
    assert notes["of"] == 12  # a mass, a quartic and a sextic each, three products
    assert notes["sloppy directions"] >= 0


def test_a_theory_of_one_step_reads_a_scale_and_the_one_before(tmp_path):
    spins = member("sources", "ising-square")(side=8).sample(2000, generator=torch.Generator().manual_seed(0))
    rule, generator = member("schemes", "majority-rule")(b=2), torch.Generator()
    flow = iterate((spins, spins), rule, generator=generator, steps=2, rescaling=spins_kept)
    fine, coarse = flow[0].ensemble, flow[1].ensemble
    assert len(flow) == 3  # spins stay spins, so that they can vote again
    text = "swendsen:periodic=true,even=1,odd=1"
    study = SimpleNamespace(config=small_run.config(tmp_path, couplings=(text,), groups=10))
    found = measured(study, ("swendsen",), coarse, whole, fine)["swendsen", "all"]
    expected = evaluate(Swendsen(shape=(8, 8), even=1, odd=1), coarse, fine)
    assert found.values["y_odd"] == pytest.approx(float(expected["y_odd"]), rel=1e-9)
    assert found.measurement("y_odd").error > 0
    real = fine.times(torch.linspace(1, 2, 64)[:, None])
    reasons = {
        "no scale comes before": (coarse, None),
        "spins of -1 and \\+1": (coarse, real),
        "b times as coarse": (fine, fine),
    }
    for words, (field_here, before) in reasons.items():
        refused = measured(study, ("swendsen",), field_here, whole, before)["swendsen", "all"]
        assert re.search(words, refused.reason)
        assert not refused.values


@pytest.mark.slow
def test_a_run_of_critical_spins_prints_the_exponents_of_every_step(tmp_path):
    spins = member("sources", "ising-square")(side=32).sample(3000, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "spins.npy", spins.values.reshape(-1, 32, 32).numpy())
    data = {"model": "off", "data": str(tmp_path / "spins.npy"), "modality": "image"}
    scheme = {"name": "majority-rule", "b": 2}
    more = {"samples": 3000, "kernel_samples": 2800, "groups": 20, "steps": 2, "nulls": ("off",)}
    text = "swendsen:periodic=true,even=3,odd=2"
    config = RunConfig().with_options({**data, **more, "scheme": scheme, "couplings": (text,)})
    folder = run(config, folder=tmp_path / "run")
    tables = json.loads((folder / "couplings.json").read_text(encoding="utf-8"))["tables"]
    (table,) = (t for t in tables if t["theory"] == "swendsen")
    for row in table["rows"][1:]:
        y_t, y_h = row["values"]["y_even"], row["values"]["y_odd"]
        assert abs(y_t["value"] - 1) < 4 * y_t["error"] < 0.2
        assert abs(y_h["value"] - 15 / 8) < 0.01
