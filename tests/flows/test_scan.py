"""Scans of a parameter: exact effective dimension, exact heat capacity, the edge of chaos, a sweep's table."""

import json
import math

import numpy as np
import pytest
import small_run
import torch

from blockspin import Axis, Ensemble, GaussianLaw, Measurement, Unordered
from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, RunFolderError, ShapeError, TooFewSamplesError
from blockspin.flows.scan import crossing, scan_flow, scan_of, with_response
from blockspin.flows.sweep_table import sweep_flow
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.effective_dimension import EffectiveDimension
from blockspin.observables.softmax_energy import SoftmaxEnergy
from blockspin.sweep import Axis as Varied
from blockspin.sweep import sweep

RIDGES = tuple(10.0**k for k in range(-3, 3))


def exact(values):
    """An observable's arrays as measurements without error."""
    return {key: Measurement(array.numpy(), 0.0) for key, array in values.items()}


# --- ridge -----------------------------------------------------------------------------------------------------------


def test_the_effective_dimension_is_the_trace_of_the_smoother_of_ridge_regression(generator):
    x = torch.randn(60, 8, dtype=torch.float64, generator=generator) * torch.arange(1, 9)
    n, centred = len(x), x - x.mean(0)
    found = EffectiveDimension(RIDGES).value(accumulate(EffectiveDimension(RIDGES).monoid, Ensemble.of(x)))
    for k, lam in enumerate(RIDGES):
        gram = centred.T @ centred
        smoother = centred @ torch.linalg.solve(gram + (n - 1) * lam * torch.eye(8, dtype=torch.float64), centred.T)
        assert float(found["dimension"][k]) == pytest.approx(float(smoother.trace()), rel=1e-12)


def test_a_law_gives_the_sum_over_its_modes_and_the_response_is_its_derivative():
    mu = torch.arange(1, 65, dtype=torch.float64) ** -1.5
    law = GaussianLaw.of(torch.diag(mu), Unordered(64))
    one, none = torch.tensor(1.0), torch.tensor(0.0)
    state = {"weight": one, "squares": none, "mean": law.mean.reshape(-1), "scatter": law.covariance}
    fine = tuple(np.geomspace(1e-3, 1, 200).tolist())
    found = EffectiveDimension(fine).value(state)
    lam = torch.tensor(fine, dtype=torch.float64)
    assert torch.allclose(found["dimension"], (mu[:, None] / (mu[:, None] + lam)).sum(0), rtol=1e-12, atol=0)
    flow = with_response(scan_of("ridge", Axis("ridge"), fine, exact(found)), ["dimension"])
    slope = np.array([scale.measurements["dimension:response"].value for scale in flow])
    step = math.log(1000) / 199  # third derivatives of N are below N itself, N < 64: step^2 N / 6 at most
    assert np.abs(-slope - found["response"].numpy())[1:-1].max() < step**2 * 64 / 6


def test_ridges_and_temperatures_are_positive():
    for bad in ((), (0.0,), (1.0, -1.0), (math.inf,)):
        with pytest.raises(ConfigError):
            EffectiveDimension(bad)
        with pytest.raises(ConfigError):
            SoftmaxEnergy(bad)


# --- softmax temperature ---------------------------------------------------------------------------------------------


def test_the_variance_of_the_energy_is_the_heat_capacity(generator):
    """dE/dT and dS/dlnT by central differences of 1e-4 in ln T: their own error is 1e-8 of the third derivative."""
    logits = 2 * torch.randn(40, 10, dtype=torch.float64, generator=generator)
    step, T = 1e-4, 0.8
    found = evaluate(SoftmaxEnergy((T * math.exp(-step), T, T * math.exp(step))), Ensemble.of(logits))
    by_log = {key: float(found[key][2] - found[key][0]) / (2 * step) for key in ("energy", "entropy")}
    C = float(found["capacity"][1])
    assert by_log["energy"] / T == pytest.approx(C, rel=1e-6)
    assert by_log["entropy"] == pytest.approx(C, rel=1e-6)


