"""Null flows of the couplings: what shuffling destroys and keeps, what is compared, and what is said of it."""

from types import SimpleNamespace

import pytest
import small_run
import torch

from blockspin.config import RunConfig
from blockspin.controls import gaussian_field
from blockspin.couplings.gaussian_precision import GaussianPrecision
from blockspin.couplings_nulls import NullFlow, beside, chosen_nulls, null_flows, sentences, shuffled
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import ConfigError, UnknownNameError
from blockspin.flow import Axis, Flow, Scale
from blockspin.geometry import Chain
from blockspin.observables.base import accumulate
from blockspin.registry import member
from blockspin.run import run
from blockspin.running.replicas import Replicas
from blockspin.running.validity import WHOLE
from blockspin.schemes.block_average import BlockAverage

GROUPS, SITES = 10, 8


def field(seed: int, coupled: float, samples: int = 800) -> Ensemble:
    """Return a chain of Gaussian sites of unit variance; neighbours have the correlation ``coupled``."""
    draws = torch.randn(samples, SITES, generator=torch.Generator().manual_seed(seed))
    values = draws.clone()
    for k in range(1, SITES):
        values[:, k] = coupled * values[:, k - 1] + (1 - coupled**2) ** 0.5 * draws[:, k]
    return Ensemble.of(values, Chain(SITES))


def rows(ensemble: Ensemble) -> dict:
    """Return the couplings of a field as a run measures them."""
    theory, group = GaussianPrecision(geometry=ensemble.geometry), group_of(ensemble.units, GROUPS)
    states = [accumulate(theory.monoid, ensemble.select((group == g).nonzero().flatten())) for g in range(GROUPS)]
    return {("gaussian-precision", WHOLE): Replicas.of(theory, states)}


def mixed(ensemble: Ensemble) -> Ensemble:
    return shuffled(ensemble, GROUPS, generator=torch.Generator().manual_seed(9))


def compared(*fields: Ensemble) -> dict:
    """Return what is said of some fields beside their shuffled selves."""
    flow = Flow("network", Axis("depth"), tuple(Scale(k, str(k), None, f) for k, f in enumerate(fields)))
    null = NullFlow("shuffled", "network", flow, mixed)
    found = {"network": (flow, list(map(rows, fields)))}
    found[null.slug] = flow, [rows(null.change(f)) for f in fields]
    (row,) = beside(found, [null])
    return row


def test_shuffling_keeps_every_site_and_group_and_unties_the_sites():
    whole = field(0, 0.9)
    other = mixed(whole)
    group = group_of(whole.units, GROUPS)
    for g in range(GROUPS):
        assert torch.equal(whole.values[group == g].sort(0).values, other.values[group == g].sort(0).values)
    assert whole.values[:, :2, 0].T.corrcoef()[0, 1] > 0.85
    assert abs(other.values[:, :2, 0].T.corrcoef()[0, 1]) < 4 / 800**0.5
    assert torch.equal(other.ids, whole.ids)


def test_components_of_a_site_stay_together():
    values = torch.arange(60.0).reshape(10, 3, 2)
    other = shuffled(Ensemble.of(values), 1, generator=torch.Generator().manual_seed(0)).values
    assert torch.equal(other[:, :, 1], other[:, :, 0] + 1)
    assert not torch.equal(other, values)


def test_scales_with_coupled_sites_differ_from_shuffled_ones():
    row = compared(field(1, 0.0), field(2, 0.5))
    assert row["verdict"] == "yes"
    assert [scale["differs"] for scale in row["scales"]] == [False, True]
    assert row["scales"][1]["adjusted"] == pytest.approx(2 * row["scales"][1]["p_value"])
    assert compared(field(1, 0.0))["verdict"] == "cannot tell"


@pytest.mark.slow
def test_free_sites_are_seldom_told_from_shuffled_ones():
    chances = [compared(field(seed, 0.0, 200))["scales"][0]["p_value"] for seed in range(100, 180)]
    assert sum(p < 0.05 for p in chances) <= 10  # 4 expected; eleven or more once in three hundred


@pytest.mark.slow
def test_a_gaussian_field_is_seldom_told_from_its_gaussian_copy_and_a_skew_one_is():
    cumulants = member("observables", "cumulants")()

    def of(ensemble):
        group = group_of(ensemble.units, GROUPS)
        states = [
            accumulate(cumulants.monoid, ensemble.select((group == g).nonzero().flatten())) for g in range(GROUPS)
        ]
        return {("cumulants", WHOLE): Replicas.of(cumulants, states)}

    def chance(own, seed):
        copy = gaussian_field(own, generator=torch.Generator().manual_seed(seed))
        flow = Flow("explicit", Axis("b"), (Scale(0, "0", None, own),))
        null = NullFlow("gaussian", "explicit", flow)
        (row,) = beside({"explicit": (flow, [of(own)]), null.slug: (flow, [of(copy)])}, [null])
        return row["scales"][0]["p_value"]

    found = [chance(field(seed, 0.6, 200), seed) for seed in range(200, 280)]
    assert sum(p < 0.05 for p in found) <= 10  # 4 expected; eleven or more once in three hundred
    skew = field(1, 0.6)
    skew = skew.with_values(skew.values.exp())
    assert chance(skew, 0) < 1e-3


