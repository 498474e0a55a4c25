"""A network that first memorizes and later computes: when, and what its units are in the end."""

import math

import grokking
import pytest
import torch

from blockspin.organisms.modular_addition import fourier_concentration
from blockspin.registry import member

ADDITION = member("organisms", "modular-addition")


def trained(seed: int = 0, **options: float):
    return ADDITION(**options).train(generator=torch.Generator().manual_seed(seed))


def first(curve, level: float) -> float:
    return min((step for step, value in curve.items() if value >= level), default=math.inf)


def test_concentration_of_one_cosine_of_noise_and_of_dead_units():
    n, units = 11, 20000
    noise = torch.randn(units, 2 * n + 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = sum(1 / k for k in range(1, n + 1)) / n  # mean of the largest of n shares of a unit interval
    found, live = fourier_concentration(noise, floor=0.0)
    assert live == units
    assert found == pytest.approx(expected, abs=4 * 0.1 / units**0.5)
    angle = 2 * math.pi * torch.arange(23) / 23
    cosine = torch.stack([torch.cos(3 * angle + 1), torch.zeros(23), 1e-9 * torch.cos(angle)])
    found, live = fourier_concentration(cosine)
    assert (found, live) == (pytest.approx(1.0, abs=1e-6), 1)
    found, live = fourier_concentration(torch.zeros(4, 23))
    assert math.isnan(found)
    assert live == 0


@pytest.mark.slow
def test_it_generalizes_long_after_it_has_memorized():
    found = grokking.train()
    memorized = first(found.curves["train_accuracy"], 0.99)
    understood = first(found.curves["test_accuracy"], 0.95)
    assert memorized <= 60
    assert 3 * memorized <= understood <= 500
    assert found.scores["test_accuracy"] > 0.98
    n = 11
    at_random = sum(1 / k for k in range(1, n + 1)) / n
    assert found.curves["fourier_concentration"][0] == pytest.approx(at_random, abs=4 * 0.1 / 256**0.5)
    assert found.scores["fourier_concentration"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_less_decay_delays_it(seed):
    found = trained(seed, decay=0.2, steps=2500)
    assert first(found.curves["train_accuracy"], 0.99) <= 60
    assert 600 <= first(found.curves["test_accuracy"], 0.95) <= 2500


@pytest.mark.slow
def test_a_control_memorizes_and_no_more():
    found = trained(p=31, fraction=0.4, rate=0.002, decay=0.5, steps=4000)
    assert found.scores["train_accuracy"] == 1.0
    assert found.scores["test_accuracy"] < 0.9
