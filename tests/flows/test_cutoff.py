"""A cutoff of a kernel's modes: a ridge that runs keeps what regression gives, a bare one does not."""

import numpy as np
import pytest
import torch

from blockspin import Flow
from blockspin.answer import Light
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError
from blockspin.flow import Scale
from blockspin.flows.cutoff import Regression, cutoff_flow, independent_down_to
from blockspin.questions.comparison import departures
from blockspin.questions.diagnosis import Evidence, diagnose
from blockspin.theory import kernel_regression_rg as theory

CUTS = (50, 100, 200, 400)
SAMPLES, RIDGE, ALL, MODES = 200, 0.01, 1000, 1500


def power_law(seed=0, a=0.5):
    """Gaussian features of eigenvalues k^-(1 + a), and a target of the same spectrum; exact modes known."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, MODES + 1, dtype=torch.float64) ** -(1 + a)
    features = torch.randn(ALL, MODES, dtype=torch.float64, generator=generator) * spectrum.sqrt()
    signs = torch.randint(2, (MODES,), generator=generator) * 2.0 - 1
    return features @ features.T, features @ signs.double(), spectrum.numpy()


@pytest.fixture(scope="module")
def flow():
    kernel, target, _ = power_law()
    how = Regression(SAMPLES, RIDGE, splits=6)
    return cutoff_flow("power law", kernel, target, how, CUTS, generator=torch.Generator().manual_seed(1))


def at(flow, cut, key):
    return next(scale.measurements[f"cutoff/{key}"] for scale in flow if scale.position == cut)


@pytest.mark.slow
def test_the_whole_kernel_has_the_error_of_theory():
    """Over worlds: the features are drawn anew, so that splits of one world are not the only randomness."""
    errors = []
    for seed in range(4):
        kernel, target, spectrum = power_law(seed)
        how = Regression(SAMPLES, RIDGE, splits=4)
        found = cutoff_flow("world", kernel, target, how, (100,), generator=torch.Generator().manual_seed(seed))
        errors.append(at(found, 100, "error").value)
    expected = theory.generalisation(spectrum, spectrum, SAMPLES, RIDGE).error
    assert np.mean(errors) == pytest.approx(expected, abs=4 * np.std(errors, ddof=1) / 4**0.5)


def test_the_ridge_is_the_running_one(flow):
    kernel, _, _ = power_law()
    spectrum = torch.linalg.eigvalsh(kernel).flip(0).numpy() / ALL
    for cut in CUTS:
        known = theory.running_ridge(spectrum, RIDGE)[cut]
        assert at(flow, cut, "ridge").value == pytest.approx(known, rel=1e-9)


def test_a_renormalised_ridge_predicts_the_same_error_down_to_the_cut_of_learnability(flow):
    for cut in (200, 400):  # n lambda falls below the ridge at about 120
        whole, shift = at(flow, cut, "error"), at(flow, cut, "error:renormalised shift")
        assert abs(shift.value) < 0.1 * whole.value
        near, far = at(flow, cut, "distance:renormalised"), at(flow, cut, "distance:bare")
        assert near.value < 0.2 * far.value
    assert independent_down_to(flow, "error", 0.1) <= 200
    bare = independent_down_to(flow, "error", 0.1, "bare")
    assert bare is None or bare > 200


def test_what_is_left_out_is_missed_by_the_dimension_but_not_by_the_predictions(flow):
    """Modes that are left out have a share of the effective dimension: that one is no matter of the cutoff's choice."""
    assert independent_down_to(flow, "dimension") is None
    assert independent_down_to(flow, "kept") <= 200


def test_all_modes_kept_change_nothing():
    kernel, target, _ = power_law()
    kernel, target = kernel[:200, :200], target[:200]
    found = cutoff_flow(
        "all", kernel, target, Regression(50, 0.1, 4), (200,), generator=torch.Generator().manual_seed(0)
    )
    for output in ("error", "fit", "dimension", "kept"):
        for kind in ("bare", "renormalised"):
            assert at(found, 200, f"{output}:{kind} shift").value == pytest.approx(0, abs=1e-9)


def named(flow, suffix, exact=False):
    """Return the errors of one variant as a flow of the quantity "cutoff/error"."""
    scales = tuple(
        Scale(s.position, s.label, measurements={"cutoff/error": s.measurements[f"cutoff/error{suffix}"]}) for s in flow
    )
    return Flow(f"regression{suffix}", flow.axis, scales)


def test_where_the_bare_theory_departs_the_ridge_is_named(flow):
    """Measured: the paired difference from the whole kernel; theories say nothing, by either ridge."""
    whole = Flow("kernel", flow.axis, tuple(s for s in flow if 200 <= s.position <= 400))
    bare, running = named(whole, ":bare shift"), named(whole, ":renormalised shift")
    zero = Flow(
        "whole kernel",
        flow.axis,
        tuple(
            Scale(s.position, s.label, measurements={"cutoff/error": type(s.measurements["cutoff/error"])(0.0, 0.0)})
            for s in bare
        ),
    )
    found = departures(zero, bare)
    lights = {row.name: row.light for row in diagnose(found, zero, Evidence(alternatives={"ridge": running}))}
    assert any(row.departs(0.05) for row in found)
    assert lights["ridge"] is not Light.GREEN


def test_what_is_no_regression_is_refused():
    kernel, target, _ = power_law()
    draws = torch.Generator()
    with pytest.raises(ShapeError):
        cutoff_flow("k", kernel[:10], target, Regression(50, 0.1), (10,), generator=draws)
    for how, cuts, error in (
        (Regression(50, 0.0), (10,), ConfigError),
        (Regression(50, 0.1), (0,), ConfigError),
        (Regression(ALL - 1, 0.1), (10,), TooFewSamplesError),
        (Regression(50, 0.1, 2), (10,), TooFewSamplesError),
    ):
        with pytest.raises(error):
            cutoff_flow("k", kernel, target, how, cuts, generator=draws)


@pytest.mark.slow
def test_pictures_of_digits_under_a_cutoff():
    """The kernel of a wide ReLU layer on scikit-learn's digits."""
    datasets = pytest.importorskip("sklearn.datasets")
    from blockspin.theory.dual_activation import PiecewiseLinear
    from blockspin.theory.nngp import Network, kernels

    found = datasets.load_digits()
    x = torch.tensor(found.data) / 16
    x = x - x.mean(0)
    targets = torch.nn.functional.one_hot(torch.tensor(found.target)).double()
    kernel = kernels(Network(1, PiecewiseLinear(), 2.0), x).covariance
    how = Regression(200, 1e-3, 12)
    flow = cutoff_flow(
        "digits",
        kernel,
        targets - targets.mean(0),
        how,
        (50, 100, 200, 400),
        generator=torch.Generator().manual_seed(0),
    )
    for cut in (100, 200, 400):
        for key in ("distance:{}", "error:{} shift"):
            near, far = (at(flow, cut, key.format(kind)) for kind in ("renormalised", "bare"))
            assert near.value < 0.5 * far.value
    assert independent_down_to(flow, "error", 0.1) <= 200
    assert independent_down_to(flow, "error", 0.1, "bare") == 400
