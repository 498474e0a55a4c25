"""Networks of every kind: the depth flow, the uniform short names, heads, and weights kept in any form."""

import pytest
import torch
from capture.networks import Letters, passages, perceptron, plain
from torch import nn

from blockspin.capture.base import Network
from blockspin.capture.encoders import ArrayEncoder, TextEncoder
from blockspin.capture.hooks import capture, reached, run_edited
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.capture.untrained import untrained_copy
from blockspin.errors import ShapeError, UnknownLayerError
from blockspin.registry import member
from blockspin.sources.given_module import GivenModule

transformers = pytest.importorskip("transformers")
SMALL = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 0,
}
HALF = {"layers": 2, "attention_heads": 2, "ffn_dim": 32}
TEXT = {
    "Bert": SMALL,
    "Llama": SMALL,
    "GPTNeoX": SMALL | {"bos_token_id": 1, "eos_token_id": 2},
    "GPT2": {"vocab_size": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "bos_token_id": 1, "eos_token_id": 2},
    "Mixtral": SMALL | {"num_key_value_heads": 2, "num_local_experts": 3},
    "Qwen2Moe": SMALL
    | {"num_key_value_heads": 2, "num_experts": 4, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8},
    "T5": {"vocab_size": 32, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
    "Bart": {"vocab_size": 32, "d_model": 16, "max_position_embeddings": 64}
    | {f"{side}_{key}": n for side in ("encoder", "decoder") for key, n in HALF.items()}
    | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 1},
    "Mamba": {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "Jamba": SMALL
    | {
        "num_key_value_heads": 2,
        "num_experts": 2,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
    },
}
PICTURES = {
    "ViT": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "Swin": {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 2},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2]},
}


def network(name: str) -> Network:
    """A small untrained network of some architecture, and its way of reading."""
    options = TEXT.get(name) or {**PICTURES[name], **({"image_size": 16, "patch_size": 4} if name != "ResNet" else {})}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = getattr(transformers, f"{name}Config")(**options)
        module = getattr(transformers, f"{name}Model")(config).eval()
    return Network(module, TextEncoder(Letters(), 32) if name in TEXT else ArrayEncoder("image"))


def read(net: Network, names) -> dict[str, torch.Tensor]:
    picture = torch.rand(3, 16, 16, 3, generator=torch.Generator().manual_seed(0)).numpy()
    inputs, _ = net.run(passages(3) if isinstance(net.encoder, TextEncoder) else list(picture))
    return capture(net, inputs, net.select(names))


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("Bert", 5),
        ("Llama", 5),
        ("GPT2", 5),
        ("GPTNeoX", 3),  # attention and MLP side by side: there is no point between them
        ("Mixtral", 5),
        ("Qwen2Moe", 5),
        ("T5", 5 + 7),  # a decoder block has two attentions
        ("Bart", 3 + 3),
        ("Mamba", 3),
        ("Jamba", 5),
        ("ViT", 5),
        ("Swin", 5 + 5),
        ("ResNet", 43),  # leaf by leaf
    ],
)
def test_the_depth_flow_of_every_architecture_is_reached(name, points):
    net = network(name)
    picture = torch.rand(3, 16, 16, 3, generator=torch.Generator().manual_seed(0)).numpy()
    inputs, _ = net.run(passages(3) if name in TEXT else list(picture))
    order = reached(net, inputs, net.stream())
    assert len(order) == points
    assert all(field.ndim == 3 and len(field) == 3 for field in capture(net, inputs, order).values())


@pytest.mark.parametrize("name", ["Llama", "GPT2", "Mixtral", "Qwen2Moe", "ViT", "T5"])
def test_short_names_add_up_to_the_stream(name):
    """What defines the names: the attention's and the MLP's output are what is added to the stream."""
    net = network(name)
    start = next(key for key in net.places.short if "blocks.1." in key).removesuffix("resid_pre")
    keys = ["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"]
    pre, attention, mid, mlp, post = read(net, [start + key for key in keys]).values()
    torch.testing.assert_close(pre + attention, mid)
    torch.testing.assert_close(mid + mlp, post)


def test_where_attention_and_mlp_run_side_by_side_both_are_added():
    keys = ["resid_pre", "attn_out", "mlp_out", "resid_post"]
    pre, attention, mlp, post = read(network("GPTNeoX"), [f"blocks.1.{key}" for key in keys]).values()
    torch.testing.assert_close(pre + attention + mlp, post)


@pytest.mark.parametrize("name", ["Bert", "Llama", "GPT2", "GPTNeoX", "Mixtral", "ViT", "T5", "Bart"])
def test_heads_side_by_side_are_what_enters_the_output_map(name):
    net = network(name)
    start = next(key for key in net.places.short if key.endswith("blocks.1.z")).removesuffix("z")
    whole, *heads = read(net, [f"{start}z", f"{start}head.*"]).values()
    assert len(heads) == 2
    assert torch.equal(torch.cat(heads, 2), whole)


def test_two_towers_have_names_of_their_own():
    short = network("T5").places.short
    assert "encoder.blocks.1.resid_post" in short
    assert "decoder.blocks.0.z" in short
    assert not any(name.startswith("blocks.") for name in short)


def test_a_head_is_read_by_path_too():
    net = network("Llama")
    path = "layers.0.self_attn.o_proj:input"
    assert net.select([f"{path}:head.*"]) == (f"{path}:head.0", f"{path}:head.1")
    (one,), (two,) = (read(net, [name]).values() for name in (f"{path}:head.1", "blocks.0.head.1"))
    assert torch.equal(one, two)