@pytest.mark.parametrize("samples", [400, 5])  # more samples than sites, and fewer
def test_a_gaussian_copy_has_the_mean_and_covariance_of_the_field_and_nothing_beyond(samples):
    skew = field(3, 0.7, samples)
    values = skew.values[:, :, 0].exp() + 3
    copy = gaussian_field(skew.with_values(values[:, :, None]), generator=torch.Generator().manual_seed(1)).values[
        :, :, 0
    ]
    size = float(values.abs().max()) ** 2
    assert torch.allclose(copy.mean(0), values.mean(0), atol=1e-6 * size)
    assert torch.allclose(copy.T.cov(), values.T.cov(), atol=1e-6 * size)
    third = (copy - copy.mean(0)).pow(3).mean(0) / copy.std(0) ** 3
    assert (third.abs() < 4 * (6 / samples) ** 0.5).all()


def test_null_flows_of_data_alone_are_those_that_need_no_network():
    config = RunConfig().with_options({"model": "off", "data": "x.npy"})
    assert chosen_nulls(config) == ("shuffled", "gaussian")
    with pytest.raises(ConfigError, match="untrained"):
        chosen_nulls(config.with_options({"nulls": ("untrained",)}))
    assert chosen_nulls(RunConfig()) == ("untrained", "shuffled")


def test_what_one_flow_lacks_is_said_and_not_compared():
    flow = Flow("network", Axis("depth"), (Scale(0, "0", None, field(5, 0.5)),))
    null = NullFlow("untrained", "network", flow)
    own = rows(flow[0].ensemble)
    refused = {("gaussian-precision", WHOLE): Replicas(reason="too few")}
    (row,) = beside({"network": (flow, [own]), null.slug: (flow, [refused])}, [null])
    assert (row["verdict"], row["scales"]) == ("cannot tell", [])
    assert "exists in both" in row["reason"]


def test_levels_of_a_null_are_those_of_the_same_scheme():
    config = SimpleNamespace(model="", nulls=(), couplings=(), groups=GROUPS, scheme=BlockAverage(b=2))
    study = SimpleNamespace(config=config, generator=lambda stream: torch.Generator().manual_seed(stream))
    parts, copied = (field(6, 0.9), field(7, 0.9)), (field(8, 0.1), field(9, 0.1))
    flow, other = (Flow("depth", Axis("depth"), (Scale(0, "a", None, pair[1]),)) for pair in (parts, copied))
    levels = Flow("block-average", Axis("b"), (Scale(0, "8 sites"), Scale(1, "4 sites")))
    nulls, missing = null_flows(study, (flow, parts), levels, (other, copied))
    assert [null.slug for null in nulls] == [
        "network-untrained",
        "explicit-untrained",
        "network-shuffled",
        "explicit-shuffled",
    ]
    assert [null.flow.labels for null in nulls[1::2]] == [("8 sites", "4 sites")] * 2
    assert torch.equal(nulls[1].flow[0].ensemble.values, copied[1].values)
    assert not missing


def test_names_are_looked_up_and_off_is_off(tmp_path):
    config = small_run.config(tmp_path)
    assert chosen_nulls(config) == ("untrained", "shuffled")
    assert chosen_nulls(config.with_options({"nulls": ["shuffled"]})) == ("shuffled",)
    assert chosen_nulls(config.with_options({"nulls": ["off"]})) == ()
    assert chosen_nulls(config.with_options({"couplings": ["off"]})) == ()
    with pytest.raises(UnknownNameError, match="shuffled"):
        chosen_nulls(RunConfig(nulls=("shufled",)))


def test_a_null_flow_that_nobody_knows_is_refused_where_couplings_are_off_too(tmp_path):
    with pytest.raises(UnknownNameError, match="shuffled"):
        run(small_run.bare(tmp_path, nulls=("shufled",)), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_prediction_that_a_null_flow_shares_is_named():
    row = {"flow": "network", "theory": "made", "null": "untrained network", "slug": "network-untrained"}
    compared = [{**row, "verdict": "yes", "scales": [{}]}]
    scored = [{"flow": flow, "theory": "made", "scored": {"verdict": "better"}} for flow in ("network", row["slug"])]
    (text,) = sentences(compared, scored)
    assert "1 of 1 differ beyond errors from the null “untrained network”" in text
    assert "Of 1 predictions better than every baseline, 1 are so on a null flow too, and say nothing" in text
    (text,) = sentences(compared, scored[:1])
    assert text.endswith("0 are so on a null flow too.")
