"""What all organisms share: the same twice, the global state of randomness left alone, checkpoints that fit."""

import pytest
import torch
from torch import nn

from blockspin.organisms._training import drawn, flushed_denormals
from blockspin.organisms.base import log_steps
from blockspin.registry import member


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    make = lambda: nn.Sequential(nn.Conv2d(8, 64, 5), nn.LayerNorm(3), nn.Embedding(50, 256))  # noqa: E731
    one, two, other = (drawn(make, generator(seed), gain=2.0).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["0.weight"], other["0.weight"])
    for key, fan_in in (("0.weight", 200), ("2.weight", 256)):
        count = one[key].numel()
        assert float(one[key].square().mean()) * fan_in == pytest.approx(4.0, abs=4 * 4 * (2 / count) ** 0.5)
    assert bool((one["1.weight"] == 1).all() and (one["1.bias"] == 0).all() and (one["0.bias"] == 0).all())


def test_numbers_below_the_smallest_are_zero_inside_and_the_setting_is_put_back():
    tiny = torch.tensor(torch.finfo(torch.float32).tiny)
    assert float(tiny / 2) > 0
    with flushed_denormals():
        assert float(tiny / 2) == 0
        with flushed_denormals():
            pass
        assert float(tiny / 2) == 0
    assert float(tiny / 2) > 0


def test_steps_of_checkpoints_start_at_none_and_end_at_the_last():
    assert log_steps(0, 5) == (0,)
    assert log_steps(1000, 4) == (0, 1, 32, 1000)
    assert log_steps(3, 20) == (0, 1, 2, 3)


def test_a_control_without_a_late_transition_learns_what_it_was_not_shown_as_it_goes():
    found = member("organisms", "cluster-tree")(samples=400, steps=120).train(generator=generator())
    train, test = found.curves["train_loss"], found.curves["test_loss"]
    half = [min(step for step in curve if curve[step] < curve[0] / 2) for curve in (train, test)]
    assert half[1] <= 2 * half[0]
