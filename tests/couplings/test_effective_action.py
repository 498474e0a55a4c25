"""The effective action recovers couplings that are known, from gradients that a slow twin takes by differentiation."""

import json
from itertools import combinations
from math import factorial

import pytest
import torch
from grouped import covered, group_states, within_binomial

from blockspin.couplings._frame import Frame
from blockspin.couplings._lattice_basis import LatticeBasis
from blockspin.couplings._mode_basis import ModeBasis
from blockspin.couplings._score_sums import ScoreSums
from blockspin.couplings.effective_action import EffectiveAction
from blockspin.couplings.gaussian_precision import GaussianPrecision
from blockspin.engine.base import Task
from blockspin.engine.errorbars import jackknife
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, FitFailedError, GeometryError, ShapeError, TooFewSamplesError
from blockspin.geometry import Chain, Graph, Grid, Tree, Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member

RING = Chain(8)
GEOMETRIES = [
    RING,
    Chain(6, periodic=False),
    Grid((3, 4)),
    Tree(2, 3),
    Graph(5, torch.tensor([[0, 1], [1, 2], [1, 3]])),
]
LATTICE = ("linear", "mass", "pair[1]", "cubic", "quartic", "sextic", "pair[2]")
FAMILIES = ("linear", "mass", "pair", "cubic", "skew", "quartic", "product", "sextic")


def drawn(law: GaussianLaw, samples: int, seed: int) -> Ensemble:
    return law.sample(samples, generator=torch.Generator().manual_seed(seed))


def ring_law(sites: int = 8, coupling: float = -0.4) -> GaussianLaw:
    near = (Chain(sites).distances() == 1).to(torch.float64)
    return GaussianLaw.of(torch.linalg.inv(torch.eye(sites, dtype=torch.float64) + coupling * near), Chain(sites))


# --- the slow twin ----------------------------------------------------------------------------------------------------


def operator(geometry, name):
    """An operator of the lattice as a function of the field, written down from its definition."""
    r = torch.round(geometry.distances(), decimals=9)
    shells = torch.unique(r[(r > 0) & r.isfinite()])
    powers = {"linear": 1, "mass": 2, "cubic": 3, "quartic": 4, "sextic": 6}
    pairs = list(combinations(range(geometry.sites), 2))
    if name in powers:
        return lambda x: (x ** powers[name]).sum() / factorial(powers[name])
    if name == "gradient":
        return lambda x: sum((x[i] - x[j]) ** 2 / 2 for i, j in pairs if r[i, j] == shells[0])
    shell = shells[int(name[5:-1]) - 1]
    return lambda x: sum(x[i] * x[j] for i, j in pairs if r[i, j] == shell)


def mode_operators(modes):
    found = []
    for name in FAMILIES:
        if name in ("pair", "product"):
            power, factor = (1, 1) if name == "pair" else (2, 4)
            found += [
                lambda y, i=i, j=j, p=power, f=factor: y[i] ** p * y[j] ** p / f
                for i, j in combinations(range(modes), 2)
            ]
        elif name == "skew":
            ordered = list(combinations(range(modes), 2))
            found += [lambda y, i=i, j=j: y[i] ** 2 * y[j] / 2 for i, j in [*ordered, *((j, i) for i, j in ordered)]]
        else:
            p = {"linear": 1, "mass": 2, "cubic": 3, "quartic": 4, "sextic": 6}[name]
            found += [lambda y, k=k, p=p: y[k] ** p / factorial(p) for k in range(modes)]
    return found


