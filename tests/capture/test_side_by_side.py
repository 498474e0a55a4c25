"""What stands side by side in one layer: heads, and layers joined by a plus; names, sizes, values."""

import pytest
import torch
from capture.networks import Letters, passages, plain, sample_of, transformer
from torch import nn

from blockspin.capture.hooks import capture
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.errors import GeometryError, ShapeError, UnknownLayerError
from blockspin.geometry import Unordered
from blockspin.registry import member
from blockspin.sources.given_module import GivenModule

JOINED = "blocks.*.attn_out+blocks.*.mlp_mid"


def reading(*layers: str, representation: str = "pooled") -> ActivationPass:
    recipe = NetworkRecipe(GivenModule(transformer("bert"), Letters()), "text", 32)
    made = member("representations", representation)()
    return ActivationPass(recipe, sample_of(passages(20)), (), made, group_count=2).with_layers(layers)


def test_a_field_of_heads_knows_them():
    fields = reading("blocks.*.z", "blocks.*.resid_post").ensembles()
    assert {fields[f"blocks.{i}.z"].geometry for i in range(3)} == {
        Unordered(16, parts=(("head 0", 8), ("head 1", 8))),
    }
    assert fields["blocks.1.resid_post"].geometry == Unordered(16)


def test_layers_joined_by_a_plus_are_one_field_that_knows_them():
    fields = reading(JOINED, "blocks.1.attn_out", "blocks.1.mlp_mid", representation="tokens").ensembles()
    assert list(fields)[:3] == [f"blocks.{i}.attn_out+blocks.{i}.mlp_mid" for i in range(3)]
    joined, *alone = (fields[f"blocks.1.{name}"] for name in ("attn_out+blocks.1.mlp_mid", "attn_out", "mlp_mid"))
    assert joined.geometry == Unordered(48, parts=(("attn_out", 16), ("mlp_mid", 32)))
    assert torch.equal(joined.values, torch.cat([field.values for field in alone], 1))


def test_windows_are_chains_without_parts():
    read = reading("blocks.0.z", representation="windows")
    assert read.geometry("blocks.0.z", torch.zeros(1, 4, 16)).dimension == 1


def test_what_is_joined_may_be_overwritten_by_a_later_module():
    net = plain(nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)).eval())
    inputs, _ = net.run(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).numpy())
    found = capture(net, inputs, ("0+2", "0"))
    assert torch.equal(found["0+2"][..., :4], found["0"])
    assert bool((found["0"] < 0).any())


def test_what_cannot_be_joined_is_refused():
    net = plain(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).eval())
    with pytest.raises(UnknownLayerError, match="'3'"):
        net.select(["0+3"])
    with pytest.raises(ShapeError, match="joins 3, 1 layers"):
        net.select(["*+0"])
    with pytest.raises(ShapeError, match="side by side"):
        net.places.place("0+2")
    with pytest.raises(GeometryError, match="parts of"):
        Unordered(4, parts=(("a", 3),))
