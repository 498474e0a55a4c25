"""Course: planted runnings stay, run to a fixed point, run past none, or obey no beta function, and are called so."""

import numpy as np
import pytest
from planted import exact_flow, generator, running

from blockspin.answer import Verdict
from blockspin.flow import Axis
from blockspin.running import beta_function as beta_module
from blockspin.running import plateau as plateau_module
from blockspin.running.course import Kind, course, relevances
from blockspin.running.plateau import plateau
from blockspin.running.scaling import Relevance

SIGMA = 0.003


def noised(values, seed=0, **more):
    values = np.asarray(values, dtype=float)
    noise = SIGMA * np.random.default_rng(seed).standard_normal(values.shape)
    C = SIGMA**2 * np.eye(values.size)
    C[np.isnan(values)] = C[:, np.isnan(values)] = np.nan
    return running(values + noise, C, 19.0, **more)


def approach(scales=12):
    """g' = -(g - 1/2) per ln length: over a step by 2 the distance is halved."""
    return 0.5 + 0.4 * 0.5 ** np.arange(scales)


def test_what_approaches_a_fixed_point_is_irrelevant_there():
    found = course(noised(approach()), ["g"], generator=generator())
    assert found.kind is Kind.RUNS
    assert found.fixed.verdict is Verdict.YES
    (point,) = found.bounded
    value, ((rate,),) = point.measurement("g"), found.rates
    assert value.value == pytest.approx(0.5, abs=4 * value.error)
    assert rate.rate.value == pytest.approx(-1.0, abs=4 * rate.rate.error)
    assert relevances([found]) == [((Relevance.IRRELEVANT,),)]
    assert f"fixed at g = {value}" in found.statement


def test_without_a_length_nothing_is_called_irrelevant():
    found = course(noised(approach(), lengths=False, axis=Axis("depth", "layers")), ["g"], generator=generator())
    assert relevances([found]) == [((Relevance.DECAYING,),)]
    assert "per layer" in found.statement


def test_what_grows_past_no_zero_has_no_fixed_point_in_range():
    found = course(noised(0.1 * 2.0 ** np.arange(6)), ["g"], generator=generator())
    assert found.kind is Kind.RUNS
    assert found.fixed.verdict is Verdict.NO
    assert found.rates == ()
    assert found.statement.endswith("no fixed point in the measured range.")


def test_what_walks_is_told():
    g = exact_flow(np.array([-1.0]), 12, rate=lambda g: 0.05 + g**2)[:, 0]
    found = course(noised(g), ["g"], generator=generator())
    assert found.walking.verdict is Verdict.YES
    assert found.statement.endswith("it walks.")


def test_what_stays_is_told_with_where_it_is():
    found = course(noised(np.full(6, 0.7)), ["g"], generator=generator())
    assert found.kind is Kind.STAYS
    assert found.beta is None
    value = found.plateau.values["g"]
    assert value.value == pytest.approx(0.7, abs=4 * value.error)
    assert value.error == pytest.approx(SIGMA / 6**0.5, rel=0.5)
    assert "cannot be told" in found.statement


def test_what_goes_to_and_fro_obeys_no_beta_function_of_its_own():
    found = course(noised([0.1, 0.5, 0.2, 0.6, 0.1, 0.7, 0.3]), ["g"], generator=generator())
    assert found.kind is Kind.NO_BETA
    assert found.plateau.p_value < 0.05
    assert found.beta is None


def test_whether_couplings_move_is_asked_once(monkeypatch):
    """Two fits, each with draws of its own, would contradict each other where the chance is close to the level."""
    asked, once = [], plateau_module.fit_constant
    for module in (plateau_module, beta_module):
        monkeypatch.setattr(module, "fit_constant", lambda *given: asked.append(given) or once(*given))
    assert course(noised(approach()), ["g"], generator=generator()).kind is Kind.RUNS
    assert len(asked) == 1


def test_scales_without_the_coupling_are_passed_over_and_too_few_tell_nothing():
    values = approach()
    values[2] = np.nan
    gap = noised(values)
    found = course(gap, ["g"], generator=generator())
    assert found.labels == tuple(str(k) for k in range(12) if k != 2)
    assert found.kind is Kind.RUNS
    few = course(gap.select(scales=[0, 1, 2]), ["g"], generator=generator())
    assert few.kind is Kind.UNTOLD
    assert "2 scales" in few.statement
    assert few.plateau is None


def test_directions_of_all_courses_are_looked_at_together():
    found = course(noised(approach()), ["g"], generator=generator())
    chance = found.rates[0][0].p_value()
    level = 10 * chance
    assert relevances([found], level=level) == [((Relevance.IRRELEVANT,),)]
    assert relevances([found] * 20, level=level)[0] == ((Relevance.CANNOT_TELL,),)


@pytest.mark.slow
def test_what_stays_is_said_to_run_no_more_often_than_the_level():
    chances = [plateau(noised(np.full(6, 0.7), seed), generator=generator(seed)).p_value for seed in range(200)]
    assert sum(p < 0.05 for p in chances) <= 18
