"""Drift of kernels: planted drifts and plateaus, rates, a network that learns features and one that does not."""

import numpy as np
import pytest
import torch
from torch import nn

from blockspin import Ensemble, Flow, Measurement, Scale, Verdict
from blockspin.engine.base import Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.flow import Axis
from blockspin.questions.kernel_drift import KernelDrift
from blockspin.registry import member


def flow_of(drifts, error=0.005):
    scales = [Scale(0.0, "0")]
    for k, drift in enumerate(drifts, 1):
        scales.append(Scale(float(k), str(k), measurements={"cka/similarity": Measurement(1 - drift, error, dof=19)}))
    return Flow("net", Axis("depth", "layers"), tuple(scales))


def ask(flow, **options):
    return KernelDrift(**options).ask(flow, controls={"copy": flow}, generator=torch.Generator())


def test_planted_drifts_and_plateaus_are_found():
    answer = ask(flow_of([0.4, 0.01, 0.02, 0.01, 0.3, 0.06]))
    assert [v.value for v in answer.verdicts.values()] == ["yes", "no", "no", "no", "yes", "cannot tell"]
    assert answer.figure["plateaus"] == [["2", "3", "4"]]
    assert answer.verdict is Verdict.YES
    assert ask(flow_of([0.01] * 4)).verdict is Verdict.NO
    assert ask(flow_of([0.01, 0.06])).verdict is Verdict.CANNOT_TELL


def test_false_alarms_at_the_limit_are_at_most_nominal():
    """Eight transitions that drift by exactly the tolerance: any alarm in at most 5 % and three binomial errors."""
    rng, count = np.random.default_rng(0), 400
    alarms = 0
    for _ in range(count):
        draws = 0.05 + 0.02 * rng.standard_normal((8, 20))
        scales = [
            Scale(
                float(k),
                str(k),
                measurements={"cka/similarity": Measurement(1 - x.mean(), x.std(ddof=1) / 20**0.5, dof=19)},
            )
            for k, x in enumerate(draws)
        ]
        alarms += ask(Flow("net", Axis("depth"), tuple(scales))).verdict is Verdict.YES
    assert alarms / count <= 0.05 + 3 * (0.05 * 0.95 / count) ** 0.5


@pytest.mark.parametrize(("scale", "start", "rate", "verdict"), [(50, 1, 4e-5, Verdict.NO), (1, 0.1, 0.2, Verdict.YES)])
def test_lazy_training_is_told_from_learning_features(scale, start, rate, verdict):
    """With the output times 50 a network fits without moving its features; from small weights it has to move them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 10, generator=generator)
    y = x[:, :1] * x[:, 1:2]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(10, 200), nn.Tanh(), nn.Linear(200, 1))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(start)
    before = module[:2](x).detach()
    optimiser = torch.optim.SGD(module.parameters(), lr=rate)
    losses = []
    for _ in range(600):
        optimiser.zero_grad()
        loss = (scale * module(x) - y).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    first = Ensemble.of(before, units=torch.arange(200))
    reading = EnsemblePass.of({"a": first, "b": first.with_values(module[:2](x).detach()[:, :, None])}, groups=10)
    task = Task(member("observables", "cka")(), ("a", "b"))
    found = measure(reading, [task], executor=Serial(), store=None, generator=generator).measurement(task)
    scales = (Scale(0.0, "a"), Scale(1.0, "b", measurements={"cka/similarity": found["similarity"]}))
    assert ask(Flow("training", Axis("training", "steps"), scales), shortest=1).verdict is verdict


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(TooFewSamplesError):
        ask(Flow("net", Axis("depth"), (Scale(0.0, "a"),)))
    with pytest.raises(ConfigError):
        KernelDrift(tolerance=2.0)
