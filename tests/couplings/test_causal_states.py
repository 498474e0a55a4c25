"""Causal states: exact machines of known processes, level and errors of samples, and what is refused."""

import pytest
import torch
from grouped import group_states, within_binomial

from blockspin import Chain, Ensemble
from blockspin.couplings.causal_states import CausalStates
from blockspin.engine.errorbars import jackknife
from blockspin.errors import ConfigError, FitFailedError, ShapeError, TooFewSamplesError
from blockspin.observables.base import accumulate, evaluate
from blockspin.sources.hidden_markov import HiddenMarkov
from blockspin.sources.markov_chain import MarkovChain
from blockspin.theory import hidden_markov as theory

KNOWN = {"golden_mean": theory.golden_mean, "even": theory.even_process}


@pytest.mark.parametrize("process", KNOWN)
@pytest.mark.parametrize("past", [2, 3, 4, 7])
def test_machines_of_exact_windows_have_the_closed_forms(process, past):
    known, source = KNOWN[process](), getattr(HiddenMarkov, process)
    coupling = CausalStates(past=past)
    if (process, past) == ("even", 2):  # no past of two symbols but 00 and 10 tells the first state, and none the other
        with pytest.raises(FitFailedError):
            evaluate(coupling, source(window=4).law())
        return
    found = evaluate(coupling, source(window=past + 2).law())
    for key in ("entropy_rate", "complexity"):
        assert float(found[key]) == pytest.approx(known[key], abs=1e-12)
    assert float(found["states"]) == 2
    # only a past of ones alone does not tell whether their number is even
    ones = {"golden_mean": 0.0, "even": (3 if past % 2 == 0 else 4) / 3 * 2.0 ** (-(past + past % 2) / 2)}[process]
    assert float(found["undetermined"]) == pytest.approx(ones, abs=1e-12)


def test_a_chain_that_lumps_in_what_follows_has_fewer_states_than_symbols():
    """Two of three symbols lead to the same law of the next."""
    chain = MarkovChain(((0.2, 0.5, 0.3), (0.6, 0.3, 0.1), (0.6, 0.3, 0.1)), window=4)
    found = evaluate(CausalStates(past=2, symbols=3), chain.law())
    assert float(found["states"]) == 2
    pi = chain.stationary()
    share = torch.stack([pi[0], pi[1] + pi[2]])
    assert float(found["complexity"]) == pytest.approx(-float(share @ share.log()), abs=1e-9)
    rows = -(chain.transitions * chain.transitions.log()).sum(1)
    assert float(found["entropy_rate"]) == pytest.approx(float(pi @ rows), abs=1e-9)


@pytest.mark.slow
def test_independent_symbols_are_one_state_as_often_as_stated():
    alike = 0
    for seed in range(200):
        coins = torch.rand(1500, 6, generator=torch.Generator().manual_seed(seed)) < 0.4
        try:
            found = evaluate(CausalStates(past=2, level=0.05), Ensemble.of(coins.float(), Chain(6, False)))
        except FitFailedError:  # parted at random, pasts do not make a machine
            continue
        alike += float(found["states"]) == 1 and float(found["complexity"]) == 0
    assert alike >= 182  # at most 18 of 200 at 5 %


@pytest.mark.parametrize("process", KNOWN)
@pytest.mark.slow
def test_two_of_three_error_bars_of_samples_hold_the_truth(process):
    known, hits = KNOWN[process](), {"entropy_rate": 0, "complexity": 0}
    coupling = CausalStates(past=3)
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        field = getattr(HiddenMarkov, process)(window=12).sample(400, generator=generator)
        states = group_states(coupling, field, chain=False)
        found = jackknife(coupling, states)
        assert float(found["states"].value) == 2
        for key in hits:
            hits[key] += abs(float(found[key].value) - known[key]) < float(found[key].error)
    assert all(within_binomial(count, 60, 0.67) for count in hits.values()), hits


def test_the_machine_fits_held_out_windows_and_a_wrong_one_does_not():
    parts = [HiddenMarkov.even(window=16).sample(500, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    coupling = CausalStates(past=4)
    states = [accumulate(coupling.monoid, part) for part in parts]
    assert coupling.goodness(*states).p_value > 0.001
    other = HiddenMarkov.golden_mean(window=16).sample(500, generator=torch.Generator().manual_seed(2))
    assert coupling.goodness(states[0], accumulate(coupling.monoid, other)).p_value < 1e-6


def test_pasts_that_are_too_long_for_the_samples_are_refused_with_what_is_needed():
    field = HiddenMarkov.golden_mean(window=16).sample(100, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TooFewSamplesError, match="the rarest past of 10 symbols"):
        evaluate(CausalStates(past=10), field)
    assert float(evaluate(CausalStates(past=2), field)["states"]) == 2


def test_pasts_that_are_too_short_are_refused():
    """A hidden process whose symbols never tell its state: every past is a belief of its own."""
    with pytest.raises(FitFailedError, match=r"not closed|no past tells"):
        evaluate(CausalStates(past=3, symbols=3), HiddenMarkov.mess3(window=5).law())


def test_what_is_not_a_process_of_symbols_is_refused():
    real = Ensemble.of(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)), Chain(6, False))
    with pytest.raises(ShapeError, match="symbols 0 to 1"):
        evaluate(CausalStates(past=2), real)
    short = Ensemble.of(torch.zeros(50, 3), Chain(3, False))
    with pytest.raises(ShapeError, match="no words of 4"):
        evaluate(CausalStates(past=3), short)
    for wrong in ({"past": 0}, {"past": 30}, {"symbols": 1}, {"level": 0.0}):
        with pytest.raises(ConfigError):
            CausalStates(**wrong)


def test_any_split_of_the_windows_gives_the_same_counts():
    field = HiddenMarkov.even(window=9).sample(200, generator=torch.Generator().manual_seed(0))
    monoid = CausalStates(past=3).monoid
    whole = accumulate(monoid, field)
    parts = monoid.merge(
        accumulate(monoid, field.select(torch.arange(70))), accumulate(monoid, field.select(torch.arange(70, 200)))
    )
    assert torch.equal(whole["counts"], parts["counts"])
    slow = {}
    for window in field.values[:, :, 0].long().tolist():
        for t in range(6):
            slow[tuple(window[t : t + 4])] = slow.get(tuple(window[t : t + 4]), 0) + 1
    for word, count in slow.items():
        assert float(whole["counts"][int("".join(map(str, word)), 2)]) == count
