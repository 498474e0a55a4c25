"""Contrast: its p-values against exact laws, and what it says of flows that share their samples."""

import numpy as np
import pytest
from scipy.stats import kstest, norm
from scipy.stats import t as student

from blockspin.errors import ShapeError, TooFewSamplesError
from blockspin.running.contrast import contrast, corrected
from blockspin.running.replicas import Replicas

NAMES = ("mass", "quartic", "pair")


def means(samples: np.ndarray, names=NAMES) -> Replicas:
    """Return means over groups [groups, couplings] as couplings, with each group left out."""
    total, groups = samples.sum(0), len(samples)
    values = dict(zip(names, samples.mean(0).tolist(), strict=True))
    rest = {name: list((total[k] - samples[:, k]) / (groups - 1)) for k, name in enumerate(names)}
    return Replicas(values, rest, dict.fromkeys(names, "1"))


def fields(draws: np.random.Generator, groups=20, shift=0.0, shared=0.0):
    """Return two sets of group means that are correlated among couplings, and have a part in common."""
    mix = np.array([[1.0, 0.9, 0.0], [0.0, 0.5, 0.2], [0.0, 0.0, 1.0]])
    common = shared * draws.normal(size=(groups, 3)) @ mix
    first, second = (common + draws.normal(size=(groups, 3)) @ mix for _ in range(2))
    return means(first + shift), means(second)


def test_chances_are_uniform_where_the_flows_have_the_same_couplings():
    draws = np.random.default_rng(0)
    chances = [contrast("a", *fields(draws, shared=2.0)).p_value for _ in range(400)]
    assert kstest(chances, "uniform").pvalue > 0.01


def test_one_coupling_is_student_s_test_of_paired_groups():
    draws = np.random.default_rng(1)
    first, second = draws.normal(size=(2, 12, 1))
    difference = first - second
    z = difference.mean() / (difference.std(ddof=1) / 12**0.5)
    found = contrast("a", means(first, ("mass",)), means(second, ("mass",)))
    assert found.deviation == pytest.approx(z)
    assert found.p_value == pytest.approx(two_sided(z, 11))


def two_sided(z: float, dof: int) -> float:
    return 2 * student.sf(abs(z), dof)


def test_what_samples_have_in_common_does_not_hide_a_difference():
    first, second = fields(np.random.default_rng(2), shift=3.0, shared=100.0)
    (found,) = corrected([contrast("layer", first, second)])
    assert found.differs()
    assert found.p_value < 1e-4
    assert found.couplings == 3


def test_a_difference_along_a_direction_that_hardly_varies_is_seen():
    """No coupling by itself is off by two errors, but two of them move together and their difference does not."""
    draws = np.random.default_rng(3)
    common, small = draws.normal(size=(20, 1)), draws.normal(size=(20, 2)) / 100
    first = means(common + small + [0.1, 0.0], ("mass", "pair"))
    found = contrast("a", first, means(np.zeros((20, 2)), ("mass", "pair")))
    assert abs(found.deviation) < norm.isf(0.005)
    assert found.p_value < 1e-6


def test_many_couplings_count_one_by_one():
    draws = np.random.default_rng(4)
    names = tuple(map(str, range(15)))
    chances = [
        contrast("a", *(means(draws.normal(size=(20, 15)), names) for _ in range(2))).p_value for _ in range(300)
    ]
    for level in (0.05, 0.5):  # the least of fifteen independent p-values, within four standard errors
        expected = 1 - (1 - level / 15) ** 15
        error = (expected * (1 - expected) / len(chances)) ** 0.5
        assert abs(np.mean(np.array(chances) < level) - expected) < 4 * error


def test_what_is_known_without_error_is_the_same_or_not():
    flat = np.zeros((5, 1))
    assert contrast("a", means(flat, ("mass",)), means(flat, ("mass",))).p_value == 1.0
    assert contrast("a", means(flat + 1, ("mass",)), means(flat, ("mass",))).p_value == 0.0


def test_couplings_that_one_flow_lacks_are_left_out():
    first, second = fields(np.random.default_rng(5))
    short = Replicas({"pair": second.values["pair"]}, {"pair": second.replicas["pair"]}, {"pair": "1"})
    assert contrast("a", first, short).couplings == 1
    with pytest.raises(TooFewSamplesError, match="exists in both"):
        contrast("a", first, Replicas(reason="refused"))


def test_groups_must_agree_and_suffice():
    draws = np.random.default_rng(6)
    with pytest.raises(ShapeError, match="groups"):
        contrast("a", means(draws.normal(size=(5, 3))), means(draws.normal(size=(6, 3))))
    with pytest.raises(TooFewSamplesError, match="at least three"):
        contrast("a", means(draws.normal(size=(2, 3))), means(draws.normal(size=(2, 3))))


def test_all_contrasts_are_counted():
    draws = np.random.default_rng(7)
    rows = corrected(contrast(str(k), *fields(draws)) for k in range(10))
    least = min(rows, key=lambda row: row.p_value)
    assert least.adjusted == pytest.approx(min(1.0, 10 * least.p_value))
