"""Tangent features: equal to dense Jacobians, with the error that is stated, and nothing of the network moves."""

import pickle

import pytest
import torch
from capture.networks import Letters, passages, transformer
from capture.tangents import DOUBLE, arrays, collected, dense, network, over
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from blockspin.capture.tangent import Coordinate, NextToken, Projection
from blockspin.engine.base import Task, states_of_shard
from blockspin.engine.measure import measure
from blockspin.engine.process import Process
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, MissingModelError, ShapeError, TrainModeError, UnknownLayerError
from blockspin.observables._rows import Rows
from blockspin.observables.gram import Gram
from blockspin.spectra import tangent_kernel


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def quantised(layer):
    layer.weight = nn.Parameter(torch.zeros(layer.weight.shape, dtype=torch.int8), requires_grad=False)


@pytest.mark.parametrize(("change", "words"), [(lambda x: x.to("meta"), "offloaded"), (quantised, r"torch\.int8")])
def test_parameters_without_gradients_are_refused_by_name_and_may_be_left_out(change, words):
    module = network()
    change(module[2])
    with pytest.raises(MissingModelError, match=rf"the parameter 2\.weight is .*{words}"):
        over(module, arrays(), Coordinate()).tensors()
    left = over(module, arrays(), Coordinate(), parameters=("0.*",)).tensors()
    assert list(left) == ["module.0.bias", "module.0.weight"]


class Outputs(nn.Module):
    """Any number of outputs from four features, without a parameter more."""

    def __init__(self, count):
        super().__init__()
        self.features = network(outputs=4)
        self.register_buffer("spread", torch.randn(4, count, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return self.features(x) @ self.spread


class Largest(TorchDispatchMode):
    """The most bytes that one tensor holds, of all that are made."""

    most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        held = [leaf.untyped_storage().nbytes() for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        self.most = max([self.most, *held])
        return made


def test_nothing_is_made_that_has_a_gradient_for_each_output():
    """The map to the outputs belongs to the network; the Jacobian of one passage would be 23 times as large."""
    count = 4000
    reading = over(Outputs(count).eval(), arrays(8), Projection(), sites=16)
    with Largest() as largest:
        collected(reading)
    parameters = sum(parameter.numel() for parameter in reading.reading.network.module.parameters())
    assert largest.most <= 8 * 4 * count < 8 * parameters * count / 20
