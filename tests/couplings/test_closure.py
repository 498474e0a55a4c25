"""Closure: three notions on chains of known answer, level and power on samples, and what is refused."""

from math import log

import numpy as np
import pytest
import torch
from grouped import group_states, within_binomial

from blockspin import Chain, Ensemble
from blockspin.couplings.closure import Closure
from blockspin.engine.errorbars import jackknife
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError
from blockspin.observables.base import accumulate, evaluate
from blockspin.sources.markov_chain import MarkovChain
from blockspin.theory import markov

GOOD, BAD = (0, 0, 1, 1), (0, 1, 0, 1)
ROUNDING = 1e-12


def numbers(coupling, source):
    return {key: float(number) for key, number in evaluate(coupling, source).items()}


@pytest.mark.parametrize("past", [1, 2, 3])
def test_groups_that_lump_are_closed_in_every_sense(past):
    found = numbers(Closure(groups=GOOD, past=past), MarkovChain(window=past + 2).law())
    for key in ("gap", "causal_gap", "computational_gap"):
        assert found[key] == pytest.approx(0, abs=ROUNDING)
    expected = markov.closure(markov.LUMPABLE, np.array(GOOD))
    assert (found["from_states"], found["from_groups"]) == pytest.approx(expected, abs=ROUNDING)


def test_groups_that_do_not_lump_are_open_in_every_sense():
    law = MarkovChain(window=4).law()
    fine, coarse = markov.closure(markov.LUMPABLE, np.array(BAD))
    assert numbers(Closure(groups=BAD), law)["gap"] == pytest.approx(fine - coarse, abs=ROUNDING)
    gaps = [numbers(Closure(groups=BAD, past=past), law)["gap"] for past in (1, 2, 3)]
    assert gaps[0] > gaps[1] > gaps[2] > 0.05  # longer pasts of the groups tell more, never all
    found = numbers(Closure(groups=BAD, past=2), law)
    expected = markov.group_past_given_state(markov.LUMPABLE, np.array(BAD))
    assert found["computational_gap"] == pytest.approx(expected, abs=ROUNDING)
    assert found["causal_gap"] > 0.5


def test_an_unseen_driver_opens_a_process_that_is_computationally_closed():
    T, group = markov.unseen_driver()
    law = MarkovChain(tuple(map(tuple, T.tolist())), window=3).law()
    found = numbers(Closure(groups=tuple(group.tolist()), past=2), law)
    assert found["gap"] == pytest.approx(log(2), abs=ROUNDING)
    assert found["causal_gap"] == pytest.approx(log(2), abs=ROUNDING)
    assert found["computational_gap"] == pytest.approx(0, abs=ROUNDING)


def test_a_single_group_is_closed_and_tells_nothing():
    found = numbers(Closure(groups=(0, 0, 0, 0)), MarkovChain(window=3).law())
    assert all(number == pytest.approx(0, abs=ROUNDING) for number in found.values())


@pytest.mark.slow
def test_error_bars_of_samples_hold_the_truth_and_the_gap_of_closed_groups_is_none_on_average():
    fine, coarse = markov.closure(markov.LUMPABLE, np.array(BAD))
    hits, gaps = 0, []
    for seed in range(60):
        field = MarkovChain(window=6).sample(400, generator=torch.Generator().manual_seed(seed))
        bad, good = Closure(groups=BAD), Closure(groups=GOOD)
        found = jackknife(bad, group_states(bad, field, chain=False))["gap"]
        hits += abs(float(found.value) - (fine - coarse)) < float(found.error)
        gaps.append(numbers(good, field)["gap"])
    assert within_binomial(hits, 60, 0.67)
    spread = float(np.std(gaps, ddof=1)) / 60**0.5
    counting = (4 - 2) / (2 * 400 * 5)  # the bias that is subtracted, of words of two in windows of six
    assert abs(np.mean(gaps)) < 4 * spread < counting


def test_the_p_value_of_closed_groups_is_small_as_often_as_stated_and_that_of_open_ones_always():
    small = 0
    for seed in range(200):
        field = MarkovChain(window=6).sample(300, generator=torch.Generator().manual_seed(seed))
        parts = [field.select(torch.arange(150)), field.select(torch.arange(150, 300))]
        for groups in (GOOD, BAD):
            coupling = Closure(groups=groups)
            goodness = coupling.goodness(*(accumulate(coupling.monoid, part) for part in parts))
            if groups == GOOD:
                small += goodness.p_value < 0.05
            else:
                assert goodness.p_value < 1e-6
    assert small <= 18  # at 5 %, one-sided 1 %


def test_what_is_no_grouping_of_symbols_is_refused():
    for wrong in ({"groups": (0,)}, {"groups": (0, 2)}, {"groups": (1, 2)}, {"past": 0}, {"past": 40}, {"level": 1.0}):
        with pytest.raises(ConfigError):
            Closure(**wrong)
    real = Ensemble.of(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)), Chain(6, False))
    with pytest.raises(ShapeError, match="symbols 0 to 3"):
        evaluate(Closure(groups=GOOD), real)
    few = MarkovChain(window=5).sample(40, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TooFewSamplesError, match="the rarest past of 3 symbols"):
        evaluate(Closure(groups=GOOD, past=3), few)
