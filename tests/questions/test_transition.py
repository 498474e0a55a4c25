"""Transitions along training: found where a network groks, not where it relaxes, at the rate that was asked for."""

from copy import deepcopy
from math import sqrt

import grokking
import numpy as np
import pytest
import torch
from questions.trainings import over_training
from torch import nn

from blockspin import Measurement, Verdict
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.flows.training import training_flow
from blockspin.questions._sharpness import windows
from blockspin.questions.transition import Transition

STEPS = np.array([0, *np.unique(np.geomspace(10, 3000, 18).astype(int))])
KEY = "participation-ratio/debiased"


def flow_of(values, error, steps=STEPS):
    return training_flow("net", {int(s): {KEY: Measurement(v, error)} for s, v in zip(steps, values, strict=True)})


def ask(flow, seed=0, **options):
    return Transition(**{"draws": 20, **options}).ask(flow, controls={}, generator=torch.Generator().manual_seed(seed))


def relaxation(rng):
    """A superposition of relaxations of random rates, first and second order, rising or falling."""
    times, sizes = np.exp(rng.uniform(np.log(3), np.log(1e4), 5)), rng.exponential(size=5)
    falls = 1 - np.exp(-STEPS[:, None] / times)
    return rng.choice([-1, 1]) * (np.where(rng.random(5) < 0.5, falls, falls**2) * sizes).sum(1)


def test_no_relaxation_goes_beyond_the_bound():
    """The bound against superpositions evaluated directly; a single one comes within a per cent of it."""
    i, j, bound = windows(tuple(map(float, STEPS)), 4.0)
    reached = np.zeros(len(i))
    for time in np.geomspace(0.1, 1e6, 4000):
        y = np.expm1(-STEPS / time) ** 2
        reached = np.maximum(reached, (y[j] - y[i]) / (y[-1] - y[0]))
    assert (reached <= bound).all()
    assert (reached > 0.99 * bound).all()
    rng = np.random.default_rng(0)
    for _ in range(200):
        y = relaxation(rng)
        assert (np.abs(y[j] - y[i]) <= bound * abs(y[-1] - y[0]) * (1 + 1e-12)).all()


def test_false_alarms_on_smooth_noisy_curves_are_at_most_nominal():
    """200 relaxations with noise: the rate is at most 5 % and three binomial errors."""
    rng, count = np.random.default_rng(1), 200
    alarms = 0
    for seed in range(count):
        y = relaxation(rng)
        error = float(np.ptp(y)) * rng.choice([0.002, 0.01, 0.05])
        alarms += ask(flow_of(y + rng.normal(0, error, len(y)), error), seed).verdict is Verdict.YES
    assert alarms <= count * (0.05 + 3 * sqrt(0.05 * 0.95 / count))


def test_a_jump_is_found_where_it_is():
    y = 1 / (1 + (300 / np.maximum(STEPS, 1e-9)) ** 6)
    answer = ask(flow_of(y, 0.01))
    (curve,) = answer.figure["curves"]
    assert answer.verdict is Verdict.YES
    assert curve["interval"][0] < 300 < curve["interval"][1]
    assert curve["interval"][1] <= 4 * curve["interval"][0]


def test_what_could_not_be_seen_is_not_denied():
    """A jump under errors of a fifth of it, and one that falls between two checkpoints."""
    rng = np.random.default_rng(2)
    y = 1 / (1 + (300 / np.maximum(STEPS, 1e-9)) ** 6)
    assert ask(flow_of(y + rng.normal(0, 0.2, len(y)), 0.2)).verdict is not Verdict.YES
    sparse = np.array([0, 1, 10, 100, 1000, 10000])
    assert ask(flow_of((sparse > 300).astype(float), 0.01, sparse)).verdict is Verdict.CANNOT_TELL


def test_a_still_curve_has_none():
    rng = np.random.default_rng(3)
    assert ask(flow_of(rng.normal(5, 0.1, len(STEPS)), 0.1)).verdict is Verdict.NO


@pytest.mark.slow
def test_a_network_that_groks_has_one_where_the_held_out_loss_falls():
    trained = grokking.train()
    module, fields = deepcopy(trained.module), {"output": {}}
    for step, state in trained.checkpoints.items():
        module.load_state_dict(state)
        with torch.no_grad():
            fields["output"][step] = module(trained.contents)
    answer = ask(over_training(fields), draws=100)
    assert answer.verdict is Verdict.YES
    name = "cka/with_last of output"
    assert answer.verdicts[name] is Verdict.YES
    low, high = next(curve["interval"] for curve in answer.figure["curves"] if curve["name"] == name)
    assert 0.5 < sqrt(low * high) / grokking.drop() < 2


@pytest.mark.slow
def test_a_network_in_lazy_training_has_none():
    """A wide network whose output is multiplied by 30 fits random signs: its features hardly move."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 10, generator=generator)
    y = torch.stack([x[:, 0].sin(), x[:, 1].tanh(), x[:, 2] - x[:, 3]], 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(10, 400), nn.Tanh(), nn.Linear(400, 3))
    scale, rate = 30.0, 1e-4
    optimiser = torch.optim.SGD(module.parameters(), lr=rate)
    steps = {0, *np.unique(np.geomspace(4, 1000, 16).astype(int)).tolist()}
    fields = {"hidden": {}, "output": {}}
    for step in range(1001):
        hidden = module[:2](x)
        output = scale * module[2](hidden)
        if step in steps:
            fields["hidden"][step], fields["output"][step] = hidden.detach().clone(), output.detach().clone()
        optimiser.zero_grad()
        (output - y).square().mean().backward()
        optimiser.step()
    answer = ask(over_training(fields))
    assert answer.verdict is not Verdict.YES, answer.statement


def test_too_few_checkpoints_and_bad_options_are_refused():
    with pytest.raises(TooFewSamplesError, match="more checkpoints"):
        ask(flow_of([1.0, 2, 3], 0.1, np.array([0, 1, 2])))
    for options in ({"level": 0.7}, {"factor": 1.0}, {"draws": 3}):
        with pytest.raises(ConfigError):
            Transition(**options)
