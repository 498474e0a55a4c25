"""Scales that architectures imply: fields by formula and by gradient, what is used of them, distances of attention."""

import pytest
import torch
from torch import nn

from blockspin.errors import NonFiniteError, ShapeError, TooFewSamplesError, UnknownLayerError
from blockspin.flows.architecture import architecture_flow
from blockspin.flows.attention import attention_flow
from blockspin.registry import member
from blockspin.theory.receptive_field import Field, Window, effective_variance, fields, uniform_distance


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(net, seed=0, positive=False):
    with torch.no_grad():
        for parameter in net.parameters():
            value = torch.randn(parameter.shape, generator=generator(seed))
            parameter.copy_(value.abs() if positive else value / parameter[0].numel() ** 0.5)
    return net.eval()


def pictures(side, samples=40, channels=1, axes=2):
    return torch.randn(samples, channels, *[side] * axes, generator=generator(5), dtype=torch.float64)


def conv(channels, window, axes=2, **more):
    kind = nn.Conv2d if axes == 2 else nn.Conv1d
    into, out = channels
    padding = window.padding
    return kind(into, out, window.kernel, window.stride, padding, window.dilation, bias=False, **more).double()


def flow_of(windows, side, axes=2, channels=3):
    sizes = [1, *[channels] * len(windows)]
    layers = [conv(sizes[k : k + 2], w, axes) for k, w in enumerate(windows)]
    return architecture_flow("net", drawn(nn.Sequential(*layers)), pictures(side, axes=axes), generator=generator())


def test_three_by_three_convolutions_see_one_more_ring_each():
    windows = [Window(3, padding=1)] * 4
    assert [field.size for field in fields(windows)] == [3, 5, 7, 9]
    flow = flow_of(windows, 15)
    assert [scale.measurements["scale/field"].value.tolist() for scale in flow] == [[r, r] for r in (3, 5, 7, 9)]
    assert [scale.log_length for scale in flow] == [0.0] * 4


@pytest.mark.parametrize(
    "windows",
    [
        [Window(3, 2, 1, 1), Window(3, 1, 1, 1), Window(3, 2, 1, 1)],
        [Window(3, 1, 2, 2), Window(5, 2, 1, 0), Window(2, 1, 3, 0)],
        [Window(1), Window(4, 4), Window(3, 1, 1, 1)],
    ],
)
def test_fields_and_strides_by_gradient_are_those_of_the_formula(windows):
    for scale, known in zip(flow_of(windows, 96, axes=1), fields(windows), strict=True):
        assert scale.measurements["scale/field"].value.tolist() == [known.size]
        assert scale.measurements["scale/stride"].value.tolist() == [known.stride]
        assert scale.log_length == pytest.approx(torch.tensor(float(known.stride)).log().item())


def test_the_first_site_of_the_formula_is_that_of_the_network():
    windows = [Window(3, 2, 1, 1), Window(3, 2, 2, 2)]
    net = drawn(nn.Sequential(conv((1, 2), windows[0], 1), conv((2, 2), windows[1], 1)))
    x = pictures(64, axes=1).requires_grad_()
    for site in (6, 9):
        (slope,) = torch.autograd.grad(net(x)[:, :, site].sum(), x)
        seen = slope.abs().sum((0, 1)).nonzero().flatten()
        known = fields(windows)[-1]
        assert int(seen[0]) == known.start + site * known.stride
        assert int(seen[-1]) == known.start + site * known.stride + known.size - 1
    assert fields([]) == []
    assert Field().size == 1


def test_what_is_used_of_a_field_grows_as_the_root_of_depth():
    """Random linear convolutions: squared gradients spread as n (k^2 - 1) / 12 on average."""
    windows = [Window(3, padding=1)] * 6
    found = torch.stack(
        [
            torch.tensor([s.measurements["scale/effective"].value[0] for s in _linear(windows, seed)])
            for seed in range(6)
        ]
    )
    expected = torch.tensor([(12 * effective_variance(windows[: n + 1]) + 1) ** 0.5 for n in range(6)])
    error = found.std(0) / 6**0.5
    assert bool(((found.mean(0) - expected).abs() <= 4 * error + 0.02 * expected).all()), (found.mean(0), expected)


def _linear(windows, seed):
    sizes = [1, *[16] * len(windows)]
    net = nn.Sequential(*[conv(sizes[k : k + 2], w, 1) for k, w in enumerate(windows)])
    return architecture_flow("net", drawn(net, seed), pictures(31, axes=1), generator=generator(seed))


def test_pooled_noise_is_correlated_over_the_pool():
    """White noise under a mean over k sites: correlation 1 - r / k, which is 1/e at r = k (1 - 1/e)."""
    x = torch.randn(400, 1, 120, generator=generator(), dtype=torch.float64)
    for kernel, stride in ((5, 1), (9, 3)):
        net = nn.Sequential(nn.AvgPool1d(kernel, stride))
        (scale,) = architecture_flow("pool", net, x, generator=generator())
        found = scale.measurements["scale/correlation_length"]
        assert scale.measurements["scale/field"].value.tolist() == [kernel]
        assert found.value[0] == pytest.approx(kernel * (1 - 1 / 2.718281828), abs=4 * found.error[0])


