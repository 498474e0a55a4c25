"""Shifts in networks: answers are derivatives, what other positions add is seen, what cannot be shifted is refused."""

import pickle
from dataclasses import replace

import pytest
import torch
from capture.networks import Letters, passages, reader, transformer
from torch import Tensor, nn
from torch.autograd.functional import jvp

from blockspin.answer import Light, Verdict
from blockspin.capture.hooks import capture, capture_as, edit_at
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.ensemble import group_of
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError
from blockspin.interventions.experiment import check_layers, experiment
from blockspin.interventions.features import autoencoder, directions, heads, neurons, parents, principal
from blockspin.interventions.graph import ACROSS
from blockspin.interventions.plan import Plan
from blockspin.interventions.responses import GIVEN, SLOPE, WHOLE
from blockspin.interventions.shifts import Observation, Shifting
from blockspin.interventions.verdict import answer_of, running
from blockspin.registry import member
from blockspin.respond_run import parsed, with_layers
from blockspin.sources.base import draw_records

SERIAL = member("engine", "serial")()


def reading(module, contents, layers=(), tokenizer=None) -> ActivationPass:
    modality = "array" if tokenizer is None else "text"
    sample = draw_records(member("sources", "given-records")(tuple(contents), modality), 10_000)
    recipe = NetworkRecipe(member("sources", "given-module")(module, tokenizer), modality)
    return ActivationPass(recipe, sample, layers, member("representations", "tokens")(), 32, 128, 8)


def points(*shape: int) -> list:
    return list(torch.randn(*shape, generator=torch.Generator().manual_seed(0)).numpy())


def first(count: int):
    return lambda layer, C: directions(
        torch.eye(len(C), dtype=torch.float64)[:count], tuple(f"entry {k}" for k in range(count))
    )


class Mixing(nn.Module):
    """Each position and the mean of all: x_t + mean_s x_s."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.mean(1, keepdim=True)


class EverySecond(nn.Module):
    """Every second position alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, ::2]


def tried(one: ActivationPass, make, plan: Plan):
    return experiment(one, make, plan, executor=SERIAL, generator=torch.Generator().manual_seed(0))


def test_a_shift_is_read_where_it_is_made_and_goes_on_from_there():
    network, layers = reader("bert"), ["encoder.layer.0.attention.output", "encoder.layer.0"]
    inputs, layout = network.run(passages(6))
    v = 1e-2 * torch.randn(16, generator=torch.Generator().manual_seed(0))
    edit = edit_at(network, layers[0], lambda values, layout: values + v, layout)
    plain = capture(network, inputs, layers)
    moved = capture_as(lambda layer, values: values.clone(), network, inputs, layers, (edit,))
    assert torch.allclose(moved[layers[0]], plain[layers[0]] + v)
    with torch.no_grad():
        exact = network.module.encoder.layer[0].feed_forward_chunk(plain[layers[0]] + v)
    assert torch.allclose(moved[layers[1]], exact, atol=1e-5)


def test_measured_answers_are_mean_derivatives_of_an_mlp():
    one = reading(transformer("bert"), passages(80), ("blocks.0.resid_mid", "blocks.0.resid_post"), Letters())
    found = tried(one, lambda layer, C: principal(C, 3), Plan(delta=0.01))
    (response,) = found.responses
    half = group_of(one.sample.units, one.groups) % 2 == 0
    chosen, measured = (one.over(one.sample.where(mask)).ensembles() for mask in (half, ~half))
    rows = measured["blocks.0.resid_mid"].values[:, :, 0]
    mlp, hop = one.network.module.encoder.layer[0].feed_forward_chunk, response.hop
    answers = []
    for shift in hop.shifts.float():
        _, exact = jvp(mlp, rows, shift.expand_as(rows).clone())
        answers.append((exact.double() @ hop.answering.read.T).mean(0))
    deviation = hop.answering.readings(chosen["blocks.0.resid_post"].values[:, :, 0]).std(0)
    assert torch.allclose(torch.as_tensor(response.measured.value), torch.stack(answers) / deviation, atol=2e-3)
    assert found.elsewhere == (0.0,)


@pytest.mark.parametrize(("features", "ending", "count"), [("heads", "z", 2), ("neurons:3", "mlp_mid", 3)])
def test_heads_and_neurons_are_shifted_where_they_are(features, ending, count):
    made = parsed(features)
    one = with_layers(reading(transformer("bert"), passages(80), (), Letters()), (), made.kind)
    assert one.layers == tuple(f"blocks.{k}.{ending}" for k in range(3))
    found = tried(one, made.maker(one.network), Plan())
    assert [response.measured.value.shape for response in found.responses] == [(count, count)] * 2
    assert all(share > 0 for share in found.elsewhere)  # the attention of the next block comes between


def test_what_other_positions_add_is_seen():
    positions = 5
    net = nn.Sequential(nn.Identity(), Mixing(), nn.Identity()).eval()
    one = reading(net, points(60, positions, 3), ("0", "1", "2"))
    found = tried(one, first(2), Plan())
    assert found.elsewhere[0] == pytest.approx(((positions - 1) / positions / 2) ** 2, rel=1e-4)
    assert found.elsewhere[1] == 0
    assert found.responses[0].measured.value[0, 1] == pytest.approx(0, abs=1e-6)
    answer = answer_of(found, None, Plan())
    light = {item.name: item.light for item in answer.assumptions}
    assert light["an answer is computed from the same position alone"] is Light.RED
    assert answer.verdicts["1 -> 2"] is Verdict.YES


