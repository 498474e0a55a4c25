"""Error bars: intervals cover the truth as often as they say, and what breaks them is shown to."""

import pytest
import torch
from scipy.stats import binom

from blockspin import Ensemble, GaussianLaw, Unordered
from blockspin.engine.base import Task
from blockspin.engine.errorbars import halves, jackknife, leave_one_out, measure_error, merged
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.errors import TooFewSamplesError
from blockspin.observables.base import accumulate, gram_of
from blockspin.observables.cka import Cka, debiased_cka
from blockspin.observables.covariance import Covariance, Moments
from blockspin.observables.cumulants import Cumulants
from blockspin.observables.gram import Gram
from blockspin.observables.participation_ratio import ParticipationRatio

SEEDS = 200
SPECTRUM = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.25, 0.1], dtype=torch.float64)
LAW = GaussianLaw.of(torch.diag(SPECTRUM), Unordered(6), mean=torch.ones(6, 1))
TRUTH = {
    "covariance/variance": float(SPECTRUM.sum()),
    "participation-ratio/debiased": float(SPECTRUM.sum() ** 2 / SPECTRUM.square().sum()),
    "cumulants/skewness": 0.0,
    "cumulants/kurtosis": 0.0,
    "cumulants/fourth_order": 0.0,
}


def read(fields, estimators, groups=20):
    names = tuple(fields)
    tasks = [Task(estimator, names[: estimator.monoid.inputs]) for estimator in estimators]
    reading = EnsemblePass.of(fields, groups=groups)
    return measure(reading, tasks, executor=Serial(), store=None, generator=torch.Generator().manual_seed(0))


def covered(measurements, truth, level):
    """How many intervals hold the truth."""
    intervals = [m.interval(level) for m in measurements]
    return sum(low <= truth <= high for low, high in intervals)


def assert_covers(measurements, truth):
    """Within the bounds that a binomial count leaves in all but 2 of 1,000 cases."""
    for level in (0.6827, 0.95):
        low, high = binom.ppf([0.001, 0.999], len(measurements), level)
        assert low <= covered(measurements, truth, level) <= high, (level, covered(measurements, truth, level))


@pytest.fixture(scope="module")
def jackknifed():
    rows = []
    for seed in range(SEEDS):
        sample = LAW.sample(600, generator=torch.Generator().manual_seed(seed))
        measured = read({"x": sample}, [Covariance(), ParticipationRatio(), Cumulants()])
        rows.append(measured.measurements()[("x",)])
    return rows


@pytest.mark.parametrize("quantity", sorted(TRUTH))
@pytest.mark.slow
def test_jackknife_covers(jackknifed, quantity):
    assert_covers([row[quantity] for row in jackknifed], TRUTH[quantity])


def test_jackknife_of_a_mean_is_the_textbook_error():
    """Twenty groups of equal size: the error is the standard deviation of the group means over sqrt(20)."""
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = [accumulate(Moments(), Ensemble.of(part)) for part in x.split(20)]

    class Mean(Covariance):
        def value(self, state):
            return {"variance": state["mean"].sum()}

    found = jackknife(Mean(), states)["variance"]
    assert found.error == pytest.approx(float(x.reshape(20, 20).mean(1).std()) / 20**0.5, rel=1e-10)
    assert (found.dof, found.n_eff) == (19, 400)


