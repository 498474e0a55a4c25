from dataclasses import replace

import pytest
import torch
from capture.networks import passages, plain, reader, sample_of
from scipy.stats import binom
from torch import nn

from blockspin import Ensemble, Unordered
from blockspin.capture.origin import Origin, output_change
from blockspin.engine.base import Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.errors import PooledEditError, UnknownNameError
from blockspin.observables.base import evaluate
from blockspin.registry import member


def origin(kind: str = "bert", layer: str = "encoder.layer.0") -> Origin:
    return Origin(reader(kind), sample_of(passages(12)), layer, invertible=True)


@pytest.mark.parametrize(
    ("kind", "layer"), [("bert", "encoder.layer.0"), ("llama", "layers.1"), ("gpt2", "h.1.ln_2:input")]
)
def test_the_identity_edit_changes_nothing_bit_for_bit(kind, layer):
    way = origin(kind, layer)
    inputs, _ = way.network.run([way.sample.records[i].content for i in range(4)])
    with torch.no_grad():
        plainly = way.network.encoder.call(way.network.module, inputs).last_hidden_state
        edited = way.run(way.sample.ids[:4], lambda values, layout: values).last_hidden_state
    assert torch.equal(plainly, edited)


def test_an_edit_reaches_the_output_and_gradients_flow_through_it():
    way = origin()
    shift = torch.zeros(16, requires_grad=True)
    out = way.run(way.sample.ids[:3], lambda values, layout: values + shift).last_hidden_state
    out.square().sum().backward()
    assert float(shift.grad.abs().sum()) > 0
    way.module.zero_grad()


def test_gradients_flow_to_the_embeddings():
    way = origin()
    out = way.run(way.sample.ids[:3], lambda values, layout: values).last_hidden_state
    (grad,) = torch.autograd.grad(out.square().sum(), way.module.embeddings.word_embeddings.weight)
    assert float(grad.abs().sum()) > 0


def test_the_layout_tells_what_counts():
    way, seen = origin(), []
    way.run(way.sample.ids[:2], lambda values, layout: seen.append((values.shape, layout)) or values)
    shape, layout = seen[0]
    assert layout.mask.shape == layout.position.shape == layout.passage.shape == shape[:2]
    assert not bool(layout.mask[:, 0].any())


def test_pooled_ensembles_refuse_by_name():
    with pytest.raises(PooledEditError, match="tokens"):
        replace(origin(), invertible=False).run([1], lambda values, layout: values)


def test_an_unknown_id_is_refused():
    with pytest.raises(UnknownNameError):
        origin().run([12345], lambda values, layout: values)


def projection(width: int, kept: int):
    generator = torch.Generator().manual_seed(0)
    Q = (
        torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
        .Q[:, :kept]
        .to(torch.float32)
    )
    return lambda values, layout: values @ Q @ Q.T


def test_a_coarser_level_put_back_moves_the_output_further():
    way = origin()
    moved = [float(output_change(way, torch.arange(12), projection(16, kept)).mean()) for kept in (16, 12, 8, 4)]
    assert moved[0] < 1e-10
    assert moved == sorted(moved)


@pytest.mark.slow
def test_the_error_of_a_put_back_level_covers_the_value_on_the_population():
    """Of 16 inputs, all equally likely, what the edited outputs keep of the plain ones is known by adding up."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).eval()
    corners = torch.tensor([[1.0 if i >> k & 1 else -1.0 for k in range(4)] for i in range(16)])
    way = Origin(plain(module), sample_of([corner.numpy() for corner in corners]), "1", invertible=True)
    with torch.no_grad():
        outputs = [way.run(way.sample.ids, edit) for edit in (lambda x, layout: x, projection(6, 3))]
    kept = member("observables", "reconstruction")()
    truth = float(evaluate(kept, *(Ensemble.of(out, units=torch.arange(16)) for out in outputs))["variance_kept"])
    task, covered, seeds = Task(kept, ("plain", "edited")), 0, 120
    for seed in range(seeds):
        rows = torch.randint(16, (200,), generator=torch.Generator().manual_seed(seed))
        base = Ensemble.of(torch.arange(200.0)[:, None], units=torch.arange(200))
        pair = (base.with_values(out[rows][:, :, None], Unordered(2)) for out in outputs)
        fields = dict(zip(task.names, pair, strict=True))
        low, high = measured(EnsemblePass.of(fields), task)["variance_kept"].interval(0.68)
        covered += low <= truth <= high
    assert binom.ppf(0.001, seeds, 0.68) <= covered <= binom.ppf(0.999, seeds, 0.68)


def measured(reading, task):
    serial = member("engine", "serial")()
    return measure(reading, [task], executor=serial, store=None, generator=torch.Generator()).measurement(task)


@pytest.mark.slow
def test_a_token_level_of_minilm_is_put_back():
    from blockspin.capture.recipe import NetworkRecipe
    from blockspin.sources.base import draw_records

    sample = draw_records(member("sources", "kjv")(), 40)
    network = NetworkRecipe(member("sources", "network")("builtin:minilm"), "text").open()
    way = Origin(network, sample, "encoder.layer.2", invertible=True)
    from blockspin.capture.hooks import capture

    inputs, layout = network.run([record.content for record in sample.records])
    tokens = capture(network, inputs, [way.layer])[way.layer][layout.mask]
    scheme = member("schemes", "principal-modes")
    moved = []
    for b in (2, 8, 32):
        coarse = scheme(b=b).fit(Ensemble.of(tokens), generator=torch.Generator())

        def edit(values, layout, coarse=coarse):
            flat = values.reshape(-1, values.shape[2], 1)
            return coarse.lift(coarse.values(flat)).reshape(values.shape)

        moved.append(float(output_change(way, torch.arange(40), edit).mean()))
    assert 0 < moved[0] < moved[1] < moved[2] < 2
