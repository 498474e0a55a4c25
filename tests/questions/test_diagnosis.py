"""Comparison of flows with theory, and which assumption fails: planted failures are named, sound ones are not."""

from math import inf, nan

import numpy as np
import pytest
import torch

from blockspin import Ensemble, Flow, Measurement, Scale
from blockspin.answer import Light
from blockspin.errors import AlignmentError
from blockspin.flow import Axis
from blockspin.measurement import holm
from blockspin.questions._lines import line
from blockspin.questions._tails import gaussian_exponent, tail_of
from blockspin.questions.comparison import chance_beyond, departures
from blockspin.questions.diagnosis import Evidence, diagnose, failing

KEY = "kernel/overlap"


def flow(values, errors=0.1, axis="depth", key=KEY, positions=None, dof=inf):
    errors = np.broadcast_to(errors, len(values))
    at = range(len(values)) if positions is None else positions
    scales = (
        Scale(float(x), f"at {x}", measurements={key: Measurement(v, e, dof=dof)})
        for x, v, e in zip(at, values, errors, strict=True)
    )
    return Flow("flow", Axis(axis), tuple(scales))


def lights(assumptions):
    return {item.name: item.light for item in assumptions}


def judge(measured, theory, evidence=None):
    found = departures(measured, theory)
    return lights(diagnose(found, measured, evidence or Evidence()))


def test_holm_is_that_of_the_definition():
    chances = [0.01, 0.04, 0.03, 0.005]
    assert holm(chances) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.02, nan, 0.5])
    assert found[0] == pytest.approx(0.06)
    assert np.isnan(found[1])


def test_chances_are_those_of_the_least_favourable_value():
    assert chance_beyond(1.96, 1.0, inf) == pytest.approx(0.05, abs=1e-4)
    rng = np.random.default_rng(0)
    drawn = np.abs(rng.standard_normal(200_000) + 1.5) >= 3.0
    assert chance_beyond(-3.0, 1.0, inf, 1.5) == pytest.approx(drawn.mean(), abs=4 * 0.25 / 200_000**0.5)


def test_alarms_on_the_truth_are_at_the_level():
    """Five scales, errors from 20 groups: any departure in at most 5 % and three binomial errors of 400 flows."""
    rng = np.random.default_rng(1)
    theory = flow(np.zeros(5), 0.0)
    count = 0
    for _ in range(400):
        draws = rng.standard_normal((5, 20))
        measured = flow(draws.mean(1), draws.std(1, ddof=1) / 20**0.5, dof=19)
        count += any(row.departs(0.05) for row in departures(measured, theory))
    assert count / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_arrays_are_judged_by_their_worst_entry():
    def kernel(value):
        scale = Scale(0.0, "a", measurements={"width/kernel": Measurement(np.array(value), np.full((2, 2), 0.1))})
        return Flow("kernel", Axis("width"), (scale,))

    (row,) = departures(kernel([[1.0, 0.2], [0.2, 1.0]]), kernel([[1.0, 0.2], [0.2, 2.0]]))
    assert row.measured.value == 1.0
    assert row.z == pytest.approx(-1 / (0.1 * 2**0.5))
    assert row.chance == pytest.approx(4 * chance_beyond(row.z, 1.0, inf))


def test_flows_that_cannot_be_compared_are_refused():
    with pytest.raises(AlignmentError, match="over depth"):
        departures(flow([1.0]), flow([1.0], axis="width"))
    with pytest.raises(AlignmentError, match="no number in common"):
        departures(flow([1.0]), flow([1.0], key="other/name"))


def test_a_line_has_the_errors_of_its_numbers():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    rng = np.random.default_rng(2)
    fits = [line(x, [Measurement(1 + 2 * a + 0.5 * rng.standard_normal(), 0.5) for a in x]) for _ in range(300)]
    for name, truth in (("intercept", 1.0), ("slope", 2.0)):
        values = np.array([getattr(fit, name).value for fit in fits])
        assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 300**0.5)
        assert getattr(fits[0], name).error == pytest.approx(values.std(), rel=0.2)
    assert np.mean([fit.chance < 0.1 for fit in fits]) == pytest.approx(0.1, abs=4 * 0.3 / 300**0.5)


