"""Which theories suit a field, with which options, and what is said of those that must be told what the field is."""

import pytest
import small_run
import torch

from blockspin.couplings.binary_pairs import BinaryPairs
from blockspin.couplings.kernel_exponent import KernelExponent
from blockspin.couplings.sectors import Sectors
from blockspin.couplings_measured import chosen_couplings, measured, suited, whole
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError
from blockspin.geometry import Grid
from blockspin.registry import members


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
