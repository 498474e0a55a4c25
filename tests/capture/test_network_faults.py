"""Faults within a network: what raises or is not finite is named, nothing of it is folded, nothing is left behind."""

from dataclasses import replace

import pytest
import torch
from capture.networks import passages, perceptron, plain, reader, sample_of
from capture.test_reading import LAYERS, reading
from torch import nn

from blockspin.capture.hooks import capture, run_edited
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.engine._statefile import decode
from blockspin.engine.base import Task
from blockspin.engine.measure import measure
from blockspin.errors import NonFiniteError
from blockspin.registry import member
from blockspin.sources.given_module import GivenModule

COUNT, BAD = 40, 23


class Mood(nn.Module):
    """The identity, but for points whose first number is ``number``."""

    def __init__(self, number: float, does: str):
        super().__init__()
        self.number, self.does = number, does

    def forward(self, x):
        rows = (x[:, 0] == self.number).nonzero()
        if len(rows) and self.does == "raise":
            raise ZeroDivisionError("out of sorts")
        if len(rows) and self.does in ("nan", "inf"):
            x = x.clone()
            x[rows] = float(self.does)
        return x


def moody(does: str) -> ActivationPass:
    """A pass over points, one of which the first module does not like."""
    points = [torch.randn(6, generator=torch.Generator().manual_seed(i)) for i in range(COUNT)]
    module = nn.Sequential(Mood(float(points[BAD][0]), does), *perceptron()).eval()
    recipe = NetworkRecipe(GivenModule(module), "array")
    pooled = member("representations", "pooled")()
    sample = sample_of([point.numpy() for point in points])
    return ActivationPass(recipe, sample, ("0", "1"), pooled, batch_size=4, shard_size=4, group_count=4)


def run(whole, folder):
    tasks = [Task(member("observables", "covariance")(), (layer,)) for layer in whole.layers]
    serial = member("engine", "serial")()
    return measure(whole, tasks, executor=serial, store=folder, generator=torch.Generator().manual_seed(0))


def states(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def folded(folder):
    return [key for path in sorted(folder.glob("*.safetensors")) for key in decode(path, 3).ledger]


def shard_of(whole, where):
    return next(s for s in whole.shards() for rows in whole.rows(s) for i in rows if where_of(whole, i) == where)


def where_of(whole, row):
    return whole.sample.records[int(row)].where


@pytest.mark.parametrize("does", ["raise", "nan", "inf"])
def test_what_goes_wrong_on_one_record_is_named_and_not_folded(tmp_path, does):
    whole = moody(does)
    key = shard_of(whole, f"record {BAD}").key
    with pytest.raises((ZeroDivisionError, NonFiniteError)) as caught:
        run(whole, tmp_path / "states")
    said = "\n".join([str(caught.value), *caught.value.__notes__])
    assert f"record {BAD}" in said
    assert f"in shard {key}" in said
    assert does == "raise" or "layer '0'" in said
    order = [shard.key for shard in whole.shards()]
    assert folded(tmp_path / "states") == order[: order.index(key)]


def test_a_pass_that_failed_goes_on_when_the_cause_is_gone(tmp_path):
    """The same network, which fails on its first try of one record alone."""
    whole, calls = moody("once"), []
    key = shard_of(whole, f"record {BAD}").key

    class Once(ActivationPass):
        def batches(self, shard):
            if shard.key == key and not calls:
                calls.append(key)
                raise ZeroDivisionError("out of sorts")
            return ActivationPass.batches(self, shard)

    once = Once(**{name: getattr(whole, name) for name in whole.__dataclass_fields__})
    with pytest.raises(ZeroDivisionError):
        run(once, tmp_path / "states")
    run(once, tmp_path / "states")
    run(whole, tmp_path / "undisturbed")
    assert states(tmp_path / "states") == states(tmp_path / "undisturbed")
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_fails_together_and_not_alone_is_said_so():
    class Crowded(nn.Module):
        def forward(self, x):
            if len(x) > 1:
                raise MemoryError("too many")
            return x

    recipe = NetworkRecipe(GivenModule(nn.Sequential(Crowded()).eval()), "array")
    points = [torch.full((3,), float(i)).numpy() for i in range(5)]
    whole = ActivationPass(recipe, sample_of(points), ("0",), member("representations", "pooled")())
    with pytest.raises(MemoryError) as caught:
        whole.read(torch.arange(5))
    assert "reading 5 records together" in caught.value.__notes__[0]


# --- hooks -----------------------------------------------------------------------------------------------------------


def hooks_of(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def assert_untouched(network, inputs, before):
    assert hooks_of(network.module) == 0
    with torch.no_grad():
        assert torch.equal(network.encoder.call(network.module, inputs), before)


@pytest.mark.parametrize("layer", ["1", "3:input"])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_edit_that_raises_leaves_no_hook_and_the_same_bits(layer, error):
    network = plain(perceptron())
    inputs, layout = network.run([torch.randn(6, generator=torch.Generator().manual_seed(i)).numpy() for i in range(4)])
    with torch.no_grad():
        before = network.encoder.call(network.module, inputs)

    def edit(values, layout):
        raise error("in the hook")

    with pytest.raises(error):
        run_edited(network, inputs, layer, edit, layout)
    assert_untouched(network, inputs, before)


def test_a_hook_of_somebody_else_that_raises_stays_the_only_one():
    network = plain(perceptron())
    inputs, _ = network.run([torch.randn(6, generator=torch.Generator().manual_seed(i)).numpy() for i in range(4)])
    with torch.no_grad():
        before = network.encoder.call(network.module, inputs)

    def foreign(module, args, output):
        raise ZeroDivisionError("not ours")

    handle = network.module[1].register_forward_hook(foreign)
    with pytest.raises(ZeroDivisionError):
        capture(network, inputs, ["0", "1", "3"])
    assert hooks_of(network.module) == 1
    handle.remove()
    assert_untouched(network, inputs, before)


def test_a_place_that_cannot_be_hooked_takes_the_others_off_again(monkeypatch):
    network = plain(perceptron())
    inputs, _ = network.run([torch.zeros(6).numpy()] * 2)

    def refuse(*args, **kwargs):
        raise RuntimeError("no hooks here")

    monkeypatch.setattr(network.module[3], "register_forward_hook", refuse)
    with pytest.raises(RuntimeError, match="no hooks"):
        capture(network, inputs, ["0", "1", "3"])
    assert hooks_of(network.module) == 0


# --- what the bytes do not depend on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["serial", pytest.param("process", marks=pytest.mark.slow)])
@pytest.mark.parametrize("representation", ["pooled", "tokens"])
def test_a_network_is_read_to_the_same_bytes_whatever_the_caller_has_set(tmp_path, representation, executor, request):
    whole = reading(representation, count=40)
    tasks = [Task(member("observables", "covariance")(), (layer,)) for layer in LAYERS]
    run(whole, tmp_path / "before")
    request.getfixturevalue("other_settings")
    again = replace(whole)  # opens its network anew
    generator = torch.Generator().manual_seed(0)
    measure(again, tasks, executor=member("engine", executor)(), store=tmp_path / "after", generator=generator)
    assert states(tmp_path / "before") == states(tmp_path / "after")


def test_a_forward_pass_is_the_same_after_a_capture_bit_for_bit():
    network = reader("bert")
    inputs, _ = network.run(passages(5))
    with torch.no_grad():
        before = network.encoder.call(network.module, inputs).last_hidden_state
        capture(network, inputs, network.stream())
        assert torch.equal(network.encoder.call(network.module, inputs).last_hidden_state, before)
