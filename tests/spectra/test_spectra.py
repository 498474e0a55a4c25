"""Weight spectra: against the singular values, of every kind of layer, and what is skipped by name."""

import warnings

import numpy as np
import pytest
import torch
from capture.networks import transformer
from torch import nn

from blockspin.answer import Verdict
from blockspin.capture.matrices import Unread, WeightMatrix, weight_matrices
from blockspin.errors import ConstantUnitsError, NonFiniteError, ShapeError
from blockspin.spectra.layer import BLOCK, ROWS, layer_spectrum, upper_gram
from blockspin.spectra.network import network_spectra, with_p_values


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def names(module, kind):
    return [item.name for item in weight_matrices(module) if isinstance(item, kind)]


@pytest.mark.parametrize("shape", [(40, 40), (90, 30), (30, 90)])
def test_eigenvalues_are_squared_singular_values(shape):
    W = gaussian(*shape).double()
    found = layer_spectrum("w", W)
    s = torch.linalg.svdvals(W)
    assert found.eigenvalues == pytest.approx((s**2).numpy(), rel=1e-9)
    assert found.spectral_norm == pytest.approx(float(s[0]), rel=1e-12)
    assert found.stable_rank == pytest.approx(float((s**2).sum() / s[0] ** 2), rel=1e-12)
    assert found.zeros == 0


@pytest.mark.parametrize("shape", [(ROWS + 7, BLOCK + 5), (3, 2), (5, 2 * BLOCK)])
def test_the_gram_matrix_by_blocks_is_the_product_above_the_diagonal(shape):
    W = gaussian(*shape)
    whole = W.double().T @ W.double()
    assert (upper_gram(W) - whole).triu().abs().max() <= 1e-14 * shape[0] * whole.abs().max()


def test_spectra_come_in_order_however_long_a_weight_takes():
    widths = [300, *[8] * 20, 200, 8]
    found = network_spectra(nn.ModuleList(nn.Linear(n, n, bias=False) for n in widths), workers=3)
    assert [layer.shape[0] for layer in found.layers] == widths


def test_zero_eigenvalues_are_counted_and_left_out():
    W = gaussian(50, 12).double() @ gaussian(12, 40, seed=1).double()
    found = layer_spectrum("w", W)
    assert (len(found.eigenvalues), found.zeros) == (12, 28)


def test_the_exponent_has_no_unit():
    W = gaussian(60, 40) * torch.linspace(0.1, 3, 40)
    first, second = layer_spectrum("w", W), layer_spectrum("w", W * 1e-6)
    assert second.tail.alpha == pytest.approx(first.tail.alpha, rel=1e-6)
    assert second.beyond_edge == first.beyond_edge


def test_bad_matrices_are_refused_by_name():
    broken = gaussian(20, 20)
    broken[3, 4] = float("nan")
    with pytest.raises(NonFiniteError, match=r"1 of 400 entries of w"):
        layer_spectrum("w", broken)
    with pytest.raises(ConstantUnitsError, match="every entry of w is zero"):
        layer_spectrum("w", torch.zeros(9, 9))
    with pytest.raises(ShapeError):
        layer_spectrum("w", torch.ones(9))


def test_too_few_eigenvalues_cannot_tell():
    found = layer_spectrum("w", gaussian(100, 5))
    assert (found.tail, found.verdict) == (None, Verdict.CANNOT_TELL)
    assert found.to_dict()["alpha"] is None
    assert layer_spectrum("w", torch.eye(30)).tail is None


def test_every_weight_of_two_axes_is_read_or_named():
    module = nn.ModuleDict(
        {
            "table": nn.Embedding(30, 16),
            "conv": nn.Conv2d(3, 12, 3),
            "groups": nn.Conv2d(12, 12, 3, groups=12),
            "attention": nn.MultiheadAttention(16, 2),
            "norm": nn.LayerNorm(16),
        }
    )
    module.experts = nn.Parameter(gaussian(3, 16, 8))
    module.tied = nn.Linear(16, 30, bias=False)
    module.tied.weight = module["table"].weight
    found = {item.name: item for item in weight_matrices(module)}
    assert set(found) == {name for name, _ in module.named_parameters() if name != "experts"} | {
        f"experts[{k}]" for k in range(3)
    }
    assert found["conv.weight"].values.shape == (12, 27)
    assert found["attention.in_proj_weight"].values.shape == (48, 16)
    assert "12 groups" in found["groups.weight"].reason
    assert "vector" in found["norm.weight"].reason
    assert sum(isinstance(item, WeightMatrix) for item in found.values()) == 7


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
def test_transformers_are_read_whole(kind):
    pytest.importorskip("transformers")
    module = transformer(kind)
    wanted = [name for name, value in module.named_parameters() if value.ndim > 1]
    assert sorted(names(module, WeightMatrix)) == sorted(wanted)


def test_quantised_weights_are_dequantised_or_named():
    plain = nn.Sequential(nn.Linear(16, 12), nn.ReLU())
    if "onednn" not in torch.backends.quantized.supported_engines:
        pytest.skip("no quantised kernels")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still in use
        small = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear}, dtype=torch.qint8)
        (matrix,) = (item for item in weight_matrices(small) if isinstance(item, WeightMatrix))
    assert float((matrix.values - plain[0].weight.detach()).abs().max()) < 0.01
    module = nn.Module()
    module.packed = nn.Parameter(torch.ones(8, 8, dtype=torch.uint8), requires_grad=False)
    module.away = nn.Parameter(torch.empty(8, 8, device="meta"))
    reasons = {item.name: item.reason for item in weight_matrices(module)}
    assert "without its scales" in reasons["packed"]
    assert "meta" in reasons["away"]


def test_offloaded_weights_are_brought_in():
    accelerate = pytest.importorskip("accelerate")
    module = nn.Sequential(nn.Linear(16, 12), nn.Linear(12, 9))
    expected = {item.name: item.values.clone() for item in weight_matrices(module) if isinstance(item, WeightMatrix)}
    accelerate.cpu_offload(module, torch.device("cpu"))
    for item in weight_matrices(module):
        if isinstance(item, WeightMatrix):
            assert torch.equal(item.values, expected[item.name])
    assert names(module, Unread) == ["0.bias", "1.bias"]


def test_a_broken_layer_does_not_hide_the_others():
    module = nn.Sequential(nn.Linear(16, 12, bias=False), nn.Linear(12, 10, bias=False))
    with torch.no_grad():
        module[0].weight[0, 0] = float("inf")
    found = network_spectra(module)
    assert [layer.name for layer in found.layers] == ["1.weight"]
    assert "1 of 192 entries" in found.skipped[0].reason


def test_numbers_do_not_depend_on_the_workers_and_progress_ends():
    module = nn.Sequential(*(nn.Linear(24, 24, bias=False) for _ in range(3)))
    seen = []
    runs = [
        with_p_values(
            network_spectra(module, workers=n),
            generator=torch.Generator().manual_seed(1),
            most=20,
            workers=n,
            advance=lambda done, of: seen.append(done / of),
        ).to_dict()
        for n in (1, 2)
    ]
    assert runs[0] == runs[1]
    assert seen[2] == seen[5] == 1.0


def test_without_p_values_nothing_is_called_a_power_law():
    s = np.linspace(0.01, 1, 100) ** -1.0
    found = layer_spectrum("w", torch.diag(torch.tensor(s)))
    assert found.verdict is Verdict.CANNOT_TELL
    assert "textbook" in found.alpha.how
