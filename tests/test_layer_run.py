"""Linear maps as random layers along a run: what was drawn comes back, training is seen, phases are told."""

import json

import numpy as np
import pytest
import small_run
import torch
from scipy.stats import binom
from torch import nn

from blockspin.capture.base import Network
from blockspin.capture.encoders import ArrayEncoder, TextEncoder, padding_right
from blockspin.capture.linear_maps import linear_maps
from blockspin.couplings_measured import chosen_couplings
from blockspin.errors import ConfigError, ShapeError
from blockspin.layer_run import NAME, ask_of_layers, fitted, layers_of_maps
from blockspin.organisms.modular_addition import ModularAddition
from blockspin.organisms.random_mlp import RandomMlp
from blockspin.run import run
from blockspin.running.validity import WHOLE
from blockspin.theory.mean_field import critical_weight_variance, propagation

SIGMA_B = 0.3
HOLDS, CHAOS = "theory-holds", "order-or-chaos"


def drawn(seed: int, weight_variance: float, *, width: int = 100, depth: int = 5) -> nn.Module:
    organism = RandomMlp(sigma_w=weight_variance**0.5, sigma_b=SIGMA_B, width=width, depth=depth)
    return organism.network(generator=torch.Generator().manual_seed(seed)).eval()


def maps_of(module: nn.Module, width: int, count: int = 24, layers: tuple[str, ...] = ()):
    x = torch.randn(count, width, generator=torch.Generator().manual_seed(77)).numpy()
    return linear_maps(Network(module, ArrayEncoder("array")), list(x), layers)


def small():
    """A tanh network of four maps, importable as ``test_layer_run:small``."""
    return drawn(0, 1.7, width=48, depth=4)


def skipping():
    """The same with the input added before the second map, importable as ``test_layer_run:skipping``."""
    return Skipping()


class Skipping(nn.Module):
    def __init__(self):
        super().__init__()
        chain = drawn(0, 1.7, width=48, depth=2)
        self.first, self.second = chain[0], chain[2]

    def forward(self, x):
        return self.second(x + self.first(x).tanh())


