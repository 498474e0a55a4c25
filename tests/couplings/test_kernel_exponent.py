"""Kernel exponent finds power laws that are there, and gives no number where there is none."""

import pytest
import torch

from blockspin.couplings.kernel_exponent import KernelExponent
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, FitFailedError
from blockspin.geometry import Unordered
from blockspin.law import GaussianLaw
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member

RANKS = torch.arange(1, 65, dtype=torch.float64)
ESTIMATOR = KernelExponent(first=4, last=32)


def field(spectrum: torch.Tensor, samples: int, seed: int) -> Ensemble:
    law = GaussianLaw.of(torch.diag(spectrum), Unordered(len(spectrum)))
    return law.sample(samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_an_exact_power_law_is_found_exactly(alpha):
    found = ESTIMATOR.power_law(RANKS[3:32] ** -alpha)
    assert [float(found["exponent"]), float(found["bend"])] == pytest.approx([alpha, 0], abs=1e-12)


def test_samples_of_a_power_law_give_its_exponent():
    found = torch.stack([evaluate(ESTIMATOR, field(RANKS**-1.0, 5000, seed))["exponent"] for seed in range(10)])
    # sorting noise spreads the spectrum of n = 5000 samples by about sqrt(ranks / n): a bias of about a percent
    assert abs(float(found.mean()) - 1) < 0.01 + 4 * float(found.std()) / 10**0.5


def test_the_scale_free_field_on_a_torus_has_the_exponent_of_theory():
    model = member("sources", "gaussian-field")(shape=(32, 32), mass=0.0, eta=0.25)
    spectrum = model.spectrum().flatten().sort(descending=True).values
    found = KernelExponent(first=20, last=400).power_law(spectrum[19:400])
    assert float(found["exponent"]) == pytest.approx(0.875, abs=0.02)


@pytest.mark.parametrize(
    ("spectrum", "reason"),
    [(torch.exp(-RANKS / 8), "slope changes"), (torch.ones(64), "factor of 2"), (RANKS.clamp(max=12) ** -2, "changes")],
)
def test_what_is_no_power_law_gets_no_number(spectrum, reason):
    with pytest.raises(FitFailedError, match=reason):
        evaluate(ESTIMATOR, field(spectrum.to(torch.float64), 5000, 0))


def test_a_spectrum_that_ends_before_the_range_gets_no_number():
    with pytest.raises(FitFailedError, match="rank 19"):
        evaluate(ESTIMATOR, field(RANKS**-1.0, 20, 0))


def scatter(spectrum: torch.Tensor) -> float:
    fitted, held_out = (accumulate(ESTIMATOR.monoid, half) for half in field(spectrum, 4000, 0).halves())
    return ESTIMATOR.goodness(fitted, held_out).score.value


def test_held_out_scatter_about_a_true_power_law_is_sampling_noise():
    assert scatter(RANKS**-1.0) < 2 * (2 / 2000) ** 0.5


def test_held_out_scatter_sees_a_step():
    assert scatter(torch.where(RANKS <= 11, 2.0, 1.0) / RANKS) > 4 * (2 / 2000) ** 0.5


@pytest.mark.parametrize("options", [{"first": 0}, {"first": 5, "last": 19}, {"bend": 0.0}])
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ConfigError):
        KernelExponent(**options)
