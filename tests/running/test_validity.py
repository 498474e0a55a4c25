"""Validity: silent where the theory holds, and naming scale and slice where something else sets in."""

import numpy as np
import pytest
import torch
from families import FIELD, GROUPS, WAVES, gaussian_field, ising_ring, running_of_means
from scipy.stats import binom

from blockspin.answer import Verdict
from blockspin.couplings.base import Finding, Goodness
from blockspin.couplings.gaussian_precision import GaussianPrecision
from blockspin.ensemble import Ensemble
from blockspin.flow import Axis, Direction
from blockspin.flows.iterate import iterate
from blockspin.geometry import Chain
from blockspin.measurement import Measurement
from blockspin.running.assembled import running_of_flow
from blockspin.running.base import Running
from blockspin.running.curves import Scaling
from blockspin.running.validity import GOODNESS, WHOLE, validity
from blockspin.schemes.block_average import BlockAverage
from blockspin.sources.gaussian_field import GaussianField

SITES, SAMPLES = 32, 800


def levels(seed: int, spike: float = 0.0) -> dict:
    """Return the running of precisions under block averages on the whole and on two halves of a Gaussian field.

    With a spike, three in a hundred samples of the second half carry a dipole on two neighbouring sites, which the
    first average takes away.
    """
    generator = torch.Generator().manual_seed(seed)
    field = GaussianField(shape=(SITES,), mass=0.5).sample(SAMPLES, generator=generator)
    values = field.values.clone()
    rare = SAMPLES // 2 + torch.arange(0, SAMPLES // 2, 33)
    site = 2 * torch.randint(SITES // 2, rare.shape, generator=generator)
    values[rare, site, 0] += spike
    values[rare, site + 1, 0] -= spike
    field = Ensemble.of(values, Chain(SITES), units=torch.arange(SAMPLES))
    parts = {WHOLE: slice(None), "class 0": slice(0, SAMPLES // 2), "class 1": slice(SAMPLES // 2, None)}
    found = {}
    for name, rows in parts.items():
        part = field.select(torch.arange(SAMPLES)[rows])
        flow = iterate((part, part), BlockAverage(b=2), generator=torch.Generator(), steps=2)
        found[name] = running_of_flow(flow, GaussianPrecision(), groups=10)
    return found


def test_a_rare_fine_feature_is_found_at_its_scale_and_slice():
    found = validity(levels(0, spike=8.0))
    assert found.verdict is Verdict.NO
    fired = {(c.slice, c.scale, c.what) for c in found.checks if c.fired}
    assert ("class 1", "32 sites", GOODNESS) in fired
    assert {scale for _, scale, _ in fired} == {"32 sites"}
    assert "class 0" not in {name for name, _, _ in fired}
    assert "32 sites" in found.statement


@pytest.mark.slow
def test_it_stays_silent_on_gaussian_fields():
    fired = sum(validity(levels(seed)).verdict is not Verdict.YES for seed in range(200))
    assert fired <= binom.ppf(0.99, 200, 0.05) == 18


@pytest.mark.parametrize(
    ("seeds", "family"),
    [
        (20, "field"),
        pytest.param(200, "field", marks=pytest.mark.slow),
        pytest.param(200, "drift", marks=pytest.mark.slow),
    ],
)
def test_running_that_obeys_the_theory_raises_few_alarms(seeds, family):
    fired = 0
    for seed in range(seeds):
        if family == "field":
            fired += validity({WHOLE: gaussian_field(seed)}, FIELD).verdict is Verdict.NO
        else:
            fired += validity({WHOLE: layers(seed, None)}).verdict is Verdict.NO
    assert fired <= binom.ppf(0.99, seeds, 0.05)


def layers(seed: int, swapped: int | None, depth: int = 10):
    """Mass 1 / <x^2> of every layer of a linear network of orthogonal weights; one layer read from another network."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(400, 24)) * np.geomspace(2, 0.5, 24)

    def network(gain):
        x, read = inputs, []
        for _ in range(depth):
            x = gain * x @ np.linalg.qr(rng.normal(size=(24, 24)))[0]
            read.append((x * (1 + 0.05 * rng.normal(size=x.shape))) ** 2)
        return read

    own, other = network(0.9), network(1.0)
    if swapped is not None:
        own[swapped] = other[swapped]
    means = np.stack([x.mean(1).reshape(GROUPS, -1).mean(1) for x in own], 1)
    labels = [f"layer {k}" for k in range(depth)]
    return running_of_means(means, lambda m: 1 / m, [float("nan")] * depth, labels, "depth")


def test_a_layer_read_from_another_network_is_named():
    found = validity({WHOLE: layers(0, 6)}, Scaling())
    assert found.verdict is Verdict.NO
    assert [c.scale for c in found.checks if c.fired] == ["layer 6"]
    assert validity({WHOLE: layers(0, None)}, Scaling()).verdict is Verdict.YES


def test_a_mixture_of_two_fields_is_no_field_of_one_mass():
    def mixed(seed):
        rng = np.random.default_rng(seed)
        S = rng.exponential(size=(GROUPS, 20, len(WAVES))).mean(1)
        power = S * (0.5 / (WAVES**2 + 1e-4) + 0.5 / (WAVES**2 + 1.0))
        cuts = [len(WAVES) >> s for s in range(6)]
        return running_of_means(
            power,
            lambda P: np.array([4.0**s / P[:cut].mean() for s, cut in enumerate(cuts)]),
            np.log(2.0) * np.arange(6),
            [f"{cut} modes" for cut in cuts],
        )

    assert validity({WHOLE: mixed(0)}, FIELD).verdict is Verdict.NO


def test_a_new_scale_that_sets_in_below_the_others_is_named():
    running = gaussian_field(0)
    values = running.values.clone()
    values[0] *= 0.8  # power in the finest shell that the coarse levels do not have
    from dataclasses import replace

    found = validity({WHOLE: replace(running, values=values)}, FIELD)
    assert found.verdict is Verdict.NO
    assert found.checks[[c.fired for c in found.checks].index(True)].scale == running.labels[0]


def test_what_cannot_be_tested_is_said():
    running = ising_ring(0).select(scales=[0, 1, 2])
    found = validity({WHOLE: running})
    assert found.verdict is Verdict.CANNOT_TELL
    assert "too few" in found.untested[0]


FOUND = Finding("coupled across", "sectors are coupled", "no coupling across sectors")


def running_of_chances(*p: float) -> Running:
    """Return the running of one still coupling over scales whose goodness of fit has these chances."""
    at, score = torch.arange(len(p), dtype=torch.float64), Measurement(0.0, 1.0)
    fits = tuple(Goodness("made", score, chance) for chance in p)
    labels = tuple(f"layer {k}" for k in range(len(p)))
    values, covariance = torch.zeros(len(p), 1, dtype=torch.float64), torch.eye(len(p), dtype=torch.float64)
    axis = Axis("depth", "layers", Direction.UNKNOWN)
    return Running(axis, labels, at, at * torch.nan, ("g",), ("1",), values, covariance, 19, fits, (), "made")


@pytest.mark.parametrize(
    ("chances", "verdict", "words"),
    [
        ((0.3, 0.6, 0.9), Verdict.YES, "No coupling across sectors seen in 3 tests of scales and slices"),
        ((0.3, 1e-9, 1e-7), Verdict.NO, "Sectors are coupled from layer 1 on, most clearly at layer 1 (p ="),
        ((1e-9, 1e-8, 1e-7), Verdict.NO, "Sectors are coupled at every scale, most clearly at layer 0 (p ="),
        ((0.3, 1e-9, 0.3), Verdict.NO, "Sectors are coupled at layer 1 (p ="),
        ((1e-9, 0.5, 1e-9), Verdict.NO, "Sectors are coupled at layer 0, layer 2, most clearly at layer 0 (p ="),
    ],
)
def test_a_small_chance_may_be_a_finding(chances, verdict, words):
    found = validity({WHOLE: running_of_chances(*chances)}, finding=FOUND)
    assert found.verdict is verdict
    assert found.statement.startswith(words)
    assert "fails" not in found.statement


def test_a_finding_on_the_whole_counts_the_slices_that_have_it_too():
    slices = {WHOLE: running_of_chances(0.2, 1e-9, 1e-9), "target 1": running_of_chances(0.4, 0.4, 1e-9)}
    assert "from layer 1 on (on the whole, and on 1 slice)" in validity(slices, finding=FOUND).statement