def test_a_finite_width_is_named():
    widths = np.array([8, 16, 32, 64])
    evidence = Evidence(family=flow(5 / widths, 0.01, axis="width", positions=widths))
    measured, theory = flow([0.6, 0.6, 0.6], 0.05), flow([0.0] * 3, 0.0)
    assert judge(measured, theory, evidence)["width"] is Light.RED
    still = Evidence(family=flow([0.5] * 4, 0.01, axis="width", positions=widths))
    assert judge(measured, theory, still)["width"] is Light.GREEN
    both = Evidence(family=flow(0.5 + 5 / widths, 0.01, axis="width", positions=widths))
    assert judge(measured, theory, both)["width"] is Light.AMBER


def test_growth_with_depth_is_named():
    theory = flow([0.0] * 6, 0.0)
    assert judge(flow(0.1 * np.arange(6), 0.02), theory)["depth"] is Light.RED
    assert judge(flow(np.full(6, -0.4), 0.02), theory)["depth"] is Light.GREEN
    assert "depth" not in judge(flow(0.001 * np.arange(6), 0.02), theory)  # nothing departs


def test_an_assumption_is_named_where_giving_it_up_agrees():
    measured, bare = flow([1.0, 0.5, 0.3], 0.02, axis="cut"), flow([0.6, 0.4, 0.1], 0.0, axis="cut")
    renormalised = flow([1.01, 0.49, 0.31], 0.0, axis="cut")
    assert judge(measured, bare, Evidence(alternatives={"ridge": renormalised}))["ridge"] is Light.RED
    assert judge(measured, bare, Evidence(alternatives={"ridge": bare}))["ridge"] is Light.AMBER
    assert judge(measured, renormalised, Evidence(alternatives={"ridge": bare}))["ridge"] is Light.GREEN
    partly = flow([1.0, 0.4, 0.1], 0.02, axis="cut")
    with pytest.raises(AlignmentError, match="says nothing"):
        judge(partly, bare, Evidence(alternatives={"ridge": flow([0.4], 0.0, axis="cut", positions=[1])}))


def test_chains_that_did_not_mix_are_named():
    def chains(rhat, ended=""):
        numbers = {KEY: Measurement(1.0, 0.1), "learning-coefficient/rhat": Measurement(rhat, 0.0)}
        return Flow("chains", Axis("inverse temperature"), (Scale(1.0, "t", measurements=numbers),), ended)

    theory = flow([1.0], 0.0, axis="inverse temperature", positions=[1])
    assert judge(chains(1.3), theory)["mixing"] is Light.RED
    assert judge(chains(1.001), theory)["mixing"] is Light.GREEN
    assert judge(chains(1.001, "t = 3: chains have not mixed"), theory)["mixing"] is Light.RED


def test_a_cause_that_is_not_found_is_said():
    found = judge(flow([3.0, 3.0], 0.1, axis="width"), flow([0.0, 0.0], 0.0, axis="width"))
    assert found == {"cause not found": Light.AMBER}
    measured = flow([3.0, 3.0], 0.1, axis="width")
    rows = departures(measured, flow([3.0, 3.0], 0.0, axis="width"))
    assert failing(diagnose(rows, measured, Evidence())) == ()


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_the_exponent_of_a_gaussian_tail_is_that_of_drawn_ones(share):
    z = torch.randn(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).abs().sort().values
    count = int(share * len(z))
    found = 1 / (z[-count:] / z[-count - 1]).log().mean()
    assert float(found) == pytest.approx(gaussian_exponent(share), rel=4 / count**0.5)


def test_tails_of_known_exponent():
    generator = torch.Generator().manual_seed(3)
    signs = torch.randint(2, (2000, 10), generator=generator) * 2.0 - 1
    pareto = Ensemble.of(signs * torch.rand(2000, 10, generator=generator).double() ** (-1 / 5))
    tail = tail_of(pareto)
    assert tail.exponent.value == pytest.approx(5, abs=4 * tail.exponent.error)
    normal = tail_of(Ensemble.of(torch.randn(2000, 10, generator=generator)))
    assert normal.exponent.value == pytest.approx(normal.gaussian, abs=4 * normal.exponent.error)
