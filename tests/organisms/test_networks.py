"""Random, convolutional and text networks, and those under Langevin dynamics, against what is known of each."""

import gzip
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from blockspin.errors import ConfigError
from blockspin.langevin import Chains, chain_losses, langevin_step
from blockspin.organisms._characters import Characters
from blockspin.organisms._pictures import FASHION
from blockspin.organisms.checkpoints import write_organism
from blockspin.organisms.small_cnn import STRIDE
from blockspin.registry import member


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mean_field(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """Return q and chi of infinite width, by quadrature."""
    z, weight = np.polynomial.hermite_e.hermegauss(150)
    weight, q = weight / np.sqrt(2 * np.pi), 1.0
    for _ in range(2000):
        q = sigma_w**2 * weight @ np.tanh(np.sqrt(q) * z) ** 2 + sigma_b**2
    return q, sigma_w**2 * weight @ (1 - np.tanh(np.sqrt(q) * z) ** 2) ** 2


@pytest.mark.parametrize(("sigma_w", "ordered"), [(0.9, True), (2.0, False)])
def test_random_networks_follow_the_mean_field_on_both_sides_of_the_line(sigma_w, ordered):
    organism = member("organisms", "random-mlp")(sigma_w=sigma_w, samples=40)
    scores = [organism.train(generator=generator(seed)).scores for seed in range(12)]
    for name, exact in zip(("q", "chi"), mean_field(sigma_w, 0.3), strict=True):
        found = np.array([score[name] for score in scores])
        error = found.std(ddof=1) / len(found) ** 0.5
        assert found.mean() == pytest.approx(exact, abs=4 * error + 2 * exact / organism.width)
        assert (exact < 1) == ordered or name == "q"
    correlation = np.mean([score["correlation"] for score in scores])
    assert correlation > 0.999 if ordered else correlation < 0.85


def test_pictures_shifted_by_a_whole_stride_give_the_same_output():
    found = member("organisms", "small-cnn")(samples=600, steps=80).train(generator=generator())
    pictures = found.contents[:20].movedim(3, 1)
    with torch.no_grad():
        out, moved = found.module(pictures), found.module(pictures.roll((STRIDE, -2 * STRIDE), (2, 3)))
        other = found.module(pictures.roll(1, 2))
    scale = float(out.abs().max())
    assert float((out - moved).abs().max()) < 1e-5 * scale
    assert float((out - other).abs().max()) > 1e-3 * scale
    assert found.scores["accuracy"] > 0.5
    with pytest.raises(ConfigError, match="faces"):
        member("organisms", "small-cnn")(data="faces").train(generator=generator())


@pytest.mark.slow
@pytest.mark.parametrize("data", ["generated", "digits"])
def test_pictures_are_told_apart(data):
    pytest.importorskip("sklearn")
    assert member("organisms", "small-cnn")(data=data, steps=600).train(generator=generator()).scores["accuracy"] > 0.9


@pytest.mark.slow
def test_a_decoder_sees_no_later_character_and_learns():
    organism = member("organisms", "char-transformer")(layers=1, context=32, steps=200)
    found = organism.train(generator=generator())
    assert found.curves["test_loss"][0] == pytest.approx(math.log(97), abs=0.3)
    assert found.scores["test_loss"] < 2.9  # what single characters cost, without any context
    batch = found.tokenizer(["In the beginning", "was"], padding=True, max_length=16)
    alone = found.tokenizer(["was"])
    with torch.no_grad():
        out = found.module(batch["input_ids"])
        changed = batch["input_ids"].clone()
        changed[:, 9:] = 7
        assert torch.allclose(out[:, :9], found.module(changed)[:, :9], atol=1e-5)
        assert not torch.allclose(out[:, 9:], found.module(changed)[:, 9:], atol=1e-2)
        assert torch.allclose(found.module(alone["input_ids"])[0], out[1, :3], atol=1e-5)


@pytest.mark.slow
def test_wider_decoders_predict_better():
    options = {"layers": 2, "context": 32, "steps": 300}
    losses = [
        member("organisms", "char-transformer")(width=width, **options).train(generator=generator()).scores["test_loss"]
        for width in (32, 64)
    ]
    assert losses[0] < 2.6
    assert losses[1] < losses[0] - 0.1


def test_characters_are_numbers_and_padding():
    found = Characters(4)(["a\n", "Hello"])
    assert found["input_ids"].tolist() == [[66, 0, 96, 96], [41, 70, 77, 77]]
    assert found["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_a_step_has_the_stationary_variance_of_its_size():
    k, size, temperature, draws = 2.0, 0.3, 0.7, generator()
    theta = torch.zeros(40000, dtype=torch.float64)
    for _ in range(60):
        theta = langevin_step(theta, k * theta, size=size, temperature=temperature, generator=draws)
    exact = temperature / (k * (1 - size * k / 2))
    assert float(theta.square().mean()) == pytest.approx(exact, abs=4 * exact * (2 / 40000) ** 0.5)


def test_chains_around_a_quadratic_minimum_have_its_mean_loss():
    net = torch.nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        net.weight.zero_()
    how = Chains(chains=400, steps=400, batch=1, size=0.05, inverse_temperature=5.0, localisation=1.0)
    loss = lambda call, rows: call(torch.eye(3)).square().sum() / 2  # noqa: E731
    found = chain_losses(net, loss, 1, how, generator=generator())[:, 200:].mean(1)
    k = how.inverse_temperature + how.localisation
    exact = 3 / 2 / (k * (1 - how.size * k / 2))
    assert float(found.mean()) == pytest.approx(exact, abs=4 * float(found.std()) / 20)
    assert float(net.weight.detach().abs().max()) == 0


def linear_posterior(width: int) -> tuple[float, float]:
    """Return the mean prediction and the mean of |a|^2 of the linear network, by quadrature over |a|^2."""
    x = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0.0]])
    star, y = np.array([1, -1, 0.5, 0]), np.array([2, -1, 0.5])
    q = np.linspace(1e-5, 12, 40001)
    inverse = np.linalg.inv(q[:, None, None] * (x @ x.T / 4) + 0.1 * np.eye(3))
    log_weight = (width / 2 - 1) * np.log(q) - width * q / 2 + np.linalg.slogdet(inverse)[1] / 2
    log_weight -= np.einsum("qab,a,b->q", inverse, y, y) / 2
    weight = np.exp(log_weight - log_weight.max())
    mean = q * np.einsum("qab,a,b->q", inverse, x @ star / 4, y)
    return float((weight * mean).sum() / weight.sum()), float((weight * q).sum() / weight.sum())


