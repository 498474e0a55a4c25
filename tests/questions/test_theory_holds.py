"""Agreement with theory: told where it was visible, denied with its cause, left open where errors are too large."""

import numpy as np
import pytest
import torch

from blockspin import Flow, Measurement, Scale, Verdict
from blockspin.errors import AlignmentError, ConfigError
from blockspin.flow import Axis
from blockspin.questions.diagnosis import Evidence
from blockspin.questions.theory_holds import TheoryHolds

DEPTHS = np.arange(5.0)
TRUTH = 1 + 0.2 * DEPTHS


def flow(values, error, axis="depth", key="width/kernel", name="flow"):
    scales = (
        Scale(x, f"layer {x:g}", measurements={key: Measurement(v, error, dof=19)})
        for x, v in zip(DEPTHS, values, strict=True)
    )
    return Flow(name, Axis(axis), tuple(scales))


def ask(measured, theory, **more):
    given = {"controls": {}, "generator": torch.Generator(), **more}
    return TheoryHolds().ask(measured, theory, **given)


def test_agreement_is_told_only_where_a_deviation_would_have_been_seen():
    theory = flow(TRUTH, 0.0, name="theory")
    assert ask(flow(TRUTH + 0.01, 0.02), theory).verdict is Verdict.YES
    assert ask(flow(TRUTH + 0.01, 0.5), theory).verdict is Verdict.CANNOT_TELL
    assert ask(theory, theory).verdict is Verdict.YES


def test_a_deviation_is_denied_with_its_cause_and_controls_beside():
    theory = flow(TRUTH, 0.0, name="infinite width")
    finite = flow(TRUTH + 0.1 * DEPTHS, 0.0, name="finite width")
    measured = flow(TRUTH + 0.1 * DEPTHS + 0.01, 0.02)
    evidence = Evidence(alternatives={"infinite width": finite})
    answer = ask(measured, theory, evidence=evidence, controls={"narrower": flow(TRUTH + 0.4 * DEPTHS, 0.02)})
    assert answer.verdict is Verdict.NO
    assert "Failing: depth, infinite width" in answer.statement
    assert answer.verdicts["width/kernel at layer 0"] is Verdict.YES
    assert answer.controls["narrower: width/kernel less theory at layer 4"].value == pytest.approx(1.6)
    assert answer.to_dict()["figure"]["rows"][4]["departs"]


def test_false_alarms_are_at_most_nominal():
    """400 flows of five numbers that theory describes, errors from 20 groups each."""
    rng, count = np.random.default_rng(0), 400
    theory, alarms = flow(TRUTH, 0.0), 0
    for _ in range(count):
        draws = rng.standard_normal((5, 20)) * 0.1 + TRUTH[:, None]
        scales = tuple(
            Scale(x, str(x), measurements={"width/kernel": Measurement(d.mean(), d.std(ddof=1) / 20**0.5, dof=19)})
            for x, d in zip(DEPTHS, draws, strict=True)
        )
        alarms += ask(Flow("net", Axis("depth"), scales), theory).verdict is Verdict.NO
    assert alarms / count <= 0.05 + 3 * (0.05 * 0.95 / count) ** 0.5


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(AlignmentError, match="no theory"):
        ask(flow(TRUTH, 0.1), None)
    with pytest.raises(ConfigError):
        TheoryHolds(tolerance=0.0)