def test_a_field_that_reaches_the_edge_says_so_and_gives_no_stride():
    scale = flow_of([Window(3, padding=1), Window(9, padding=4)], 9, axes=1)[1]
    assert "cut off" in scale.measurements["scale/field"].how
    assert "scale/stride" not in scale.measurements
    assert scale.log_length is None


def test_the_small_convolutional_network():
    """Strides 2, 1, 2, 1 with kernels of 3: fields 3, 7, 11, 19 on pictures that are large enough."""
    net = member("organisms", "small-cnn")().network(generator=generator()).eval()
    known = fields([Window(3, s, 1, 1) for s in (2, 1, 2, 1)])
    layers = [str(k) for k in (0, 2, 4, 6)]
    flow = architecture_flow("cnn", net, pictures(64).float(), layers, generator=generator())
    assert [scale.measurements["scale/field"].value[0] for scale in flow] == [f.size for f in known] == [3, 7, 11, 19]
    assert [scale.measurements["scale/stride"].value[1] for scale in flow] == [2, 2, 4, 4]


def test_what_is_on_no_grid_is_refused():
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(20, 3)).double()
    x = pictures(12, axes=1)
    assert len(architecture_flow("net", net, x, generator=generator())) == 1
    with pytest.raises(ShapeError, match="grid"):
        architecture_flow("net", net, x, ["2"], generator=generator())
    with pytest.raises(UnknownLayerError):
        architecture_flow("net", net, x, ["7"], generator=generator())
    with pytest.raises(TooFewSamplesError):
        architecture_flow("net", net, x[:10], generator=generator())


def uniform(tokens, causal, passages=40, heads=2):
    seen = torch.ones(tokens, tokens).tril() if causal else torch.ones(tokens, tokens)
    return (seen / seen.sum(1, keepdim=True)).expand(passages, heads, tokens, tokens)


@pytest.mark.parametrize("causal", [True, False])
def test_uniform_attention_has_its_known_distance(causal):
    (scale,) = attention_flow("net", [uniform(16, causal)])
    known = uniform_distance(16, causal)
    assert scale.measurements["attention/distance"].value.tolist() == pytest.approx([known] * 2)
    assert scale.measurements["attention/uniform"].value.tolist() == pytest.approx([known] * 2)


def test_a_head_that_looks_at_the_token_before_has_distance_one():
    before = torch.diag(torch.ones(15), -1)
    before[0, 0] = 1.0
    (scale,) = attention_flow("net", [before.expand(40, 1, 16, 16)])
    assert scale.measurements["attention/distance"].value.tolist() == pytest.approx([15 / 16])


def test_padding_is_left_out_of_distances():
    """Halves of 6 and 10 tokens: padded texts are as if they were shorter, each query counted once."""
    lengths = torch.tensor([6, 10] * 20)
    mask = torch.arange(16)[None] < lengths[:, None]
    (scale,) = attention_flow("net", [uniform(16, False)], mask)
    expected = sum(n * uniform_distance(n, False) for n in (6, 10)) / 16
    assert scale.measurements["attention/distance"].value.tolist() == pytest.approx([expected] * 2)


def test_weights_that_are_none_are_refused():
    with pytest.raises(ShapeError, match="queries"):
        attention_flow("net", [torch.ones(40, 4, 4)])
    with pytest.raises(ShapeError, match="mask"):
        attention_flow("net", [uniform(4, True)], torch.ones(40, 3))
    with pytest.raises(NonFiniteError):
        attention_flow("net", [uniform(4, True) * float("nan")])


@pytest.mark.slow
def test_heads_of_minilm_look_at_different_distances():
    """Heads differ in how far they look by many errors, one by less than half of uniform attention's distance."""
    pytest.importorskip("transformers")
    from blockspin.capture.recipe import NetworkRecipe
    from blockspin.sources.base import draw_records

    sample = draw_records(member("sources", "kjv")(), 80)
    opened = NetworkRecipe(member("sources", "network")("builtin:minilm"), "text").open()
    opened.module.set_attn_implementation("eager")  # the only one that gives weights
    inputs, layout = opened.run([record.content for record in sample.records])
    with torch.no_grad():
        weights = opened.module(**inputs, output_attentions=True).attentions
    flow = attention_flow("minilm", weights, layout.mask)
    ratios = torch.stack([torch.tensor(scale.measurements["attention/ratio"].value) for scale in flow])
    errors = torch.stack([torch.tensor(scale.measurements["attention/ratio"].error) for scale in flow])
    assert ratios.shape == (6, 12)
    assert 0 < float(ratios.min()) < 0.5
    assert float(ratios.max() - ratios.min()) > 10 * float(errors.max())
