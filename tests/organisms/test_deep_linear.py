"""Modes of a linear network against their own equations, and these against other integrators."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp

from blockspin.errors import FitFailedError
from blockspin.registry import member
from blockspin.theory import deep_linear

LINEAR = member("organisms", "deep-linear")


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("s", [4.0, 0.5])
def test_the_closed_form_solves_the_equation(depth, s):
    start = 1e-3
    for u in (0.01 * s, 0.5 * s, 0.99 * s):
        by_quadrature, error = quad(
            lambda v: 1 / deep_linear.rate(v, s, depth), start, u, epsabs=0, epsrel=1e-11, limit=200
        )
        t = deep_linear.time_to(u, s, start, depth)
        assert t == pytest.approx(by_quadrature, abs=10 * error + 1e-11)
        assert deep_linear.strength(t, s, start, depth) == pytest.approx(u, rel=1e-11)
        path = solve_ivp(
            lambda _, v: [deep_linear.rate(float(v[0]), s, depth)], (0, t), [start], rtol=1e-10, atol=1e-13
        )
        assert path.y[0, -1] == pytest.approx(u, rel=1e-7)
    assert deep_linear.strength(0.0, s, start, depth) == pytest.approx(start)
    assert deep_linear.strength(1e4, s, start, depth) == pytest.approx(s)


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(FitFailedError, match="4 layers"):
        deep_linear.half_time(1.0, 1e-3, 4)
    with pytest.raises(FitFailedError, match="not in order"):
        deep_linear.time_to(0.5, 0.4, 1e-3, 2)


def test_a_mode_is_learned_at_a_time_of_one_over_its_strength():
    times = np.array([deep_linear.half_time(s, 1e-9, 3) for s in (4.0, 2.0, 1.0, 0.5)])
    assert times * [4, 2, 1, 0.5] == pytest.approx(np.full(4, 1000.0), rel=2e-3)  # 1 / (strength of one layer)


def followed(rate: float, depth: int = 3, time: float = 20.0):
    organism = LINEAR(sites=8, rate=rate, depth=depth, steps=round(time / rate))
    return organism, organism.train(generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("depth", [2, 3])
def test_gradient_descent_is_the_recurrence_of_each_mode(depth):
    organism, found = followed(0.02, depth, time=12.0)
    for i, s in enumerate(organism.modes):
        w = organism.start ** (1 / depth)
        for step in range(organism.steps + 1):
            assert found.curves[f"mode_{i}"][step] == pytest.approx(w**depth, rel=1e-8)
            w += organism.rate * w ** (depth - 1) * (s - w**depth)


def test_training_follows_the_flow_to_first_order_in_the_rate():
    worst = []
    for rate in (0.004, 0.002):
        organism, found = followed(rate, time=4.0)
        flow = np.array(
            [
                [deep_linear.strength(rate * step, s, organism.start, 3) for step in range(0, organism.steps + 1, 50)]
                for s in organism.modes
            ]
        )
        seen = np.array(
            [[found.curves[f"mode_{i}"][step] for step in range(0, organism.steps + 1, 50)] for i in range(4)]
        )
        worst.append(np.abs(seen - flow)[:, :: 1 if rate == 0.004 else 2])
    assert worst[0].max() / worst[1].max() == pytest.approx(2.0, rel=0.1)


def test_modes_are_half_learned_at_the_times_of_the_flow():
    organism = LINEAR()
    found = organism.train(generator=torch.Generator().manual_seed(0))
    steps = [found.scores[f"half_learned_{i}"] for i in range(4)]
    flow = [deep_linear.half_time(s, organism.start, 3) / organism.rate for s in organism.modes]
    assert steps == pytest.approx(flow, rel=organism.rate * max(organism.modes) / 2, abs=1)
    assert [found.scores[f"mode_{i}"] for i in range(4)] == pytest.approx(organism.modes, rel=1e-3)
    kept = found.checkpoints[organism.steps]
    product = kept["2.weight"] @ kept["1.weight"] @ kept["0.weight"]
    assert torch.linalg.svdvals(product)[:4].tolist() == pytest.approx(organism.modes, rel=1e-3)