def test_two_classes_have_the_schottky_anomaly():
    gap, temperatures = 3.0, (0.3, 1.0, 5.0)
    found = evaluate(SoftmaxEnergy(temperatures), Ensemble.of(torch.tensor([[gap, 0.0]] * 4, dtype=torch.float64)))
    T = np.array(temperatures)
    assert np.allclose(found["capacity"], (gap / T) ** 2 / (4 * np.cosh(gap / (2 * T)) ** 2), rtol=1e-12)
    assert np.allclose(found["energy"], -gap / 2 * np.tanh(gap / (2 * T)), rtol=1e-12)


def test_equal_logits_have_as_many_choices_as_classes():
    found = evaluate(SoftmaxEnergy((1.0,)), Ensemble.of(torch.full((3, 7), 2.5)))
    assert float(found["choices"]) == pytest.approx(7, rel=1e-14)
    assert float(found["capacity"]) == pytest.approx(0, abs=1e-14)


# --- seeds -----------------------------------------------------------------------------------------------------------

DEPTH, WIDTH = 12, 400


def susceptibility(sigma, seed):
    """chi of a wide random tanh network without biases, at the length that its last layers settle to."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(WIDTH, generator=generator)
    for _ in range(DEPTH):
        h = sigma * torch.randn(WIDTH, WIDTH, generator=generator) @ h.tanh() / WIDTH**0.5
    direction = torch.randn(WIDTH, generator=generator)
    pushed = sigma * torch.randn(WIDTH, WIDTH, generator=generator) @ ((1 - h.tanh() ** 2) * direction) / WIDTH**0.5
    return float(pushed.norm() ** 2 / direction.norm() ** 2)


def mean_field(sigma, depth=DEPTH):
    """chi after some layers of an infinitely wide network, by Gauss-Hermite quadrature."""
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    weight, q = weight / weight.sum(), 1.0
    for _ in range(depth):
        q = sigma**2 * weight @ np.tanh(q**0.5 * z) ** 2
    return sigma**2 * weight @ (1 - np.tanh(q**0.5 * z) ** 2) ** 2


def test_the_scan_of_the_initial_deviation_finds_where_chi_is_one():
    """chi of tanh passes 1 at sigma_w = 1 in the limit of depth; after 12 layers the length still decays there.

    So the scan is held to mean field at the same depth, within 4 errors and the 12 / 400 of depth over width; and mean
    field without depth passes 1 at sigma_w = 1.
    """
    sigmas = (0.7, 0.9, 1.1, 1.3)
    runs = {s: [{"chi": susceptibility(s, 100 * seed + int(10 * s))} for seed in range(8)] for s in sigmas}
    flow = scan_flow("untrained", Axis("initial deviation"), runs)
    for sigma, m in zip(sigmas, (scale.measurements["chi"] for scale in flow), strict=True):
        assert abs(m.value - mean_field(sigma)) < 4 * m.error + mean_field(sigma) * DEPTH / WIDTH
    wide = scan_of("wide", flow.axis, sigmas, {"chi": Measurement([mean_field(s) for s in sigmas], 0.0)})
    level = 0.9  # passed once, between 0.9 and 1.1
    found, exact_one = crossing(flow, "chi", level), crossing(wide, "chi", level)
    assert abs(found.value - exact_one.value) < 4 * found.error + DEPTH / WIDTH
    assert mean_field(0.99, 2000) < 1 < mean_field(1.02, 2000)


def test_the_error_of_a_response_is_that_of_independent_values(generator):
    """Slopes of a + b ln x measured with known noise: their scatter over repeats is the error that is given."""
    x = (0.5, 1.0, 3.0, 4.0)
    slopes, errors = [], []
    for _ in range(400):
        noise = torch.randn(4, generator=generator, dtype=torch.float64).numpy()
        measured = Measurement(2 + 3 * np.log(x) + 0.1 * noise, np.full(4, 0.1))
        flow = with_response(scan_of("x", Axis("x"), x, {"y": measured}), ["y"])
        slopes.append([scale.measurements["y:response"].value for scale in flow])
        errors.append([scale.measurements["y:response"].error for scale in flow])
    scatter = np.std(slopes, axis=0, ddof=1)
    assert np.abs(np.mean(slopes, axis=0) - 3).max() < 4 * scatter.max() / 20
    assert np.abs(scatter / np.mean(errors, axis=0) - 1).max() < 4 / (2 * 399) ** 0.5


def test_what_cannot_be_scanned_is_refused():
    axis = Axis("learning rate")
    with pytest.raises(TooFewSamplesError, match="give no error"):
        scan_flow("loss", axis, {0.1: [{"loss": 1.0}]})
    with pytest.raises(ShapeError):
        scan_flow("loss", axis, {0.1: [{"loss": 1.0}, {"accuracy": 1.0}]})
    with pytest.raises(NonFiniteError, match="1 seed"):
        scan_flow("loss", axis, {0.1: [{"loss": 1.0}, {"loss": math.nan}]})
    with pytest.raises(ShapeError):
        scan_of("loss", axis, (1.0, 2.0), {"loss": Measurement([1.0], [0.0])})
    flat = scan_of("loss", axis, (0.0, 1.0, 2.0), {"loss": Measurement([1.0, 1.0, 1.0], 0.0)})
    with pytest.raises(ConfigError, match="logarithm"):
        with_response(flat, ["loss"])
    wavy = scan_of("loss", axis, (1.0, 2.0, 3.0), {"loss": Measurement([1.0, -1.0, 1.0], 0.1)})
    with pytest.raises(FitFailedError, match="2 times"):
        crossing(wavy, "loss", 0.0)


def test_a_crossing_is_found_with_the_error_of_the_quantity_over_its_slope():
    x = (1.0, math.e, math.e**2)
    flow = scan_of("chi", Axis("sigma"), x, {"chi": Measurement([0.5, 1.5, 2.5], [0.1, 0.1, 0.1])})
    found = crossing(flow, "chi", 1.0)
    assert found.value == pytest.approx(math.exp(0.5), rel=1e-12)
    assert found.error == pytest.approx(math.exp(0.5) * 0.1 / 2**0.5, rel=1e-12)


# --- a sweep's table -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sweep_is_read_as_a_flow_along_its_field(tmp_path):
    sweep(small_run.bare(tmp_path), [Varied.parse("seed=1,0")], tmp_path / "sweep")
    flow = sweep_flow(tmp_path / "sweep", "seed")
    assert [scale.position for scale in flow] == [0, 1]
    answers = json.loads((tmp_path / "sweep" / "seed=0" / "answers.json").read_text())["answers"]
    numbers = {f"{a['question']}/{key}": row for a in answers for key, row in a["numbers"].items()}
    assert numbers.keys() == flow[0].measurements.keys()
    key = next(iter(numbers))
    assert flow[0].measurements[key].value == numbers[key]["value"]
    with pytest.raises(ConfigError, match="one that the sweep varied"):
        sweep_flow(tmp_path / "sweep", "scheme")


def written(folder, *runs):
    """A sweep's folder with one number an answer."""
    rows = []
    for k, (b, seed, number) in enumerate(runs):
        name, failed = f"run {k}", number is None
        rows.append({"b": b, "seed": seed, "folder": name, "error": "no neighbours" if failed else None})
        (folder / name).mkdir(parents=True)
        numbers = {} if failed else {"D": Measurement(number, 0.01, dof=99).to_dict()}
        text = json.dumps({"answers": [{"question": "retrace", "numbers": numbers}]})
        (folder / name / "answers.json").write_text(text)
    (folder / "sweep.json").write_text(json.dumps({"format": 1, "axes": ["b", "seed"], "runs": rows}))
    return folder


def test_runs_of_one_value_are_averaged_and_failures_told(tmp_path):
    folder = written(tmp_path, (2, 0, 1.0), (2, 1, 3.0), (4, 0, 5.0), (4, 1, None))
    flow = sweep_flow(folder, "b")
    two, four = (scale.measurements["retrace/D"] for scale in flow)
    assert (two.value, two.error, two.dof) == (2, 1, 1)
    assert (four.value, four.error) == (5, 0.01)
    assert "no neighbours" in flow.ended


def test_values_that_are_no_numbers_and_folders_without_a_sweep_are_refused(tmp_path):
    with pytest.raises(RunFolderError):
        sweep_flow(tmp_path, "b")
    with pytest.raises(ConfigError, match="numbers"):
        sweep_flow(written(tmp_path / "a", ("pca", 0, 1.0)), "b")
    with pytest.raises(RunFolderError, match="no run"):
        sweep_flow(written(tmp_path / "b", (2, 0, None)), "b")