def twin(operators, fields, weights, P):
    """A and b from gradients and Hessians by automatic differentiation, one sample at a time."""
    A, b = 0, 0
    for x, w in zip(fields, weights, strict=True):
        G = torch.stack([torch.autograd.functional.jacobian(o, x) for o in operators])
        H = [torch.autograd.functional.hessian(o, x) for o in operators]
        A = A + w * G @ P @ G.T
        b = b + w * torch.stack([(P * h).sum() for h in H])
    return A, b


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: f"{type(g).__name__}{g.sites}")
def test_sums_on_a_lattice_are_those_of_the_slow_twin(geometry, singular, generator):
    values = torch.randn(16, geometry.sites, dtype=torch.float64, generator=generator) + 0.3
    values = values - values.mean(1, keepdim=True) if singular else values
    weights = torch.rand(16, dtype=torch.float64, generator=generator) + 0.5
    ensemble = Ensemble.of(values, geometry, weights=weights)
    frame = Frame.of(ensemble)
    assert frame.rank == geometry.sites - singular
    names = (*LATTICE[:6], "gradient") if geometry.sites == 5 else (*LATTICE, "gradient")
    state = accumulate(ScoreSums(LatticeBasis(geometry, names, frame)), ensemble, size=5)
    A, b = twin([operator(geometry, n) for n in names], values, weights, frame.modes @ frame.modes.T)
    torch.testing.assert_close(state["products"].sum(0), A, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(state["laplacians"].sum(0), b, rtol=1e-6, atol=1e-9)


def test_sums_of_modes_are_those_of_the_slow_twin(generator):
    ensemble = Ensemble.of(torch.randn(20, 3, 2, dtype=torch.float64, generator=generator).exp())
    frame = Frame.of(ensemble)
    state = accumulate(ScoreSums(ModeBasis(frame, 3, FAMILIES)), ensemble)
    y = (ensemble.values.flatten(1) - frame.mean) @ frame.modes[:, :3] / frame.deviations[:3]
    A, b = twin(mode_operators(3), y, torch.ones(20), torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(state["products"].sum(0), A, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(state["laplacians"].sum(0), b, rtol=1e-9, atol=1e-9)


def test_the_derivative_is_the_sum_over_waves(generator):
    geometry = Grid((4, 3))
    x = torch.randn(1, 12, dtype=torch.float64, generator=generator)
    M = LatticeBasis(geometry, ("derivative",)).matrix("derivative")
    k = [2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in (4, 3)]
    waves = torch.fft.fftn(x.reshape(4, 3), norm="ortho").abs().square()
    expected = (waves * (k[0][:, None] ** 2 + k[1] ** 2)).sum()
    torch.testing.assert_close((x @ M @ x.T)[0, 0], expected)


# --- known answers ----------------------------------------------------------------------------------------------------


def test_the_mass_alone_is_the_inverse_of_the_mean_square(generator):
    field = Ensemble.of(3 * torch.randn(100, 8, dtype=torch.float64, generator=generator), RING)
    found = evaluate(EffectiveAction(RING, operators=("mass",), tested=()), field)
    assert float(found["mass"] * field.values.square().mean()) == pytest.approx(1, abs=1e-13)


def test_it_is_exact_on_a_gaussian_law_with_a_mean():
    law = GaussianLaw.of(ring_law().covariance, RING, torch.full((8, 1), 0.7))
    action = EffectiveAction(
        RING, operators=("linear", "mass", "pair[1]", "cubic", "quartic"), tested=("sextic", "pair[2]")
    )
    found = action.value(action.sums_of_law(law))
    expected = {"linear": -0.7 * 0.2, "mass": 1.0, "pair[1]": -0.4, "cubic": 0.0, "quartic": 0.0}
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-8)  # (ridge times condition number)^2
    assert action.goodness(action.sums_of_law(law), action.sums_of_law(law)).p_value is None


def test_sums_of_a_law_are_those_of_many_samples():
    law = GaussianLaw.of(ring_law().covariance, RING, torch.linspace(-1, 1, 8)[:, None])
    action = EffectiveAction.on(law, operators=LATTICE, tested=("gradient",), about_mean=False)
    states = [accumulate(action.monoid, drawn(law, 20_000, seed)) for seed in range(5)]
    exact = action.sums_of_law(law)
    for key in ("products", "laplacians"):
        parts = torch.stack([state[key].sum(0) / state["weight"] for state in states])
        error = parts.std(0) / 5**0.5
        assert bool(((parts.mean(0) - exact[key].sum(0)).abs() <= 8.6 * error + 1e-9).all())  # t of 4 dof at 1e-3


def test_pair_couplings_are_the_precision_by_distance():
    law = ring_law()
    samples = drawn(law, 4000, 0)
    names = ("mass", "pair[1]", "pair[2]", "pair[3]", "pair[4]")
    found = evaluate(EffectiveAction(RING, operators=names, tested=()), samples)
    about_zero = samples.values[:, :, 0].double()
    C = about_zero.T @ about_zero / len(about_zero)
    circulant = torch.stack([torch.stack([C[i, (i + k) % 8] for i in range(8)]).mean() for k in range(8)])
    spectrum = torch.fft.fft(circulant).real
    inverse = torch.fft.ifft(1 / spectrum).real  # the precision of the translation-invariant theory
    assert [float(found[name]) for name in names] == pytest.approx(inverse[:5].tolist(), abs=1e-5)
    beside = evaluate(GaussianPrecision(geometry=RING), samples)
    assert [float(found[name]) for name in names[1:]] == pytest.approx(beside["coupling"].tolist(), abs=0.02)


def test_an_anharmonic_site_is_recovered_by_quadrature():
    x = torch.linspace(-5, 5, 4001, dtype=torch.float64)
    weight = torch.exp(-(0.3 * x - 0.8 * x**2 / 2 + 0.2 * x**3 / 6 + 2 * x**4 / 24))
    law = EnumeratedLaw.of(x[:, None, None], weight, Chain(1))
    action = EffectiveAction(Chain(1), operators=("linear", "mass", "cubic", "quartic"), tested=("sextic",))
    found = evaluate(action, law)
    assert [float(found[k]) for k in action.operators] == pytest.approx([0.3, -0.8, 0.2, 2.0], abs=1e-9)


def test_modes_recover_a_coupled_pair():
    """Two coordinates with a product term, by quadrature on a grid rotated into the sites of a field."""
    x = torch.linspace(-4.5, 4.5, 121, dtype=torch.float64)
    u, v = (axis.reshape(-1) for axis in torch.meshgrid(x, x, indexing="ij"))
    weight = torch.exp(-(u**2 / 2 + 2 * v**2 / 2 + 0.6 * u**2 * v**2 / 4 + 0.5 * u**4 / 24))
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    law = EnumeratedLaw.of((torch.stack([u, v], 1) @ turn)[:, :, None], weight, Unordered(2))
    action = EffectiveAction.on(law, modes=2)
    found, s = evaluate(action, law), action.frame.deviations
    assert found["mass"].tolist() == pytest.approx((torch.tensor([1.0, 2.0]) * s**2).tolist(), abs=1e-6)
    assert float(found["product"]) == pytest.approx(float(0.6 * s[0] ** 2 * s[1] ** 2), abs=1e-6)
    assert found["quartic"].tolist() == pytest.approx([float(0.5 * s[0] ** 4), 0], abs=1e-6)


def test_a_singular_field_is_matched_within_its_support():
    samples = drawn(ring_law(), 4000, 0)
    centred = samples.with_values(samples.values - samples.values.mean(1, keepdim=True))
    with pytest.raises(FitFailedError, match="rank 7 on 8 sites"):
        evaluate(EffectiveAction(RING), centred)
    fit_half, held_out = centred.halves()
    action = EffectiveAction.on(fit_half)
    found = jackknife(action, group_states(action, held_out, chain=False))
    assert float(found["rank"].value) == 7
    for name, expected in {"mass": 0.2, "gradient": 0.4, "quartic": 0.0}.items():
        assert abs(found[name].value - expected) < 4 * found[name].error
    with pytest.raises(FitFailedError, match="leave the support"):
        evaluate(action, samples)


def test_the_couplings_of_a_quartic_lattice_field_are_recovered():
    source = member("sources", "phi4")(shape=(6, 6), hopping=0.2, coupling=0.5, chains=100, burn_in=40, sweeps=3)
    field = source.sample(3000, generator=torch.Generator().manual_seed(1))
    action = EffectiveAction(field.geometry)
    found = jackknife(action, group_states(action, field, chain=True))
    for name, expected in {"mass": 2 * (1 - 2 * 0.5 - 4 * 0.2), "gradient": 0.4, "quartic": 12.0}.items():
        assert abs(found[name].value - expected) < 4 * found[name].error
    assert found["quartic"].error < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mass", "gradient", "quartic"])
def test_intervals_cover_the_exact_couplings(name):
    law, action = ring_law(), EffectiveAction(RING)

    def interval(seed: int) -> tuple[float, float]:
        return jackknife(action, group_states(action, drawn(law, 400, seed), chain=False))[name].interval(0.9)

    count = covered(interval, {"mass": 0.2, "gradient": 0.4, "quartic": 0.0}[name])
    assert 170 <= count <= 190, count


# --- the state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framed", [False, True])
def test_parts_merge_to_the_whole(framed):
    samples = drawn(ring_law(), 101, 0)
    action = EffectiveAction.on(samples) if framed else EffectiveAction(RING)
    parts = [accumulate(action.monoid, samples.select(i)) for i in torch.arange(101).tensor_split([7, 40])]
    merged = action.monoid.merge(action.monoid.merge(parts[0], parts[1]), action.monoid.merge({}, parts[2]))
    whole = accumulate(action.monoid, samples)
    assert merged.keys() == whole.keys()
    for key, tensor in merged.items():
        torch.testing.assert_close(tensor, whole[key], rtol=1e-5, atol=1e-5 * float(action.monoid.scale(whole, key)))


def test_a_weight_counts_as_so_many_samples():
    samples = drawn(ring_law(), 50, 0)
    double = Ensemble.of(samples.values, RING, weights=torch.full((50,), 2.0))
    twice = Ensemble.of(torch.cat([samples.values] * 2), RING)
    first, second = (accumulate(EffectiveAction(RING).monoid, e) for e in (double, twice))
    torch.testing.assert_close(first["products"].sum(0), second["products"].sum(0), rtol=1e-5, atol=1e-4)


def test_the_engine_gives_the_numbers_of_the_groups_in_memory(generator):
    samples = drawn(ring_law(), 600, 0)
    fit_half, held_out = samples.halves()
    action = EffectiveAction.on(fit_half)
    reading = EnsemblePass.of({"field": held_out}, batch=64)
    found = measure(
        reading, [Task(action, ("field",))], executor=member("engine", "serial")(), store=None, generator=generator
    )
    direct = jackknife(action, group_states(action, held_out, chain=False))
    for name, number in found.measurement(found.tasks[0]).items():
        assert number.value == pytest.approx(direct[name].value, rel=1e-5)
        assert number.error == pytest.approx(direct[name].error, rel=1e-2, abs=1e-12)


@pytest.mark.slow
def test_workers_give_the_same_bytes():
    reading = EnsemblePass.of({"field": drawn(ring_law(), 600, 0)}, batch=64, shards_per_group=2)
    task = Task(EffectiveAction.on(ring_law()), ("field",))

    def rows(executor):
        generator = torch.Generator().manual_seed(0)
        found = measure(reading, [task], executor=executor, store=None, generator=generator).measurement(task)
        return json.dumps({key: number.to_dict() for key, number in found.items()})

    assert rows(member("engine", "process")(workers=2)) == rows(member("engine", "serial")())


# --- goodness ---------------------------------------------------------------------------------------------------------


def goodness(action: EffectiveAction, samples: Ensemble):
    fitted, held_out = (accumulate(action.monoid, half) for half in samples.halves())
    return action.goodness(fitted, held_out)


def test_p_values_reject_a_true_action_no_more_often_than_they_say():
    action = EffectiveAction(RING, tested=("pair[2]", "sextic"))
    rejected = sum(goodness(action, drawn(ring_law(), 300, seed)).p_value < 0.05 for seed in range(60))
    assert within_binomial(rejected, 60, 0.05)


def test_a_missing_operator_is_found_out():
    action = EffectiveAction(RING, operators=("mass",), tested=("gradient", "quartic"))
    assert goodness(action, drawn(ring_law(), 2000, 0)).p_value < 1e-6


def test_the_score_is_the_exact_gain_over_the_mass_alone():
    law, action = ring_law(), EffectiveAction(RING, operators=("mass", "gradient"), tested=())
    score = goodness(action, drawn(law, 20_000, 0)).score
    # the objective of the true precision A is -tr A / 2, of the mass m alone -D m / 2, m = 1 / <x^2>
    m = float(1 / law.covariance.diagonal().mean())
    assert abs(score.value - (1 - m) / m) < 4 * score.error
    assert goodness(EffectiveAction(RING, operators=("mass",), tested=()), drawn(law, 200, 0)).score.unit == "field^-2"


def test_the_objective_of_a_law_is_exact():
    action = EffectiveAction(RING, operators=("mass", "gradient"), tested=())
    state = action.sums_of_law(ring_law())
    assert action.objective(state, state).value == pytest.approx(-4.0, abs=1e-12)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"operators": ()},
        {"operators": ("mess",)},
        {"operators": ("mass", "mass")},
        {"ridge": 0.0},
        {"about_mean": True},
    ],
)
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ConfigError):
        EffectiveAction(RING, **options)


