"""Where the Gaussian theory is enough: error rates on Gaussian features, power on heavy tails, what is named."""

from math import sqrt

import pytest
import torch

from blockspin import Ensemble, Flow, Measurement, Scale, Verdict
from blockspin.engine.base import Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.flow import Axis
from blockspin.flows.depth import depth_flow
from blockspin.flows.width import width_flow
from blockspin.questions.diagnosis import Evidence
from blockspin.questions.gaussian_enough import GaussianEnough
from blockspin.registry import member

KEYS = ("cumulants", "negentropy")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def over_depth(fields, groups=20):
    """Measure {layer: [samples, sites]} as a run does."""
    ensembles = {name: Ensemble.of(x, units=torch.arange(len(x))) for name, x in fields.items()}
    first = next(iter(ensembles.values()))
    ensembles = {name: first.with_values(field.values, field.geometry) for name, field in ensembles.items()}
    tasks = [Task(member("observables", key)(), (name,)) for name in fields for key in KEYS]
    reading = EnsemblePass.of(ensembles, groups=groups)
    measured = measure(reading, tasks, executor=Serial(), store=None, generator=generator()).measurements()
    return depth_flow("network", ensembles, {names[0]: rows for names, rows in measured.items()})


def ask(flow, explicit=None, evidence=None, **options):
    return GaussianEnough(**options).ask(flow, explicit, controls={}, generator=generator(), evidence=evidence)


def mixed(x, seed):
    """Correlate sites by a fixed matrix."""
    return x @ torch.randn(x.shape[1], x.shape[1], dtype=x.dtype, generator=generator(seed)) / x.shape[1] ** 0.5


def gaussian(seed, samples=400, sites=12):
    x = torch.randn(samples, sites, dtype=torch.float64, generator=generator(seed))
    return {"one": mixed(x, 1), "two": mixed(x, 2)}


def student(seed, dof, samples=1000, sites=12):
    """Independent sites of Student's t: excess kurtosis 6 / (dof - 4)."""
    z = torch.randn(samples, sites, dof + 1, dtype=torch.float64, generator=generator(seed))
    return {"heavy": z[..., 0] / z[..., 1:].square().mean(-1).sqrt()}


def rate(make, count, verdict, **options):
    return sum(ask(over_depth(make(seed)), **options).verdict is verdict for seed in range(count)) / count


def alarms(count):
    return rate(gaussian, count, Verdict.NO, tolerance=0.0)


@pytest.mark.slow
def test_gaussian_features_raise_few_alarms():
    """Asked for exactly Gaussian fields: 15 draws, at most the nominal rate and three binomial errors."""
    assert alarms(15) <= 0.05 + 3 * sqrt(0.05 * 0.95 / 15)


@pytest.mark.slow
def test_false_alarms_on_gaussian_features_are_at_most_18_of_200():
    assert alarms(200) * 200 <= 18
    assert rate(gaussian, 200, Verdict.NO) == 0  # with room for the tolerance


def test_many_gaussian_samples_are_called_gaussian():
    assert ask(over_depth(gaussian(0, samples=12_000))).verdict is Verdict.YES
    assert ask(over_depth(gaussian(0, samples=100), groups=10)).verdict is Verdict.CANNOT_TELL


def test_heavy_tails_are_found_and_named():
    """Student's t of five degrees of freedom, 1,000 samples: four of five found, since tails widen their own errors."""
    found = [
        answer for answer in (ask(over_depth(student(seed, 5))) for seed in range(5)) if answer.verdict is Verdict.NO
    ]
    assert len(found) >= 4
    assert all("heavy tails" in answer.statement for answer in found)


@pytest.mark.slow
def test_power_on_heavy_tails():
    """At 1,000 samples of 12 sites, 40 draws each: excess kurtosis 1, 6, and none that is finite."""
    for dof in (10, 5, 3):
        assert rate(lambda seed, dof=dof: student(seed, dof), 40, Verdict.NO) >= 0.8


def test_a_nonlinearity_is_told_from_the_directions_that_a_layer_reads():
    """ReLU of 800 independent sites: each is far from Gaussian, their sums are not."""
    x = torch.randn(4000, 800, generator=generator())
    answer = ask(over_depth({"relu": x.relu()}))
    assert answer.verdicts["relu, site by site"] is Verdict.NO
    assert answer.verdicts["relu, along random directions"] is Verdict.YES


def test_clusters_and_superpositions_are_not_gaussian():
    signs = torch.randint(2, (3000, 1), generator=generator()) * 2.0 - 1
    noise = torch.randn(3000, 8, generator=generator(1))
    scale = torch.where(signs > 0, 2.0, 0.5)
    for field in (noise + 2 * signs, noise * scale):
        found = ask(over_depth({"net": field}))
        assert found.verdict is Verdict.NO
        assert found.verdicts["net, along random directions"] is Verdict.NO


def relu_family(widths, depth_share=1.0, seeds=3000):
    """One hidden ReLU layer: kurtosis 15 / n exactly."""
    outputs = {}
    for width in widths:
        g = generator(width)
        hidden = torch.randn(seeds, 3, width, dtype=torch.float64, generator=g).relu()
        outputs[width] = hidden @ (torch.randn(seeds, width, 3, dtype=torch.float64, generator=g) / width**0.5)
    return width_flow("relu", outputs)


def test_over_a_family_the_width_is_named_and_its_slope_is_minus_one():
    flow = relu_family((6, 12, 24, 48))
    answer = ask(flow, evidence=Evidence(family=flow))
    assert answer.verdict is Verdict.NO
    slope = answer.numbers["slope of width/kurtosis in width"]
    assert abs(slope.value + 1) < 4 * slope.error
    assert "Failing: width" in answer.statement
    assert ask(relu_family((600,))).verdicts["width 600, over networks"] is Verdict.YES


def test_controls_are_numbers_beside_the_answer():
    flow = over_depth(gaussian(0))
    answer = GaussianEnough().ask(flow, controls={"white noise": flow}, generator=generator())
    assert answer.controls["white noise: share not Gaussian"].value == 0
    assert answer.to_dict()["figure"]["rows"][0]["limit"] == pytest.approx(0.3)


def test_what_cannot_be_asked_is_refused():
    empty = Flow("none", Axis("depth"), (Scale(0.0, "a", measurements={"cka/similarity": Measurement(1.0, 0.0)}),))
    with pytest.raises(TooFewSamplesError, match="no cumulants"):
        ask(empty)
    for options in ({"level": 0.7}, {"tolerance": 1.5}):
        with pytest.raises(ConfigError):
            GaussianEnough(**options)