def test_a_linear_network_with_all_parents_answers_as_predicted_along_its_depth():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    one = reading(net, points(300, 3), ("0", "1", "2"))
    found = tried(one, lambda layer, C: neurons(C, len(C)), Plan())
    for response in found.responses:
        for key in (GIVEN, WHOLE):
            assert response.numbers[key][SLOPE].value == pytest.approx(1, abs=1e-5)
        assert response.bent.value == pytest.approx(0, abs=1e-9)
    answer, rows = answer_of(found, None, Plan()), running(found, Plan())
    assert answer.verdict is Verdict.YES
    assert "as couplings predict in 2 of 2 hops: yes" in answer.statement
    assert [(row["from"], row["to"]) for row in rows] == [("0", "1"), ("1", "2")]
    across = {(e.source, e.target) for e in found.graph.edges if e.kind == ACROSS}
    assert rows[0]["edges_across"] + rows[1]["edges_across"] == len(across) > 8
    assert all(item.light is Light.GREEN for item in answer.assumptions)


def test_passes_are_sent_to_workers_as_they_are_and_told_apart():
    one = reading(nn.Sequential(nn.Identity(), nn.Linear(3, 2)).eval(), points(64, 3), ("0", "1"))
    hop = tried(one, first(2), Plan()).responses[0].hop
    shifting = Shifting(one, (hop,), 0.5)
    sent = pickle.loads(pickle.dumps(shifting))
    assert sent.fingerprint == shifting.fingerprint
    (values, elsewhere) = next(iter(sent.batches(sent.shards()[0]))).values()
    assert values.values.shape[1] == 3 * 2 * 2 + 2 * 2
    assert elsewhere.values.shape[1:] == (2, 1)
    other = [
        Shifting(one, (replace(hop, spread=2 * hop.spread),), 0.5),
        Shifting(one, (hop,), 0.25),
        Observation(one, (hop,)),
    ]
    assert len({item.fingerprint for item in (shifting, *other)}) == 4


def test_features_are_what_they_say():
    C = torch.diag(torch.tensor([1.0, 9.0, 4.0, 16.0], dtype=torch.float64))
    assert neurons(C, 2).names == ("neuron 3", "neuron 1")
    assert torch.allclose(principal(C, 1).read.abs(), torch.tensor([[0.0, 0, 0, 1]], dtype=torch.float64))
    assert torch.allclose(heads(C, 2).read.abs(), torch.eye(4, dtype=torch.float64)[[1, 3]])
    basis = parents(C, directions(torch.ones(1, 4), ("a",)), 2)
    assert basis.shape == (3, 4)
    assert torch.allclose(basis @ basis.T, torch.eye(3, dtype=torch.float64), atol=1e-12)
    state = {"W_enc": torch.eye(3)[:, :2], "W_dec": 2 * torch.eye(3)[:2], "b_enc": torch.tensor([0.5, -1.0])}
    latents = autoencoder({**state, "b_dec": torch.ones(3)}, (1,))
    assert latents.readings(torch.tensor([[0.0, 3.0, 0.0], [0.0, 1.0, 0.0]])).tolist() == [[1.0], [0.0]]
    assert latents.write.tolist() == [[0.0, 2.0, 0.0]]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: directions(torch.zeros(2, 3), ("a", "b")), "rows other than zero"),
        (lambda: directions(torch.ones(3), ("a",)), "not a matrix"),
        (lambda: heads(torch.eye(5, dtype=torch.float64), 2), "2 heads do not share evenly"),
        (lambda: neurons(torch.eye(2, dtype=torch.float64), 3), "3 neurons of an activation of 2"),
        (
            lambda: autoencoder({"W_enc": torch.ones(3, 2), "W_dec": torch.ones(2, 4), "b_enc": torch.ones(2)}, (0,)),
            r"W_dec \[2, 4\]",
        ),
        (
            lambda: autoencoder({"W_enc": torch.ones(3, 2), "W_dec": torch.ones(2, 3), "b_enc": torch.ones(2)}, (2,)),
            r"\(2,\) of 2",
        ),
    ],
)
def test_features_that_are_none_are_refused(make, says):
    with pytest.raises(ShapeError, match=says):
        make()


def test_what_cannot_be_shifted_is_refused_with_what_could_be():
    text = {"contents": passages(40), "tokenizer": Letters()}
    norm = reading(transformer("gpt2"), layers=("blocks.0.resid_mid", "blocks.0.resid_post"), **text)
    with pytest.raises(ConfigError, match="the stream passes by"):
        check_layers(norm)
    check_layers(reading(transformer("bert"), layers=("blocks.0.resid_mid", "blocks.0.resid_post"), **text))
    check_layers(reading(transformer("gpt2"), layers=("blocks.0.z", "blocks.1.z"), **text))
    net, x = nn.Sequential(nn.Identity(), nn.Linear(3, 2)).eval(), points(64, 3)
    with pytest.raises(ConfigError, match="two or more"):
        tried(reading(net, x, ("0",)), first(1), Plan())
    given = directions(torch.eye(3), ("a", "b", "c"))
    with pytest.raises(ShapeError, match=r"3 entries each do not fit '1', whose activation has 2.*\[features, 2\]"):
        tried(reading(net, x, ("0", "1")), lambda layer, C: given, Plan())
    with pytest.raises(TooFewSamplesError, match="9 records in 8 groups"):
        tried(reading(net, x[:9], ("0", "1")), first(1), Plan())
    with pytest.raises(TooFewSamplesError, match="2 directions vary, of 3"):
        principal(torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)), 3)
    with pytest.raises(ConfigError, match="delta"):
        Plan(delta=0.0)
    pooled = nn.Sequential(nn.Identity(), EverySecond()).eval()
    with pytest.raises(ShapeError, match="positions and '1' at"):
        tried(reading(pooled, points(64, 4, 6), ("0", "1")), first(1), Plan())
