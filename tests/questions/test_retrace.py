import json
import math

import pytest
import torch
from questions.worlds import Turning
from scipy.stats import binom

from blockspin import Verdict
from blockspin.errors import AlignmentError
from blockspin.observables.base import gram_of, u_inner
from blockspin.questions._curve import nearest, point_radii, segment_distance
from blockspin.questions._products import half_masks, products
from blockspin.questions.retrace import Retrace

FAST = Retrace(halves=40)


def ask(world, *features, question=FAST, controls=None, flow=None):
    generator = torch.Generator().manual_seed(1)
    return question.ask(flow or world.flow(), world.levels(*features), controls=controls or {}, generator=generator)


def excess(answer, level=1):
    return answer.numbers[f"level {level}: D"]


def test_closed_form_equals_a_search_over_the_segment():
    a, b, r = (torch.tensor(x, dtype=torch.float64) for x in (0.7, 0.85, 0.8))
    t = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    distance = 1 - ((1 - t) * a + t * b) / ((1 - t) ** 2 + t**2 + 2 * t * (1 - t) * r).sqrt()
    found, place = segment_distance(a, b, r)
    assert float(found) == pytest.approx(float(distance.min()), abs=1e-9)
    assert float(place) == pytest.approx(float(t[distance.argmin()]), abs=1e-4)


def test_a_segment_whose_interior_is_a_maximum_is_met_at_an_end():
    found, place = segment_distance(*(torch.tensor(x, dtype=torch.float64) for x in (-0.5, -0.2, 0.3)))
    assert (float(found), float(place)) == (pytest.approx(1.2), 1.0)


def test_products_on_halves_equal_the_estimator_on_smaller_kernels():
    world = Turning(60, 0)
    ensembles = [world.ensemble(f) for f in (world.u, world.features(0.5), world.noise())]
    masks = half_masks(ensembles[0].units, 3, generator=torch.Generator().manual_seed(0))
    similarity = products(ensembles, [(0, 1), (0, 2), (1, 2)], masks).similarity()
    for h, mask in enumerate(masks):
        K, L = (gram_of(ensembles[i].values[mask]) for i in (0, 1))
        slow = u_inner(K, L) / (u_inner(K, K) * u_inner(L, L)).sqrt()
        assert float(similarity[h, 0, 1]) == pytest.approx(float(slow), abs=1e-5)


def test_the_radius_is_sixteen_times_the_error_of_interpolation():
    """The miss of a chord grows as the square of the step, and the distance as the square of the miss."""
    world = Turning(800, 0)
    flow, between = world.flow(), world.features(1.2 * 3.5 / 8)
    ensembles = [*(scale.ensemble for scale in flow), world.ensemble(between)]
    every = [(i, j) for i in range(10) for j in range(i)]
    masks = half_masks(ensembles[0].units, 2, generator=torch.Generator().manual_seed(0))
    similarity = products(ensembles, every, masks).similarity()
    own = float(point_radii(similarity, list(range(9)))[0, 3])
    error = float(nearest(similarity, 9, list(range(9))).distance[0])
    assert 14 < own / error < 18


def test_a_withheld_level_is_inside_and_found_where_it_was():
    answer = ask(Turning(400, 0), Turning(400, 0).features(1.2 * 5.3 / 8))
    assert answer.verdict is Verdict.YES
    assert answer.numbers["level 1: position on the flow"].value == pytest.approx(5.3, abs=0.1)


def test_planted_loss_and_planted_addition_land_in_their_parts():
    world = Turning(400, 0)
    less, more = world.features(0.8)[:, :20], torch.cat([world.features(0.8), world.noise()], 1)
    answer = ask(world, less, more)
    assert [v for v in answer.verdicts.values()] == [Verdict.NO, Verdict.NO]
    number = {key: m.value for key, m in answer.numbers.items()}
    assert number["level 1: lost"] > 0.4 > 0.05 > number["level 1: added"]
    assert number["level 2: added"] > 0.4 > 0.05 > number["level 2: lost"]


@pytest.mark.parametrize("change", ["noise", "permuted"])
def test_levels_with_nothing_of_the_flow_are_outside(change):
    world = Turning(300, 0)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(4))
    answer = ask(world, world.noise() if change == "noise" else world.features(0.8)[order])
    assert answer.verdict is Verdict.NO
    assert excess(answer).value > 0.9