def folder_of(tmp_path, **more):
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(120, 48)).astype(np.float32))
    config = small_run.config(tmp_path, groups=12, couplings=(NAME,), nulls=("untrained",), **more)
    return run(config, folder=tmp_path / "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("layers"), model="test_layer_run:small")


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_variances_stand_along_depth_among_the_couplings(finished):
    tables = {t["flow"]: t for t in read(finished, "couplings.json")["tables"] if t["theory"] == NAME}
    assert set(tables) == {"network", "network-untrained"}
    for table in tables.values():
        found = {row["label"]: row for row in table["rows"] if row["values"]}
        assert set(found) == {"0", "2", "4", "6"}
        for row in found.values():
            weight, bias = row["values"]["weight_variance"], row["values"]["bias_variance"]
            assert abs(weight["value"] - 1.7) < 5 * weight["error"]  # of twelve groups
            assert abs(bias["value"] - SIGMA_B**2) < 5 * bias["error"]
            assert row["goodness"]["p_value"] > 1e-3
    assert {p["theory"] for p in read(finished, "couplings.json")["predictions"]} >= {NAME}


def test_the_run_asks_theory_and_phase_and_draws_both(finished):
    answers = {a["question"]: a for a in read(finished, "answers.json")["answers"]}
    assert answers[HOLDS]["verdict"] != "no"
    assert answers[HOLDS]["controls"]
    keys = {row["key"] for row in answers[HOLDS]["figure"]["rows"]}
    assert keys == {f"{NAME}/weight_variance", f"{NAME}/bias_variance", "kernel/variance", "kernel/covariance"}
    assert answers[CHAOS]["controls"]
    assert set(answers[CHAOS]["verdicts"]) == {"2", "4", "6"}
    assert "Layers beside theory" in (finished / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_skip_connection_is_named_and_variances_are_fitted_all_the_same(tmp_path):
    folder = folder_of(tmp_path, model="test_layer_run:skipping")
    assert any("skip connection" in note and "second" in note for note in read(folder, "answers.json")["notes"])
    rows = {r["label"]: r for t in read(folder, "couplings.json")["tables"] if t["theory"] == NAME for r in t["rows"]}
    assert rows["second"]["values"]["weight_variance"]["value"] == pytest.approx(1.7, rel=0.3)


def test_networks_of_several_positions_are_refused_by_name():
    module, letters = small_run.words()
    network = Network(module, TextEncoder(padding_right(letters), 8))
    with pytest.raises(ShapeError, match="'out' reads 4 positions"):
        linear_maps(network, ["king day", "king night"])
    with pytest.raises(ShapeError, match="no linear map"):
        maps_of(nn.Sequential(nn.Tanh()), 4)
    with pytest.raises(ConfigError, match="a network beside it"):
        chosen_couplings(small_run.RunConfig().with_options({"model": "off", "couplings": (NAME,)}))


def test_layers_too_narrow_for_a_fit_say_so():
    (only,) = maps_of(nn.Sequential(nn.Linear(100, 3)), 100)
    assert "3 units fed by 100 features are too few" in fitted(only, 5).reason


def test_several_maps_between_two_captured_layers_are_not_mixed():
    maps = maps_of(drawn(0, 1.7), 100, layers=("2", "4"))
    found = layers_of_maps("network", maps, 10).rows
    assert "2 linear maps" in found["2"][NAME, WHOLE].reason
    assert found["4"][NAME, WHOLE].values


CRITICAL = critical_weight_variance(torch.tanh, SIGMA_B**2)[0]


@pytest.mark.parametrize(("weight_variance", "verdict"), [(1.0, "no"), (CRITICAL, "cannot tell"), (4.0, "yes")])
def test_order_and_chaos_are_told_and_the_critical_point_is_not(weight_variance, verdict):
    found = layers_of_maps("network", maps_of(drawn(2, weight_variance), 100), 20)
    answer = {a.question: a for a in ask_of_layers(torch.Generator(), found, found)}[CHAOS]
    assert answer.verdict.value == verdict
    expected, fixed = propagation(torch.tanh, weight_variance, SIGMA_B**2), found.fixed[0].measurements
    for key, value in (("chi", expected.susceptibility), ("variance", expected.variance)):
        assert abs(fixed[f"propagation/{key}"].value - value) < 4 * fixed[f"propagation/{key}"].error
    rate = fixed["propagation/inverse_depth"]
    assert abs(rate.value - 1 / expected.correlation_depth) < 4 * rate.error
    assert ("propagation/depth" in fixed) == (verdict != "cannot tell")


def p_values(module: nn.Module) -> dict[str, float]:
    found = layers_of_maps("network", maps_of(module, 60, layers=("0", "2")), 10)
    return {label: row[NAME, WHOLE].goodness.p_value for label, row in found.rows.items()}


def test_training_is_seen_in_the_p_values_and_permuted_weights_are_not_refused():
    net = nn.Sequential(*drawn(0, 2.0, width=60, depth=2), nn.Linear(60, 1))
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(400, 60, generator=generator)
    data[:, 3:] *= 0.2
    labels = (data[:, :1] * data[:, 1:2]).sign()
    with torch.no_grad():  # a small readout, so that the layers before have to move
        net[-1].weight.copy_(0.1 * torch.randn(1, 60, generator=generator) / 60**0.5)
    assert min(p_values(net).values()) > 0.01
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(100):
        optimiser.zero_grad()
        nn.functional.mse_loss(net(data), labels).backward()
        optimiser.step()
    assert p_values(net)["2"] < 1e-4
    with torch.no_grad():
        for linear in (net[0], net[2]):
            order = torch.randperm(linear.weight.numel(), generator=generator)
            linear.weight.copy_(linear.weight.flatten()[order].reshape(linear.weight.shape))
    assert p_values(net)["2"] > 0.01


@pytest.mark.slow
def test_units_that_became_fourier_modes_are_no_random_ones():
    trained = ModularAddition().train(generator=torch.Generator().manual_seed(0))
    found = {}
    for step in (0, max(trained.checkpoints)):
        trained.module.load_state_dict(trained.checkpoints[step])
        network = Network(trained.module.eval(), ArrayEncoder("array"))
        maps = linear_maps(network, [row.numpy() for row in trained.contents[:24]], ("0", "2"))
        rows = layers_of_maps("network", maps, 20).rows
        found[step] = [rows[label][NAME, WHOLE].goodness.p_value for label in ("0", "2")]
    assert min(found[0]) > 0.01
    assert max(found[max(found)]) < 1e-4


@pytest.mark.slow
def test_intervals_cover_what_was_drawn_and_random_layers_pass_at_the_nominal_rate():
    covered, refused, departed, total = {"weight_variance": 0, "bias_variance": 0}, 0, 0, 0
    for seed in range(60):
        found = layers_of_maps(
            "network", maps_of(drawn(1000 + seed, 2.0, width=200, depth=3), 200, layers=("0", "2", "4")), 20
        )
        for row in found.rows.values():
            replicas, total = row[NAME, WHOLE], total + 1
            for key, true in (("weight_variance", 2.0), ("bias_variance", SIGMA_B**2)):
                low, high = replicas.measurement(key).interval(0.9)
                covered[key] += low <= true <= high
            refused += replicas.goodness.p_value < 0.05
        departed += ask_of_layers(torch.Generator(), found, found)[0].verdict.value == "no"
    for key, count in covered.items():
        assert binom.ppf(0.005, total, 0.9) <= count <= binom.ppf(0.995, total, 0.9), key
    assert refused <= binom.ppf(0.99, total, 0.05)
    assert departed <= binom.ppf(0.99, 60, 0.05)