def test_operators_that_the_geometry_lacks_are_refused():
    with pytest.raises(GeometryError, match="has 4 distances"):
        EffectiveAction(RING, operators=("mass", "pair[5]"))
    with pytest.raises(GeometryError, match="wave numbers"):
        EffectiveAction(Chain(8, periodic=False), operators=("derivative",))
    with pytest.raises(GeometryError, match="principal modes"):
        EffectiveAction(Unordered(8))


def test_collinear_operators_are_refused():
    with pytest.raises(FitFailedError, match="collinear"):
        evaluate(EffectiveAction(RING, operators=("mass", "gradient", "pair[1]")), drawn(ring_law(), 100, 0))


def test_too_few_samples_and_other_shapes_are_refused():
    with pytest.raises(TooFewSamplesError):
        evaluate(EffectiveAction(RING), drawn(ring_law(), 4, 0))
    with pytest.raises(ShapeError, match="one component"):
        evaluate(EffectiveAction(RING), Ensemble.of(torch.randn(9, 8, 2, generator=torch.Generator()), RING))
    with pytest.raises(ConfigError, match="modes"):
        EffectiveAction.on(Ensemble.of(torch.randn(90, 3, generator=torch.Generator())), modes=4)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["encoder.layer.0", "encoder.layer.5"])
def test_layers_of_a_language_model_are_fitted_with_sensible_numbers(layer):
    """Pooled over verses, four modes: far from Gaussian, and bounded along the first by a quartic coupling."""
    from blockspin.capture.reading import ActivationPass
    from blockspin.capture.recipe import NetworkRecipe
    from blockspin.sources.base import draw_records

    recipe = NetworkRecipe(member("sources", "network")("builtin:minilm"), "text", 32)
    sample = draw_records(member("sources", "kjv")(), 800)
    reading = ActivationPass(recipe, sample, (layer,), member("representations", "pooled")(), group_count=20)
    fit_half, held_out = reading.ensembles()[layer].halves()
    action = EffectiveAction.on(fit_half)
    assert action.frame.rank < 384  # a layer norm, or fewer samples than units
    found = jackknife(action, group_states(action, held_out, chain=False))
    assert found["quartic"].interval(0.99)[0][0] > 0
    assert found["condition"].value < 1e3
    score = action.goodness(*(accumulate(action.monoid, half) for half in (fit_half, held_out))).score
    assert score.value > score.error
