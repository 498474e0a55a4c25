"""Tangent features and products with the tangent kernel: equal to dense Jacobians, and nothing of the network moves."""

import pickle

import pytest
import torch
from capture.networks import Letters, passages, sample_of, transformer
from torch import nn

from blockspin.capture import tangent_kernel
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.capture.tangent import Coordinate, NextToken, Projection, TangentPass
from blockspin.engine.base import Task, states_of_shard
from blockspin.engine.measure import measure
from blockspin.engine.process import Process
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, ShapeError, TrainModeError, UnknownLayerError
from blockspin.observables._rows import Rows
from blockspin.observables.gram import Gram
from blockspin.registry import member
from blockspin.sources.given_module import GivenModule

DOUBLE = torch.float64


def network(seed=0, outputs=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs)).eval()


def over(module, contents, functional, *, modality="array", tokenizer=None, **options):
    recipe = NetworkRecipe(GivenModule(module, tokenizer), modality, 32)
    pooled = member("representations", "pooled")()
    reading = ActivationPass(recipe, sample_of(contents), (), pooled, batch_size=4, shard_size=8, group_count=4)
    return TangentPass(reading, functional, **options)


def arrays(count=20):
    return list(torch.randn(count, 6, generator=torch.Generator().manual_seed(0)).numpy())


def dense(reading):
    """The Jacobian [records, parameters], record by record, by the plainest means."""
    rows = []
    for record in reading.reading.sample.records:
        module = reading.reading.network.module
        number = module(torch.from_numpy(record.content)[None])[0, reading.functional.index]
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(number, list(module.parameters()))]))
    return torch.stack(rows).to(DOUBLE)


def collected(reading):
    found = {}
    for shard in reading.shards():
        for joint in reading.batches(shard):
            for name, batch in joint.items():
                found.setdefault(name, {}).update(zip(batch.ids.tolist(), batch.values[:, :, 0], strict=True))
    order = reading.reading.sample.ids.tolist()
    return {name: torch.stack([rows[i] for i in order]).to(DOUBLE) for name, rows in found.items()}


def test_products_and_eigenvalues_are_those_of_the_dense_jacobian():
    reading = over(network(), arrays(), Coordinate(1))
    J = dense(reading)
    v = torch.randn(20, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(tangent_kernel.product(reading, v), J @ (J.T @ v), rtol=1e-5, atol=1e-5)
    found = tangent_kernel.leading_eigenvalues(reading, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, torch.linalg.eigvalsh(J @ J.T).flip(0)[:5], rtol=0, atol=1e-5 * float(found[0]))


def test_the_kernel_of_a_linear_network_is_the_one_of_theory():
    """f = a W x: K(x, x') = (W x) (W x') + |a|^2 x x'."""
    module = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Linear(8, 1, bias=False))
    reading = over(module, arrays(), Coordinate())
    x = torch.stack([torch.from_numpy(record.content) for record in reading.reading.sample.records]).to(DOUBLE)
    W, a = (layer.weight.detach().to(DOUBLE) for layer in module)
    K = (x @ W.T) @ (x @ W.T).T + a.square().sum() * x @ x.T
    found = torch.stack([tangent_kernel.product(reading, e) for e in torch.eye(20, dtype=DOUBLE)])
    torch.testing.assert_close(found, K, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(collected(reading)["norm"][:, 0], K.diagonal(), rtol=1e-6, atol=0)


def test_without_forward_derivatives_gradients_are_taken_one_by_one(monkeypatch):
    reading = over(network(), arrays(6), Coordinate())
    expected = tangent_kernel.product(reading, torch.ones(6, dtype=DOUBLE))

    def missing(*args):
        raise NotImplementedError

    monkeypatch.setattr(torch.func, "jvp", missing)
    found = tangent_kernel.product(reading, torch.ones(6, dtype=DOUBLE))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_sketches_have_the_kernel_as_their_mean_and_the_error_that_is_stated():
    module, count = network(), 100
    J = dense(over(module, arrays(8), Coordinate()))
    K, norms = J @ J.T, J.norm(dim=1)
    kernels = []
    for seed in range(count):
        s = collected(over(module, arrays(8), Coordinate(), sites=32, seed=seed))["tangent"]
        kernels.append((s @ s.T - K) / (norms[:, None] * norms))
    gaps, bound = torch.stack(kernels), over(module, arrays(8), Coordinate(), sites=32).relative_error
    assert bool((gaps.mean(0).abs() < 4 * gaps.std(0) / count**0.5 + 1e-6).all())
    assert float(gaps.square().mean().sqrt()) < bound
    assert float(gaps.square().mean(0).sqrt().max()) < bound * (1 + 4 / (2 * count) ** 0.5)
    assert float(gaps.square().mean().sqrt()) > bound / 4  # the bound is not idle


def test_projections_add_up_the_kernels_of_all_outputs():
    module = network(outputs=2)
    parts = [dense(over(module, arrays(5), Coordinate(i))) for i in range(2)]
    expected = sum(J @ J.T for J in parts)
    J = [collected(over(module, arrays(5), Projection(seed), sites=4096))["norm"][:, 0] for seed in range(40)]
    mean, error = torch.stack(J).mean(0), torch.stack(J).std(0) / 40**0.5
    assert bool(((mean - expected.diagonal()).abs() < 4 * error).all())


@pytest.mark.parametrize("functional", [Coordinate(2), Projection(1)])
def test_transformers_are_read_and_nothing_of_them_moves(functional):
    module = transformer("bert")
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    reading = over(module, passages(8), functional, modality="text", tokenizer=Letters(), parameters=("encoder.*",))
    found = collected(reading)["tangent"]
    assert float(found.norm()) > 0
    tangent_kernel.product(reading, torch.ones(8, dtype=DOUBLE))
    assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(m.training for m in module.modules())
    assert not any(m._forward_hooks for m in module.modules())


def test_the_next_token_is_looked_up():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(32))

        def forward(self, input_ids, attention_mask):
            return self.scale * torch.nn.functional.one_hot((input_ids + 1) % 32, 32)

    reading = over(Model(), passages(6), NextToken(), modality="text", tokenizer=Letters())
    inputs = reading.inputs([0])
    logits = reading.reading.network.module(inputs["input_ids"], None).log_softmax(-1)
    mask = reading.reading.network.encoder.mask(inputs)[0]
    tokens = inputs["input_ids"][0]
    kept = [logits[0, i - 1, tokens[i]] for i in range(1, len(tokens)) if mask[i]]
    torch.testing.assert_close(reading.whole(inputs)[0], torch.stack(kept).mean())


