"""Power-law tails: the exact search, the alternatives, the bootstrap, the verdict, and what is refused."""

import numpy as np
import pytest
import torch

from blockspin.answer import Verdict
from blockspin.couplings._alternatives import compare_alternatives
from blockspin.couplings._tail import find_tail, hill_slopes, least_distance, tail_above
from blockspin.couplings.power_law import Demands, PowerLaw, bootstrap_p_value, judge_power_law
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, ConstantUnitsError, NonFiniteError, ShapeError, TooFewSamplesError
from blockspin.geometry import Unordered
from blockspin.observables.base import accumulate

SAMPLES = {
    "pareto": lambda rng, n: (1 - rng.random(n)) ** (-1 / 1.5),
    "log-normal": lambda rng, n: rng.lognormal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "ties": lambda rng, n: np.floor(3 * rng.pareto(1.5, n)) + 1,
    "body": lambda rng, n: np.where(rng.random(n) < 0.5, rng.uniform(0.2, 3, n), 3 * (1 - rng.random(n)) ** (-1 / 1.5)),
}


def slow_search(values):
    """Every candidate in full: (distance, alpha, x_min, count)."""
    x, best = np.sort(values), (9.0, 0.0, 0.0, 0)
    for x_min in np.unique(x)[:-1]:
        tail = x[x >= x_min]
        alpha = 1 + len(tail) / np.log(tail / x_min).sum()
        distance = np.abs(1 - (tail / x_min) ** (1 - alpha) - np.arange(len(tail)) / len(tail)).max()
        best = min(best, (distance, alpha, x_min, len(tail)))
    return best


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("count", [3, 20, 150, 900])
def test_search_is_that_of_every_candidate(kind, count):
    rng = np.random.default_rng(count)
    for _ in range(5):
        x = SAMPLES[kind](rng, count)
        distance, alpha, x_min, tail = slow_search(x)
        found = find_tail(x)
        assert (found.x_min, found.count) == (x_min, tail)
        assert found.alpha == pytest.approx(alpha, rel=1e-12 * count)
        assert found.distance == pytest.approx(distance, abs=1e-13 * count)


def test_search_leaves_most_candidates_out(monkeypatch):
    from blockspin.couplings import _tail

    calls, inner = [], _tail._distance
    monkeypatch.setattr(_tail, "_distance", lambda *given: calls.append(1) or inner(*given))
    logs = np.log(np.sort(SAMPLES["pareto"](np.random.default_rng(0), 100_000)))
    least_distance(logs, hill_slopes(logs))
    assert len(calls) < 500


def test_units_do_not_matter():
    x = SAMPLES["body"](np.random.default_rng(1), 500)
    first, second = find_tail(x), find_tail(x * 1e-9)
    assert second.alpha == pytest.approx(first.alpha, rel=1e-9)
    assert second.count == first.count


def test_alpha_and_its_error_cover_the_truth():
    z = []
    for seed in range(200):
        tail = tail_above(SAMPLES["pareto"](np.random.default_rng(seed), 400), 1.0)
        z.append((tail.alpha - 2.5) / tail.textbook_error)
    assert 0.68 - 4 * 0.033 < np.mean(np.abs(z) < 1) < 0.68 + 4 * 0.033


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([1.0, float("nan"), 2.0], NonFiniteError),
        ([1.0, 0.0, 2.0], ConstantUnitsError),
        ([1.0, -3.0, 2.0], ConstantUnitsError),
        ([2.0, 2.0, 2.0], ConstantUnitsError),
        ([1.0, 2.0], TooFewSamplesError),
        ([[1.0, 2.0]], ShapeError),
    ],
)
def test_bad_values_are_refused_by_name(values, error):
    with pytest.raises(error):
        find_tail(values)


def test_demands_are_checked():
    with pytest.raises(ConfigError):
        Demands(level=0)
    with pytest.raises(ConfigError):
        Demands(count=1)


# --- alternatives -----------------------------------------------------------------------------------------------------


