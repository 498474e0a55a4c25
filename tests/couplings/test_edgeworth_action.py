"""Couplings from cumulants are those of the theory, and part from score matching where the expansion fails."""

import pytest
import torch
from grouped import group_states

from blockspin.answer import Verdict
from blockspin.couplings._sums import sums_of_law
from blockspin.couplings.edgeworth_action import ActionDifference, EdgeworthAction, parted
from blockspin.couplings.effective_action import EffectiveAction
from blockspin.couplings.gaussian_precision import GaussianPrecision
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.geometry import Chain, Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member
from blockspin.theory import edgeworth as theory


def skewed_law(sites: int = 3) -> EnumeratedLaw:
    """Random configurations with random weights, of mean zero: a law with every cumulant."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, sites, dtype=torch.float64, generator=generator) ** 3
    w = torch.rand(400, dtype=torch.float64, generator=generator)
    x = x @ (torch.eye(sites, dtype=torch.float64) + 0.3)
    return EnumeratedLaw.of((x - (w @ x) / w.sum())[:, :, None], w, Chain(sites))


def test_the_quartic_is_that_of_the_theory():
    law = skewed_law()
    x, w = law.values[:, :, 0], law.weights
    K = x.T @ (w[:, None] * x)
    full = torch.einsum("n,na,nb,nc,nd->abcd", w, x, x, x, x)
    pairs = torch.einsum("ab,cd->abcd", K, K)
    connected = full - pairs - pairs.permute(0, 2, 1, 3) - pairs.permute(0, 3, 2, 1)
    action = theory.quartic_action(K.numpy(), connected.numpy())
    found = evaluate(EdgeworthAction.on(law), law)
    quartic = -torch.tensor([action.quartic[k, k, k, k] for k in range(3)]).mean()
    assert float(found["quartic"]) == pytest.approx(float(quartic), rel=1e-9)
    assert float(found["pair"][0]) == pytest.approx(float(torch.tensor(action.quadratic)[~torch.eye(3).bool()].mean()))


def test_a_local_vertex_gives_back_its_coupling_and_its_mass():
    """One anharmonic site by quadrature: leading order is right to second order in the coupling."""
    x, coupling, mass = torch.linspace(-8, 8, 4001, dtype=torch.float64), 0.02, 1.0
    law = EnumeratedLaw.of(x[:, None, None], torch.exp(-mass * x**2 / 2 - coupling * x**4 / 24), Chain(1))
    found = evaluate(EdgeworthAction.on(law, reach=0), law)
    assert float(found["quartic"]) == pytest.approx(coupling, abs=4 * coupling**2)
    assert float(found["mass"]) == pytest.approx(mass, abs=4 * coupling**2)


def test_modes_have_minus_their_excess_kurtosis():
    law = skewed_law()
    unordered = EnumeratedLaw.of(law.values, law.weights, Unordered(3))
    action = EdgeworthAction.on(unordered, modes=2)
    y = law.values[:, :, 0] @ action.frame.modes[:, :2] / action.frame.deviations[:2]
    kurtosis = law.weights @ y**4 - 3
    assert evaluate(action, unordered)["quartic"].tolist() == pytest.approx((-kurtosis).tolist(), rel=1e-9)


def test_a_gaussian_law_has_no_quartic_and_its_own_precision():
    law = member("sources", "gaussian-field")(shape=(12,), mass=0.5).law()
    action = EdgeworthAction.on(law, reach=3)
    found, beside = action.value(action.sums_of_law(law)), GaussianPrecision(geometry=law.geometry, reach=3)
    expected = beside.value(sums_of_law(law))
    assert float(found["quartic"]) == pytest.approx(0, abs=1e-10)
    assert float(found["mass"]) == pytest.approx(float(expected["diagonal"]), rel=1e-9)
    assert found["pair"].tolist() == pytest.approx(expected["coupling"].tolist(), rel=1e-9)


def test_the_frame_may_be_fitted_on_few_samples():
    """Its covariance is then wrong by its noise, and the couplings are put right."""
    law = member("sources", "gaussian-field")(shape=(12,), mass=0.5).law()
    action = EdgeworthAction.on(law.sample(100, generator=torch.Generator().manual_seed(0)))
    exact = EdgeworthAction.on(law)
    found, expected = (a.value(a.sums_of_law(law)) for a in (action, exact))
    assert float(found["mass"]) == pytest.approx(float(expected["mass"]), rel=1e-9)


# --- beside score matching --------------------------------------------------------------------------------------------


def difference(coupling: float, samples: int) -> Measurement:
    source = member("sources", "phi4")(shape=(16,), hopping=0.1, coupling=coupling, chains=100, burn_in=20, sweeps=3)
    field = source.sample(samples, generator=torch.Generator().manual_seed(0))
    fit_half, held_out = field.halves()
    both = ActionDifference(
        EffectiveAction.on(fit_half, operators=("mass", "pair[1]", "quartic")), EdgeworthAction.on(fit_half)
    )
    return jackknife(both, group_states(both, held_out, chain=True))["quartic"]


def test_the_two_agree_where_the_coupling_is_small():
    assert parted(difference(0.005, 3000)) is Verdict.CANNOT_TELL


def test_the_two_part_where_it_is_large():
    found = difference(0.5, 3000)
    assert found.value > 0  # leading order underestimates
    assert parted(found) is Verdict.YES


def test_the_level_is_divided_among_several():
    z = [0.0, 2.3]
    assert parted(Measurement(z[1:], 1.0)) is Verdict.YES
    assert parted(Measurement(z, 1.0)) is Verdict.YES
    assert parted(Measurement([0.0, 2.1], 1.0)) is Verdict.CANNOT_TELL


def test_the_expansion_parameter_is_the_score():
    law = skewed_law()
    action = EdgeworthAction.on(law)
    state = accumulate(action.monoid, law)
    x = law.values[:, :, 0]
    expected = abs(float(action.value(state)["quartic"])) * float((law.weights @ x**2).square().mean())
    assert action.goodness(state, state).score.value == pytest.approx(expected, rel=1e-9)


def test_cumulants_are_unbiased_on_gaussian_samples():
    law = GaussianLaw.of(torch.eye(4, dtype=torch.float64), Chain(4))
    action = EdgeworthAction.on(law)
    values = torch.stack(
        [
            evaluate(action, law.sample(30, generator=torch.Generator().manual_seed(seed)))["quartic"]
            for seed in range(200)
        ]
    )
    assert abs(float(values.mean())) < 4 * float(values.std()) / 200**0.5


def test_what_cannot_be_used_is_refused():
    law = skewed_law()
    action = EdgeworthAction.on(law)
    with pytest.raises(ConfigError, match="reach"):
        EdgeworthAction.on(law, reach=-1)
    with pytest.raises(ConfigError, match="frame"):
        EdgeworthAction(Chain(4), action.frame)
    with pytest.raises(ConfigError, match="modes"):
        EdgeworthAction(Unordered(3), action.frame, modes=4)
    with pytest.raises(ConfigError, match="action"):
        ActionDifference(EffectiveAction(Chain(3), operators=("mass",)), action)
    with pytest.raises(TooFewSamplesError):
        evaluate(action, Ensemble.of(torch.randn(4, 3, generator=torch.Generator()), Chain(3)))
