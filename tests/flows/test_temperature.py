"""The flow over temperature: learning coefficients that are known, and chains that do not mix."""

import pytest
import torch
from scipy.integrate import quad
from torch import nn

from blockspin.errors import ConfigError, NotMixedError
from blockspin.flows.temperature import Langevin, coefficient, module_loss, temperature_flow

pytest.importorskip("arviz")
KEY = "learning-coefficient/local"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_regular_minimum_has_half_its_dimension_at_every_temperature():
    curvature = torch.tensor([1.0, 2.0, 5.0, 10.0], dtype=torch.float64)

    def loss(w):
        return 0.5 * (curvature * w.square()).sum(1) + 3.0

    for t in (10.0, 1000.0):
        how = Langevin(step=0.1 / t, chains=16, draws=800, burn_in=200)
        flow = temperature_flow("quadratic", loss, torch.zeros(4), [t], how, generator=seeded())
        found = flow[0].measurements[KEY]
        assert abs(found.value - 2) < 4 * found.error
        assert found.error < 0.2


def test_a_singular_minimum_has_that_of_its_temperature():
    """w1^2 w2^2 on a square at t = 1000 / ln 1000: 0.35588, by quadrature, well below the 1/2 of the limit."""
    t = 144.76
    top = quad(lambda w: _moment(w, t), 0, 1, limit=200)[0]
    bottom = quad(lambda w: _partition(w, t), 0, 1, limit=200)[0]
    assert t * top / bottom == pytest.approx(0.35588, abs=2e-5)
    how = Langevin(step=0.05, chains=24, draws=2500, burn_in=500, box=1.0, most_rhat=1.05)
    flow = temperature_flow("singular", lambda w: w.square().prod(1), torch.zeros(2), [t], how, generator=seeded())
    found = flow[0].measurements[KEY]
    assert abs(found.value - t * top / bottom) < 4 * found.error
    assert found.error < 0.03


def _partition(w, t):
    return quad(lambda v: 2.718281828459045 ** (-t * w * w * v * v), 0, 1)[0]


def _moment(w, t):
    return quad(lambda v: w * w * v * v * 2.718281828459045 ** (-t * w * w * v * v), 0, 1)[0]


def test_chains_that_do_not_mix_give_no_number():
    how = Langevin(step=1e-7, chains=4, draws=200, burn_in=0)
    flow = temperature_flow("stuck", lambda w: w.square().sum(1), torch.zeros(2), [1.0], how, generator=seeded())
    assert KEY not in flow[0].measurements
    assert "not mixed" in flow.ended
    apart = torch.randn(4, 500, dtype=torch.float64, generator=seeded()) + torch.arange(4)[:, None]
    with pytest.raises(NotMixedError, match="R-hat"):
        coefficient(apart, how)


def test_a_module_is_sampled_through_its_parameters():
    """Linear regression: half of the number of weights."""
    x = torch.randn(50, 3, dtype=torch.float64, generator=seeded())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        aim = module.double()(x)
    loss, minimum = module_loss(module, lambda given: (given(x) - aim).square().mean())
    how = Langevin(step=2e-3, chains=8, draws=800, burn_in=100)
    found = temperature_flow("linear", loss, minimum, [100.0], how, generator=seeded())[0].measurements[KEY]
    assert abs(found.value - 1.5) < 4 * found.error


def test_without_the_metropolis_rule_the_step_shows():
    """Unadjusted, the variance of a quadratic is too large by 1 / (1 - step h t / 4)."""
    how = Langevin(step=1.0, chains=16, draws=2000, adjusted=False)
    flow = temperature_flow("biased", lambda w: 0.5 * w.square().sum(1), torch.zeros(2), [1.0], how, generator=seeded())
    found = flow[0].measurements[KEY]
    assert abs(found.value - 1 / (1 - 0.25)) < 4 * found.error


def test_bad_options_are_refused():
    for options in ({"step": 0.0}, {"step": 1.0, "chains": 2}, {"step": 1.0, "box": 0.0}):
        with pytest.raises(ConfigError):
            Langevin(**options)