@pytest.mark.parametrize("pattern", ["blocks.9.z", "layers.0.mlp:head.7", "layers.0.mlp:head.x", "blocks.*.nothing"])
def test_a_name_that_is_not_there_offers_others(pattern):
    with pytest.raises(UnknownLayerError, match="Nearest names"):
        network("Llama").select([pattern])


def test_an_uneven_share_of_heads_is_refused_by_name():
    net = network("Llama")
    inputs, _ = net.run(passages(2))
    net.module.config.num_attention_heads = 3
    net.module.layers[0].mlp.num_heads = 3
    with pytest.raises(ShapeError, match="3 heads do not share evenly"):
        capture(net, inputs, ["layers.0.mlp:head.0"])


def test_an_edit_of_one_head_leaves_the_others():
    net = network("Llama")
    inputs, layout = net.run(passages(3))
    seen = {}

    def record(values, layout):
        seen["shape"] = values.shape[-1]
        return torch.zeros_like(values)

    with torch.no_grad():
        edited = run_edited(net, inputs, "blocks.0.head.1", record, layout).last_hidden_state
        with_hook = net.module.layers[0].self_attn.o_proj.register_forward_pre_hook(
            lambda m, args: (torch.cat([args[0][..., :8], 0 * args[0][..., 8:]], -1),)
        )
        expected = net.encoder.call(net.module, inputs).last_hidden_state
        with_hook.remove()
    assert seen["shape"] == 8
    assert torch.equal(edited, expected)


def test_rows_of_all_tokens_are_put_back_in_their_passages():
    """Routers see the tokens of all passages in one long list."""
    net = network("Mixtral")
    found = read(net, ["layers.0.mlp.gate:input", "layers.0.post_attention_layernorm"])
    assert torch.equal(found["layers.0.mlp.gate:input"], found["layers.0.post_attention_layernorm"])


def test_what_has_no_row_for_each_passage_is_refused():
    class Summed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x):
            return self.inner(x.sum(0))

    net = plain(Summed().eval())
    inputs, _ = net.run([torch.ones(5).numpy()] * 3)
    with pytest.raises(ShapeError, match="no row for each of 3 passages"):
        capture(net, inputs, ["inner"])


def test_a_decoder_reads_the_same_tokens_as_its_encoder():
    net = network("T5")
    inputs, _ = net.run(passages(3))
    found = capture(net, inputs, ["encoder.block.0:input", "decoder.block.0:input"])
    assert torch.equal(*found.values())


# --- weights in any form ---------------------------------------------------------------------------------------------


def reading_of(module: nn.Module) -> ActivationPass:
    from capture.networks import sample_of

    recipe = NetworkRecipe(GivenModule(module, Letters()), "text")
    return ActivationPass(recipe, sample_of(passages(6)), (), member("representations", "tokens")()).with_layers()


def numbers(reading: ActivationPass) -> list[torch.Tensor]:
    return [batch.values for batch in reading.read(torch.arange(6)).values()]


def test_half_precision_is_read_as_it_is_and_kept_in_single():
    reading = reading_of(network("Llama").module.to(torch.bfloat16))
    assert all(values.dtype == torch.float32 for values in numbers(reading))
    assert all(torch.equal(values, values.bfloat16().float()) for values in numbers(reading))
    assert reading.network.weights_hash() != reading_of(network("Llama").module).network.weights_hash()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_weights_are_read_and_hashed():
    module = network("Bert").module
    plain_numbers = numbers(reading_of(module))
    small = torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=torch.qint8)
    reading = reading_of(small)
    gap = max(float((a - b).abs().max()) for a, b in zip(numbers(reading), plain_numbers, strict=True))
    assert 0 < gap < 0.2  # eight bits
    first = reading.network.weights_hash()
    other = torch.ao.quantization.quantize_dynamic(network("Bert").module, {nn.Linear}, dtype=torch.qint8)
    assert Network(other, reading.network.encoder).weights_hash() == first
    copy, how = untrained_copy(small, 0)
    assert how == "drawn from the model's own config"
    assert not copy.training


@pytest.mark.parametrize("where", ["cpu", "disk"])
def test_a_model_that_is_kept_away_from_the_device_is_left_where_it_is(where, tmp_path):
    """A model too large for one device, as the accelerate library spreads it: weights come when they are needed."""
    accelerate = pytest.importorskip("accelerate")
    whole = reading_of(network("Llama").module)
    module = network("Llama").module
    if where == "cpu":
        accelerate.cpu_offload(module, torch.device("cpu"))
    else:
        accelerate.disk_offload(module, str(tmp_path / "weights"), torch.device("cpu"))
    reading = reading_of(module)
    assert all(torch.equal(a, b) for a, b in zip(numbers(reading), numbers(whole), strict=True))
    assert all(parameter.is_meta for parameter in module.parameters())
    other = reading_of(network("Llama").module)
    other.network.module.norm.weight.data += 1
    accelerate.cpu_offload(other.network.module, torch.device("cpu"))
    assert reading.network.weights_hash() != other.network.weights_hash()


def test_a_hash_tells_one_changed_weight():
    module = perceptron()
    before = plain(module).weights_hash()
    module[0].bias.data[0] += 1e-6
    assert plain(module).weights_hash() != before