def linked(seed, samples=200):
    """Two Gaussian fields with a known similarity: y = x on three of five sites, noise on the others."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 5, generator=generator) * torch.tensor([2.0, 1.5, 1.0, 1.0, 0.5])
    y = torch.cat([x[:, :3], torch.randn(samples, 4, generator=generator)], dim=1)
    first = Ensemble.of(x)
    return {"x": first, "y": first.with_values(y[:, :, None], Unordered(7))}


def population_similarity():
    a = torch.tensor([2.0, 1.5, 1.0, 1.0, 0.5], dtype=torch.float64).square()
    b = torch.cat([a[:3], torch.ones(4, dtype=torch.float64)])
    return float(a[:3].square().sum() / (a.square().sum() * b.square().sum()).sqrt())


@pytest.mark.slow
def test_halves_cover_for_debiased_cka():
    found = [read(linked(seed), [Cka()]).measurements()[("x", "y")]["cka/similarity"] for seed in range(SEEDS)]
    assert_covers(found, population_similarity())


def test_halves_of_groups_agree_with_the_jackknife():
    sample = LAW.sample(4000, generator=torch.Generator().manual_seed(0))
    states = read({"x": sample}, [Covariance()], groups=40).group_states(Task(Covariance(), ("x",)))
    first = jackknife(Covariance(), states)["variance"]
    second = halves(Covariance(), states, generator=torch.Generator().manual_seed(0))["variance"]
    assert second.value == first.value
    assert second.error == pytest.approx(first.error, rel=4 / (2 * 99) ** 0.5)


def test_an_odd_number_of_units_is_put_right():
    """Halves of 2 out of 5 scatter by sqrt(3 / 2) too much."""
    x = torch.tensor([0.0, 1.0, 3.0, 4.0, 9.0], dtype=torch.float64)

    class Mean(Gram):
        def value(self, state):
            return {"effective_rank": state["first"].mean()}

    state = accumulate(Mean().monoid, Ensemble.of(x[:, None], units=torch.arange(5)))
    found = halves(Mean(), [state], generator=torch.Generator().manual_seed(0), count=4000)["effective_rank"]
    assert found.error == pytest.approx(float(x.std()) / 5**0.5, rel=0.05)


def test_with_replacement_the_diagonal_comes_back():
    """Independent features read 0 in halves without replacement and about 0.2 in a bootstrap."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(200, 50, generator=generator, dtype=torch.float64) for _ in range(2))
    drawn = [torch.randint(200, (200,), generator=generator) for _ in range(50)]
    bootstrap = torch.stack([debiased_cka(gram_of(x[rows]), gram_of(y[rows])) for rows in drawn])
    first = Ensemble.of(x)
    fields = {"x": first, "y": first.with_values(y[:, :, None])}
    ours = read(fields, [Cka()]).measurements()[("x", "y")]["cka/similarity"]
    assert float(bootstrap.mean()) == pytest.approx(0.2, abs=0.03)
    assert abs(ours.value) < 4 * ours.error
    assert ours.error < 0.05


def tokens(seed, by_passage):
    """Ten almost equal tokens a passage, as a unit together or each on its own."""
    generator = torch.Generator().manual_seed(seed)
    passage = torch.randn(200, 1, 3, generator=generator).expand(200, 10, 3)
    values = (passage + 0.1 * torch.randn(200, 10, 3, generator=generator)).reshape(2000, 3)
    return Ensemble.of(values, units=torch.arange(2000) // (10 if by_passage else 1))


@pytest.mark.slow
def test_units_matter():
    """Tokens of a passage are not independent: grouped one by one they claim an error about 3 times too small."""
    found = {}
    for by_passage in (True, False):
        rows = [read({"x": tokens(s, by_passage)}, [Covariance()]).measurements()[("x",)] for s in range(60)]
        variances = [row["covariance/variance"] for row in rows]
        spread = float(torch.tensor([m.value for m in variances]).std())
        found[by_passage] = sum(m.error for m in variances) / 60 / spread
    assert found[True] == pytest.approx(1, abs=0.25)
    assert found[False] < 0.5


def test_n_eff_counts_units():
    row = read({"x": tokens(0, True)}, [Covariance()]).measurements()[("x",)]
    assert row["covariance/variance"].n_eff == pytest.approx(200)


def test_leave_one_out_leaves_one_out():
    parts = [
        accumulate(Moments(), Ensemble.of(x))
        for x in torch.rand(7, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ]
    for i, rest in enumerate(leave_one_out(Moments(), parts)):
        expected = merged(Moments(), parts[:i] + parts[i + 1 :])
        torch.testing.assert_close(rest, expected, rtol=1e-12, atol=1e-12)


def test_an_empty_group_is_refused_by_name():
    sample = LAW.sample(12, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TooFewSamplesError, match="hold no unit"):
        read({"x": sample}, [Covariance()]).measurements()


def test_one_group_is_refused_by_name():
    sample = LAW.sample(12, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TooFewSamplesError, match="give no error bar"):
        jackknife(Covariance(), [accumulate(Moments(), sample)])


def test_three_units_cannot_be_halved():
    with pytest.raises(TooFewSamplesError, match="halved"):
        read(linked(0, samples=3), [Cka()], groups=2).measurements()


def test_a_quantity_missing_from_a_replica_gets_no_error():
    class Sometimes(Covariance):
        def value(self, state):
            return {"variance": state["weight"]} if float(state["weight"]) > 550 else {}

    sample = LAW.sample(600, generator=torch.Generator().manual_seed(0))
    states = read({"x": sample}, [Covariance()], groups=4).group_states(Task(Covariance(), ("x",)))
    found = jackknife(Sometimes(), states)["variance"]
    assert found.error != found.error
    assert "not defined" in found.how


def test_the_error_bar_is_chosen_by_the_estimator():
    sample = LAW.sample(600, generator=torch.Generator().manual_seed(0))
    measured = read({"x": sample}, [Covariance(), Gram(limit=50)])
    generator = torch.Generator().manual_seed(0)
    for estimator, how in ((Covariance(), "jackknife"), (Gram(limit=50), "without replacement")):
        states = measured.group_states(Task(estimator, ("x",)))
        assert all(how in m.how for m in measure_error(estimator, states, generator=generator).values())
