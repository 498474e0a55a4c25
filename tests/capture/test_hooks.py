import pytest
import torch
from capture.networks import passages, perceptron, plain, reader, transformer
from torch import nn

from blockspin.capture.hooks import capture
from blockspin.errors import MissingModelError, ShapeError, TrainModeError, UnknownLayerError

TEXTS = passages(5)


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
def test_captured_states_are_those_of_the_plain_pass_bit_for_bit(kind):
    network = reader(kind)
    inputs, _ = network.run(TEXTS)
    with torch.no_grad():
        wanted = {key: value for key, value in inputs.items() if key != "special_tokens_mask"}
        states = network.module(**wanted, output_hidden_states=True).hidden_states
    stream = network.stream()
    found = capture(network, inputs, stream)
    assert torch.equal(found[stream[0]], states[0])
    assert torch.equal(found[stream[2]], states[1])
    assert torch.equal(found[stream[4]], states[2])


@pytest.mark.parametrize(
    ("kind", "middle"),
    [("bert", "attention.output"), ("llama", "post_attention_layernorm:input"), ("gpt2", "ln_2:input")],
)
def test_the_stream_has_a_point_after_every_attention_and_every_mlp(kind, middle):
    stream = reader(kind).stream()
    assert len(stream) == 7
    assert stream[0].endswith(":input")
    assert all(name.endswith(middle) for name in stream[1::2])


def test_the_stream_of_a_plain_network_is_what_changes_the_activation():
    assert plain(perceptron()).stream() == ("0", "1", "3")


def test_the_pass_stops_at_the_deepest_layer_asked_for():
    module = perceptron()

    class Trap(nn.Module):
        def forward(self, x):
            raise AssertionError("ran past the deepest layer")

    network = plain(nn.Sequential(*list(module)[:3], Trap()).eval())
    found = capture(network, {"x": torch.randn(4, 6)}, ["0", "1"])
    assert found["1"].shape == (4, 1, 8)


def hooks_of(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_no_hook_and_no_flag_is_left_behind_even_after_an_error():
    network = plain(perceptron())
    network.module[3].weight.requires_grad_(False)
    with pytest.raises(RuntimeError):
        capture(network, {"x": torch.randn(4, 5)}, ["3"])
    capture(network, {"x": torch.randn(4, 6)}, ["3"])
    assert hooks_of(network.module) == 0
    assert not network.module.training
    assert [p.requires_grad for p in network.module.parameters()] == [True, True, False, True]
    assert all(p.grad is None for p in network.module.parameters())


def test_an_unknown_layer_offers_the_nearest():
    network = reader("bert")
    with pytest.raises(UnknownLayerError, match=r"encoder\.layer\.2"):
        network.select(["encoder.layer.7"])
    with pytest.raises(UnknownLayerError):
        capture(network, network.run(TEXTS)[0], ["encoder.layers.0"])


def test_globs_choose_layers_in_the_network_s_order():
    assert reader("bert").select(["encoder.layer.?"]) == tuple(f"encoder.layer.{i}" for i in range(3))


def test_a_layer_that_never_runs_is_named():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(6, 2), nn.Linear(6, 2)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(MissingModelError, match="unused"):
        capture(plain(Lazy().eval()), {"x": torch.randn(3, 6)}, ["used", "unused"])


@pytest.mark.parametrize("layer", [nn.Dropout(0.1), nn.BatchNorm1d(6)])
def test_train_mode_with_randomness_is_refused(layer):
    network = plain(nn.Sequential(layer, nn.Linear(6, 2)).train())
    with pytest.raises(TrainModeError, match=r"eval\(\)"):
        capture(network, {"x": torch.randn(3, 6)}, ["1"])


def test_train_mode_without_randomness_is_fine():
    network = plain(nn.Sequential(nn.Linear(6, 2)).train())
    assert capture(network, {"x": torch.randn(3, 6)}, ["0"])["0"].shape == (3, 1, 2)
    assert network.module.training


def test_pictures_give_one_position_a_pixel():
    module = nn.Sequential(nn.Conv2d(1, 4, 3)).eval()
    x = torch.randn(2, 1, 8, 8)
    found = capture(plain(module), {"x": x}, ["0"])["0"]
    assert found.shape == (2, 36, 4)
    with torch.no_grad():
        assert torch.equal(found[0, 0], module(x)[0, :, 0, 0])


def test_an_untrained_copy_is_another_draw_of_the_same_config():
    from blockspin.capture.untrained import untrained_copy

    state = torch.get_rng_state()
    module = transformer("bert")
    fresh, how = untrained_copy(module, 1)
    again, _ = untrained_copy(module, 1)
    assert "config" in how
    assert not torch.equal(fresh.encoder.layer[0].output.dense.weight, module.encoder.layer[0].output.dense.weight)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_an_untrained_copy_without_config_permutes_within_tensors():
    from blockspin.capture.untrained import untrained_copy

    module = perceptron()
    fresh, how = untrained_copy(module, 0)
    assert "permuted" in how
    for old, new in zip(module.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values)
    assert not torch.equal(module[0].weight, fresh[0].weight)


def test_what_a_later_module_does_in_place_is_not_seen():
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)).eval()
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    found = capture(plain(module), {"x": x}, ["0", "2"])
    with torch.no_grad():
        assert torch.equal(found["0"][:, 0], module[0](x))


@pytest.mark.parametrize(
    "module",
    [
        nn.MultiheadAttention(8, 2, dropout=0.1),
        nn.TransformerEncoderLayer(8, 2, dropout=0.1),
        nn.Sequential(nn.Linear(8, 8), nn.RReLU()),
    ],
    ids=lambda module: type(module).__name__,
)
def test_randomness_within_a_function_is_refused_in_train_mode(module):
    with pytest.raises(TrainModeError):
        plain(module.train()).require_eval()
    plain(module.eval()).require_eval()


def test_inputs_are_brought_to_the_precision_of_the_weights():
    network = plain(perceptron().double())
    inputs, _ = network.run([torch.ones(6).numpy()] * 2)
    assert capture(network, inputs, ["3"])["3"].dtype == torch.float64


def test_a_layer_without_a_tensor_is_refused_by_name():
    class Says(nn.Module):
        def forward(self, x):
            return {"said": "nothing"}

    with pytest.raises(ShapeError, match="dict"):
        capture(plain(nn.Sequential(Says()).eval()), {"x": torch.randn(2, 3)}, ["0"])