def test_controls_are_measured_as_other_levels_and_as_other_curves():
    world, other = Turning(200, 0), Turning(200, 7)
    curve = other.flow()
    ensembles = {
        label: world.ensemble(s.ensemble.values[:, :, 0]) for label, s in zip(curve.labels, curve, strict=True)
    }
    from blockspin.flows.depth import depth_flow

    controls = {"white noise": world.levels(world.noise()), "another network": depth_flow("other", ensembles)}
    answer = ask(world, world.features(0.5), controls=controls)
    assert answer.controls["another network: D at level 1"].value > 0.8
    assert answer.controls["white noise: D at level 1"].value > 0.8


def test_too_few_inner_points_cannot_tell():
    world = Turning(100, 0)
    answer = ask(world, world.features(0.5), flow=world.flow(points=4))
    assert answer.verdict is Verdict.CANNOT_TELL
    assert "inner points" in answer.statement


def test_a_constant_level_cannot_be_told():
    world = Turning(100, 0)
    answer = ask(world, torch.ones(100, 3))
    assert answer.verdicts["level 1"] is Verdict.CANNOT_TELL


def test_points_over_other_inputs_are_refused():
    world, other = Turning(100, 0), Turning(90, 1)
    with pytest.raises(AlignmentError):
        FAST.ask(world.flow(), other.levels(other.u), controls={}, generator=torch.Generator())


def test_answers_are_the_same_bytes_and_do_not_depend_on_the_order_of_samples():
    world = Turning(120, 0)
    level = world.features(0.6)[:, :30]
    one, two = (json.dumps(ask(world, level).to_dict(), allow_nan=False) for _ in range(2))
    assert one == two
    shuffled = world.levels(level)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(2))
    scales = tuple(type(s)(s.position, s.label, 0.0, s.ensemble.select(order)) for s in shuffled)
    moved = FAST.ask(
        world.flow(),
        type(shuffled)("x", shuffled.axis, scales),
        controls={},
        generator=torch.Generator().manual_seed(1),
    )
    assert excess(moved).value == pytest.approx(excess(ask(world, level)).value, abs=1e-5)


STEP = 1.2 / 8
RADIUS = 1 - math.cos(STEP) ** 2 / math.sqrt((1 + math.cos(2 * STEP) ** 2) / 2)
"""Of the tube around the turning flow, in the limit of many samples: points s, s' are similar by cos(s - s')^2."""


def off_the_flow(world: Turning, radii: float) -> torch.Tensor:
    """A point of the flow with independent features beside it, so many radii away from the curve.

    Independent features of share q in the squared norm of a kernel lower its similarity to sqrt(1 - q).
    """
    similarity = 1 - radii * RADIUS
    weight = (1 / similarity**2 - 1) ** 0.25
    return torch.cat([world.features(1.2 * 4 / 8), weight * world.noise()], 1)


@pytest.mark.slow
def test_power_grows_with_the_distance_from_the_tube():
    outside = []
    for radii in (1, 2, 4):
        answers = [ask(w, off_the_flow(w, radii)) for w in (Turning(300, seed) for seed in range(20))]
        outside.append(sum(a.verdicts["level 1"] is Verdict.NO for a in answers))
    assert outside == sorted(outside)
    assert outside[2] >= 18


@pytest.mark.slow
def test_a_point_inside_is_called_outside_no_more_often_than_nominal():
    false = sum(
        ask(w, w.features(1.2 * 4.5 / 8)).verdicts["level 1"] is Verdict.NO
        for w in (Turning(120, seed) for seed in range(200))
    )
    assert false <= 18


@pytest.mark.slow
def test_a_point_on_the_tube_is_called_outside_no_more_often_than_nominal():
    """The population's D is zero: at 5 %, one-sided, at most 18 of 200 are significantly no more than 10."""
    false = sum(
        ask(w, off_the_flow(w, 1)).verdicts["level 1"] is Verdict.NO
        for w in (Turning(150, seed) for seed in range(200))
    )
    assert false <= 18


@pytest.mark.slow
def test_the_error_of_the_excess_covers_its_value_on_many_samples():
    """The level is a fixed subset of features, whose D on 2,500 samples stands for the truth."""
    big = Turning(2500, 999)
    truth = excess(ask(big, big.features(0.8)[:, :28])).value
    covered = 0
    for seed in range(200):
        world = Turning(150, seed)
        found = excess(ask(world, world.features(0.8)[:, :28]))
        low, high = found.interval(0.68)
        covered += low <= truth <= high
    assert binom.ppf(0.001, 200, 0.68) <= covered <= binom.ppf(0.999, 200, 0.68)