def test_alternatives_find_their_own_parameters():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=20_000)
    found = compare_alternatives(np.exp(normal[normal > 0]), 1.0)["log-normal"]
    assert found.parameters["sigma"] == pytest.approx(1, abs=0.08)
    found = compare_alternatives(1 + rng.exponential(3.0, size=4000), 1.0)["exponential"]
    assert found.parameters["scale"] == pytest.approx(3, abs=4 * 3 / 4000**0.5)
    assert found.log_likelihood_ratio > 0
    assert found.p_value < 1e-6
    raw = (1 - rng.random(200_000)) ** (-1 / 0.5)
    cut = raw[rng.random(len(raw)) < np.exp(-(raw - 1) / 20)][:4000]
    found = compare_alternatives(cut, 1.0)["cut-off"]
    assert found.parameters["alpha"] == pytest.approx(1.5, abs=0.08)
    assert found.parameters["scale"] == pytest.approx(20, abs=4)


def test_ratio_of_the_log_normal_is_that_of_its_density():
    from scipy.stats import norm

    u = np.abs(np.random.default_rng(3).normal(size=300))
    found = compare_alternatives(np.exp(u), 1.0)["log-normal"]
    mu, sigma = found.parameters["mu"], found.parameters["sigma"]
    direct = (norm.logpdf(u, mu, sigma) - norm.logsf(0, mu, sigma)).sum() - (np.log(1 / u.mean()) - u / u.mean()).sum()
    assert found.log_likelihood_ratio == pytest.approx(direct, abs=1e-3)


# --- verdict ----------------------------------------------------------------------------------------------------------


def judge(kind, size, seed=0, replicas=60, **demands):
    x = SAMPLES[kind](np.random.default_rng(seed), size)
    generator = torch.Generator().manual_seed(seed)
    return judge_power_law(x, generator=generator, replicas=replicas, demands=Demands(**demands))


def test_verdicts_where_the_answer_is_known():
    assert judge("pareto", 1000).verdict is Verdict.YES
    assert judge("exponential", 3000).verdict is not Verdict.YES
    assert judge("log-normal", 5000).verdict is not Verdict.YES
    short = judge("pareto", 30)
    assert short.verdict is Verdict.CANNOT_TELL
    assert "fewer than 50" in short.reasons[0]
    unasked = judge("pareto", 1000, replicas=0)
    assert (unasked.p_value, unasked.verdict) == (None, Verdict.CANNOT_TELL)


def test_the_bootstrap_is_reproducible_and_leaves_the_global_state_alone():
    before = (torch.random.get_rng_state(), np.random.get_state()[1].copy())
    assert judge("pareto", 300).p_value == judge("pareto", 300).p_value
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


@pytest.mark.slow
def test_the_bootstrap_is_calibrated_on_independent_values():
    """At most 18 of 200 below 5 % (one-sided 1 %), and no fewer than chance allows where the tail is known."""
    p_values = []
    for seed in range(200):
        x = np.sort(SAMPLES["body"](np.random.default_rng(seed), 400))
        generator = torch.Generator().manual_seed(seed)
        p_values.append(bootstrap_p_value(x, find_tail(x), generator=generator, replicas=99))
    assert sum(p <= 0.05 for p in p_values) <= 18


@pytest.mark.slow
def test_a_true_power_law_is_rarely_called_none():
    verdicts = [judge("pareto", 400, seed=seed, replicas=99).verdict for seed in range(200)]
    assert sum(v is Verdict.NO for v in verdicts) <= 18


# --- the coupling -----------------------------------------------------------------------------------------------------


def test_the_coupling_gives_the_fit_of_the_values_and_judges_held_out_ones():
    rng = np.random.default_rng(5)
    halves = [SAMPLES["pareto"](rng, 2000) for _ in range(2)]
    states = [accumulate(PowerLaw().monoid, Ensemble.of(torch.tensor(x)[:, None, None], Unordered(1))) for x in halves]
    found = PowerLaw().value(states[0])
    tail = find_tail(halves[0])
    assert (float(found["exponent"]), float(found["x_min"])) == (tail.alpha, tail.x_min)
    assert PowerLaw().goodness(*states).p_value > 0.001
    wrong = {**states[1], "values": torch.tensor(1 + rng.exponential(size=2000))}
    assert PowerLaw().goodness(states[0], wrong).p_value < 1e-6


def test_the_coupling_refuses_many_sites():
    field = Ensemble.of(torch.ones(4, 2, 1), Unordered(2))
    with pytest.raises(ShapeError):
        accumulate(PowerLaw().monoid, field)