@pytest.mark.parametrize(
    ("width", "options"),
    [(5, {"chains": 400, "size": 0.004, "steps": 2500}), pytest.param(20, {"chains": 1000}, marks=pytest.mark.slow)],
)
def test_a_linear_network_reaches_its_exact_posterior(width, options):
    exact = linear_posterior(width)
    assert exact == pytest.approx({5: (2.347786, 1.994208), 20: (2.208765, 1.337496)}[width], abs=2e-5)
    organism = member("organisms", "langevin")(width=width, **options)
    found = organism.train(generator=generator()).scores
    for name, value in zip(("prediction", "rescaling"), exact, strict=True):
        bias = organism.size * 5 / 2 * value  # curvature of |a|^2 K / noise along the softer inputs
        assert found[name] == pytest.approx(value, abs=4 * found[f"{name}_error"] + bias)
        assert found[f"{name}_error"] < 0.05 * value


@pytest.mark.slow
def test_a_quadratic_network_reaches_its_posterior():
    found = member("organisms", "langevin")(activation="quadratic", chains=2000, size=0.001, steps=8000)
    scores = found.train(generator=generator()).scores
    assert scores["prediction"] == pytest.approx(0.21858, abs=4 * math.hypot(scores["prediction_error"], 0.00035))


def test_checkpoints_fit_the_network_made_again(tmp_path):
    organism = member("organisms", "deep-linear")(sites=6, steps=40)
    found = organism.train(generator=generator())
    files = write_organism(organism, found, tmp_path / "kept")
    assert [int(file.stem.rpartition("-")[2]) for file in files] == sorted(found.checkpoints)
    record = json.loads((tmp_path / "kept" / "organism.json").read_text())
    again = member("organisms", record["name"])(**record["options"]).network(generator=generator(5))
    again.load_state_dict(load_file(files[-1]))
    kept = found.module.state_dict()
    assert all(torch.equal(value.to(torch.float32), kept[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize("there", [True, False])
def test_real_pictures_are_fashion_mnist_where_its_files_are_and_digits_otherwise(tmp_path, monkeypatch, there):
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    pictures = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    label = np.arange(40, dtype=np.uint8) % 10
    for name, values in zip(FASHION, (pictures, label), strict=True) if there else ():
        head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
        with gzip.open(tmp_path / name, "wb") as file:
            file.write(head + values.tobytes())
    if not there:
        pytest.importorskip("sklearn")
    trained = member("organisms", "small-cnn")(data="real", samples=30, steps=1).train(generator=generator())
    assert trained.data == ("Fashion-MNIST (xiao2017), 30 pictures" if there else "scikit-learn's digits")
    assert trained.contents.shape[1:] == ((28, 28, 1) if there else (8, 8, 1))
    if there:
        rows = torch.randperm(30, generator=generator())[:6]  # what is held out
        assert torch.equal(trained.contents[..., 0], torch.from_numpy(pictures)[rows] / 255)
        assert torch.equal(trained.targets, torch.from_numpy(label).long()[rows])
