"""The points of the depth flow: on blocks of known architecture, and on networks of any kind."""

from dataclasses import replace

import pytest
import torch
from capture.networks import plain, sample_of
from torch import nn

from blockspin.capture.encoders import ArrayEncoder
from blockspin.capture.hooks import capture
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.errors import ConfigError
from blockspin.registry import member
from blockspin.sources.given_module import GivenModule

SIZE = {"vocab_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}


def pretrained(name: str, **options) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{name}Config")(**{**SIZE, "pad_token_id": 0, **options})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return getattr(transformers, f"{name}Model")(config).eval()


class Tokens(ArrayEncoder):
    """Token numbers straight to the network."""

    def call(self, module, inputs):
        return module(inputs["x"])


@pytest.mark.parametrize(
    ("name", "options", "branch"),
    [
        ("Llama", {}, "mlp"),
        ("Qwen2", {"num_key_value_heads": 2}, "mlp"),
        ("Olmo2", {}, "post_feedforward_layernorm"),
        ("Gemma2", {"head_dim": 8, "num_key_value_heads": 2}, "post_feedforward_layernorm"),
        ("ModernBert", {}, "mlp"),
    ],
)
def test_block_output_is_the_point_after_attention_plus_the_mlp(name, options, branch):
    """What defines the stream after attention: nothing but the branch of the MLP is added after it."""
    if name == "ModernBert":
        options = {f"{key}_token_id": 0 for key in ("bos", "eos", "cls", "sep")}
    network = plain(pretrained(name, **options))
    block = network.stream()[2]
    before, after, added = network.stream()[1], block, f"{block}.{branch}"
    x = torch.randint(1, 32, (3, 7), generator=torch.Generator().manual_seed(0))
    found = capture(replace(network, encoder=Tokens()), {"x": x}, [before, after, added])
    assert torch.allclose(found[before] + found[added], found[after], atol=1e-6)


@pytest.mark.parametrize(("name", "middle"), [("MPNet", "attention.LayerNorm"), ("Roberta", "attention.output")])
def test_blocks_with_the_norm_after_the_sum_are_read_behind_their_first_norm(name, middle):
    stream = plain(pretrained(name)).stream()
    assert [point.removeprefix(f"encoder.layer.{i}.") for i, point in enumerate(stream[1::2])] == [middle] * 2


@pytest.mark.parametrize(("norm_first", "middle"), [(True, "norm2:input"), (False, "norm1")])
def test_blocks_of_torch_itself_are_read_where_their_norm_stands(norm_first, middle):
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=norm_first, batch_first=True)
    stream = plain(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)).stream()
    assert stream == ("layers.0:input", f"layers.0.{middle}", "layers.0", f"layers.1.{middle}", "layers.1")


class Backwards(nn.Module):
    """Registers its modules in another order than it runs them, and never runs one."""

    def __init__(self):
        super().__init__()
        self.head, self.body, self.unused = nn.Linear(5, 2), nn.Linear(4, 5), nn.Linear(5, 1)

    def forward(self, x):
        return self.head(self.body(x))


def reading(module: nn.Module, contents: list) -> ActivationPass:
    recipe = NetworkRecipe(GivenModule(module), "array")
    return ActivationPass(recipe, sample_of(contents), (), member("representations", "pooled")())


def test_the_flow_is_in_the_order_of_execution_without_what_is_never_run():
    points = [torch.full((4,), float(i)).numpy() for i in range(5)]
    assert reading(Backwards().eval(), points).with_layers().layers == ("body", "head")


def test_layers_that_are_named_are_read_as_named():
    points = [torch.full((4,), float(i)).numpy() for i in range(5)]
    assert reading(Backwards().eval(), points).with_layers(["head", "bo*"]).layers == ("head", "body")


def test_a_small_convolutional_network_is_read_from_leaf_to_leaf():
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
    ).eval()
    pictures = [torch.full((6, 6, 1), float(i)).numpy() for i in range(5)]
    recipe = NetworkRecipe(GivenModule(module), "image")
    whole = ActivationPass(recipe, sample_of(pictures), (), member("representations", "pooled")()).with_layers()
    assert whole.layers == ("0.0", "0.1", "0.2", "1.0", "1.2")
    assert [batch.values.shape[1] for batch in whole.read(torch.arange(5)).values()] == [4, 4, 4, 4, 2]


def test_a_network_of_one_function_has_no_default_flow():
    class Alone(nn.Module):
        def forward(self, x):
            return 2 * x

    with pytest.raises(ConfigError, match="layers"):
        reading(Alone().eval(), [torch.ones(3).numpy()] * 4).with_layers()