def test_the_gram_observable_applies_and_executors_give_the_same_bytes():
    reading = over(network(), arrays(40), Coordinate())
    task = Task(Gram(), ("tangent",))
    rows = []
    for executor in (Serial(), Process(workers=2)):
        done = measure(reading, [task], executor=executor, store=None, generator=torch.Generator().manual_seed(0))
        rows.append(done.measurement(task)["spectrum"].to_dict())
    assert rows[0] == rows[1]
    again = pickle.loads(pickle.dumps(reading))
    states = [states_of_shard(r, [(Rows(), ("tangent",))], r.shards()[0])[0]["first"] for r in (reading, again)]
    assert torch.equal(*states)
    assert again.fingerprint == reading.fingerprint != over(network(), arrays(40), Coordinate(1)).fingerprint


def test_a_gradient_does_not_depend_on_its_batch():
    one = over(transformer("bert"), passages(9), Coordinate(), modality="text", tokenizer=Letters())
    few = over(transformer("bert"), passages(9)[:3], Coordinate(), modality="text", tokenizer=Letters())
    shared = {int(i): row for i, row in zip(few.reading.sample.ids, collected(few)["tangent"], strict=True)}
    whole = {int(i): row for i, row in zip(one.reading.sample.ids, collected(one)["tangent"], strict=True)}
    assert all(torch.equal(whole[key], row) for key, row in shared.items())


def test_what_cannot_be_read_is_refused_by_name():
    with pytest.raises(ConfigError):
        over(network(), arrays(), Coordinate(), sites=1)
    with pytest.raises(ShapeError, match="no output 7"):
        over(network(), arrays(), Coordinate(7)).gradient(0)
    with pytest.raises(ShapeError, match="logits"):
        over(network(), arrays(), NextToken()).gradient(0)
    with pytest.raises(UnknownLayerError):
        over(network(), arrays(), Coordinate(), parameters=("9.*",)).tensors()
    with pytest.raises(TrainModeError):
        over(nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5)).train(), arrays(), Coordinate()).gradient(0)
    with pytest.raises(ShapeError):
        tangent_kernel.product(over(network(), arrays(), Coordinate()), torch.ones(3))
    with pytest.raises(ConfigError):
        tangent_kernel.leading_eigenvalues(over(network(), arrays(), Coordinate()), 20, generator=torch.Generator())
