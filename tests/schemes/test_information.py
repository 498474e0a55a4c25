"""Schemes that keep information: their slow twins, what they refuse, and how often they see what is not there."""

import numpy as np
import pytest
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import (
    ConfigError,
    FitFailedError,
    GeometryError,
    NonFiniteError,
    NothingFoundError,
    StepNotPossibleError,
)
from blockspin.flows.iterate import iterate
from blockspin.geometry import Chain, Grid, Tree, Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw, enumerate_law
from blockspin.schemes._blahut_arimoto import bottleneck, relevance_spectrum, tilted
from blockspin.schemes._canonical import canonical, chance_level
from blockspin.schemes._frame import framed
from blockspin.schemes._tables import informations, readings
from blockspin.schemes.block_bottleneck import BlockBottleneck
from blockspin.schemes.information_bottleneck import InformationBottleneck
from blockspin.schemes.iterative_bottleneck import IterativeBottleneck
from blockspin.schemes.rsmi import Rsmi
from blockspin.schemes.rsmi_gaussian import RsmiGaussian
from blockspin.schemes.rsmi_infonce import RsmiInfonce
from blockspin.sources.gaussian_field import GaussianField

BLOCKED = (Rsmi(), RsmiGaussian(), RsmiInfonce(), IterativeBottleneck(), BlockBottleneck())


def normal(samples, sites, components=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, sites, components, dtype=torch.float64, generator=generator)


def distinct(values, geometry):
    return Ensemble.of(values, geometry, units=torch.arange(len(values)))


def spin_chain(sites=6, K=1.0):
    return enumerate_law(Chain(sites, periodic=False), (-1.0, 1.0), lambda s: K * (s[:, 1:] * s[:, :-1]).sum(1))


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("periodic", "buffer"), [(True, 0), (True, 1), (False, 1)])
def test_a_frame_is_a_square_ring_around_each_block(periodic, buffer):
    shape, b, reach = (8, 10), 2, 1
    frame = framed(Grid(shape, periodic), b, buffer, reach)
    place = [divmod(site, shape[1]) for site in range(80)]
    for block, environment in zip(frame.visible.tolist(), frame.environment.tolist(), strict=True):
        corner = place[block[0]]
        expected = set()
        for site, (r, c) in enumerate(place):
            gap = [(x - x0) for x, x0 in zip((r, c), corner, strict=True)]
            if periodic:
                gap = [(g + n // 2) % n - n // 2 for g, n in zip(gap, shape, strict=True)]
            away = max(max(-g, g - b + 1) for g in gap)
            if buffer < away <= buffer + reach:
                expected.add(site)
        assert set(environment) == expected
        assert len(environment) == len(expected)
    assert len(frame.visible) == (20 if periodic else 6)


@pytest.mark.parametrize("scheme", BLOCKED, ids=lambda s: s.name)
@pytest.mark.parametrize("geometry", [Unordered(16), Tree(2, 4)], ids=repr)
def test_blocks_without_a_lattice_are_refused_with_a_way_out(scheme, geometry):
    with pytest.raises(GeometryError, match="information-bottleneck") as refused:
        scheme.fit(distinct(normal(200, 16), geometry), generator=torch.Generator())
    assert isinstance(refused.value, StepNotPossibleError)


@pytest.mark.parametrize("scheme", BLOCKED, ids=lambda s: s.name)
def test_too_little_room_is_refused(scheme):
    with pytest.raises(GeometryError, match="no room"):
        scheme.fit(distinct(normal(200, 4), Chain(4)), generator=torch.Generator())


@pytest.mark.parametrize("options", [{"buffer": -1}, {"buffer": 0.5}, {"reach": 0}, {"b": 1}])
@pytest.mark.parametrize("cls", [type(scheme) for scheme in BLOCKED], ids=lambda c: c.name)
def test_frames_that_cannot_be_are_refused(cls, options):
    with pytest.raises(ConfigError):
        cls(**options)


# --- counted ---------------------------------------------------------------------------------------------------------


def test_informations_agree_with_a_loop_over_outcomes():
    joint = torch.rand(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    joint = joint / joint.sum()
    patterns = torch.arange(6.0)[:, None]
    candidates = readings(patterns)
    assert len(candidates) == 2**5
    for reading, found in zip(candidates, informations(joint, candidates), strict=True):
        total = 0.0
        for value in (True, False):
            rows = [v for v in range(6) if bool(reading[v]) is value]
            share = sum(float(joint[v].sum()) for v in rows)
            for e in range(7):
                p = sum(float(joint[v, e]) for v in rows)
                total += p * np.log(p / (share * float(joint[:, e].sum()))) if p > 0 else 0.0
        assert abs(total - float(found)) < 1e-13


def test_odd_readings_of_spins_are_odd_and_all_of_them():
    patterns = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)
    candidates = readings(patterns)
    assert len(torch.unique(candidates, dim=0)) == len(candidates) == 2**7
    assert torch.equal(candidates, ~candidates.flip(1))


def test_a_pattern_with_a_zero_has_no_negative_so_that_all_readings_are_compared():
    assert len(readings(torch.tensor([[-1.0], [0.0], [1.0]]))) == 4


def test_counts_of_samples_agree_with_the_law():
    law = spin_chain()
    rows = torch.multinomial(law.weights, 40_000, True, generator=torch.Generator().manual_seed(0))
    drawn = distinct(law.values[rows], law.geometry)
    coarse, exact = (Rsmi().fit(source, generator=torch.Generator()) for source in (drawn, law))
    assert coarse.up.tolist() in ([False, False, True, True], [False, True, False, True])  # either spin, as good
    bias = 9 / 2 / 40_000  # of (4 - 1) (4 - 1) degrees of freedom
    error = (2 * exact.available / 40_000) ** 0.5
    assert abs(coarse.available - exact.available - bias) < 4 * error


def test_too_few_samples_to_count_are_refused_with_a_way_out():
    drawn = distinct(normal(300, 12).sign(), Chain(12))
    with pytest.raises(StepNotPossibleError, match="rsmi-infonce"):
        Rsmi(b=3, reach=2).fit(drawn, generator=torch.Generator())


@pytest.mark.parametrize("cls", [Rsmi, IterativeBottleneck], ids=lambda c: c.name)
def test_a_gaussian_law_is_sent_to_the_closed_form(cls):
    with pytest.raises(StepNotPossibleError, match="rsmi-gaussian"):
        cls().fit(GaussianLaw.of(torch.eye(12), Chain(12)), generator=torch.Generator())


def test_a_pattern_never_seen_is_read_as_the_nearest():
    coarse = Rsmi().fit(spin_chain(), generator=torch.Generator())
    seen = torch.tensor([[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]])[:, :, None]
    assert torch.equal(coarse.values(0.9 * seen), coarse.values(seen))


def test_independent_spins_hold_nothing_in_law_and_seldom_in_samples():
    with pytest.raises(NothingFoundError):
        Rsmi().fit(spin_chain(K=0.0), generator=torch.Generator())
    found = 0
    for seed in range(60):
        try:
            Rsmi().fit(distinct(normal(400, 6, seed=seed).sign(), Chain(6, False)), generator=torch.Generator())
            found += 1
        except NothingFoundError:
            pass
    assert found <= 4  # 1 %; five or more of 60 in 3 of 10,000


# --- canonical -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "q", "units"), [(4, 20, 400), (10, 10, 200), (2, 2, 100)])
def test_chance_is_exceeded_once_in_a_hundred(p, q, units):
    level, over, repeats = chance_level(p, q, units), 0, 400
    for seed in range(repeats):
        x = normal(units, p + q, seed=seed)[:, :, 0]
        x = x - x.mean(0)
        left, right = torch.linalg.qr(x[:, :p]).Q, torch.linalg.qr(x[:, p:]).Q
        over += float(torch.linalg.svdvals(left.T @ right)[0]) ** 2 > level
    assert over <= 12  # 1 % of 400; thirteen or more in 1 of 1,000 where it holds
    assert chance_level(p, q, units) < chance_level(p, q, units // 2)


def test_canonical_variables_have_unit_variance_and_are_uncorrelated():
    law = GaussianLaw.of(torch.cov(normal(50, 8)[:, :, 0].T), Unordered(8))
    C = law.covariance
    found = canonical(C[:3, :3], C[:3, 3:], C[3:, 3:])
    identity = found.filters.T @ C[:3, :3] @ found.filters
    torch.testing.assert_close(identity, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_gaussian_field_is_read_the_same_from_law_and_samples():
    gap = torch.arange(24)
    C = (0.8 ** torch.minimum(gap, 24 - gap).double())[(gap[:, None] - gap) % 24]
    law = GaussianLaw.of(C, Chain(24))
    drawn = law.sample(2000, generator=torch.Generator().manual_seed(0))
    exact, coarse = (RsmiGaussian().fit(source, generator=torch.Generator()) for source in (law, drawn))
    assert float((exact.filters[:, 0] @ coarse.filters[:, 0]).abs()) > 0.999
    assert abs(exact.information - coarse.information) < 0.02
    back = coarse.values(coarse.lift(coarse.values(drawn.values)))
    torch.testing.assert_close(back, coarse.values(drawn.values), rtol=0, atol=1e-5)


def test_blocks_of_a_square_lattice_keep_one_variable_after_another_as_the_price_falls():
    """Against the generalised eigenproblem of one block; the sum of a block comes first, and is the best of all."""
    law = GaussianField(shape=(8, 8), mass=0.5).law()
    frame = framed(law.geometry, 2, 1, 1)
    block, ring = frame.visible[0], frame.environment[0]
    C = law.covariance.to(torch.float64)
    told = C[block][:, ring] @ torch.linalg.solve(C[ring][:, ring], C[ring][:, block])
    shared = torch.linalg.eigvals(torch.linalg.solve(C[block][:, block], told)).real.sort(descending=True).values
    kept = []
    for beta in [1.01 / float(shared[0]), 1.01 / float(shared[2]), 0.99 / float(shared[3])]:
        coarse = BlockBottleneck(b=2, beta=beta).fit(law, generator=torch.Generator())
        kept.append(coarse.filters.shape[1])
        rho = shared[beta * shared > 1]
        signal = (beta * rho - 1) / (1 - rho)
        cost = float(torch.log1p(signal).sum() / 2)
        assert coarse.cost == pytest.approx(cost, abs=1e-9)
        assert coarse.relevant == pytest.approx(cost - float((beta * rho).log().sum() / 2), abs=1e-9)
        assert coarse.coarse(law.geometry) == Grid((4, 4), spacing=2.0)
    assert kept == [1, 3, 3]
    first = BlockBottleneck(b=2, beta=1.01 / float(shared[0])).fit(law, generator=torch.Generator()).filters[:, 0]
    torch.testing.assert_close(first, first.mean().expand(4), rtol=1e-6, atol=0)
    with pytest.raises(NothingFoundError, match="threshold"):
        BlockBottleneck(b=2, beta=0.99 / float(shared[0])).fit(law, generator=torch.Generator())
    with pytest.raises(StepNotPossibleError, match="all 4 values"):
        BlockBottleneck(b=2, beta=1.01 / float(shared[3])).fit(law, generator=torch.Generator())


def test_more_modes_than_are_beyond_chance_are_refused():
    drawn = distinct(normal(400, 12) + normal(400, 1, seed=1), Chain(12))
    with pytest.raises(StepNotPossibleError, match="beyond chance, not 2"):
        RsmiGaussian(b=3, modes=2).fit(drawn, generator=torch.Generator())


def test_not_finite_is_refused():
    drawn = distinct(normal(100, 12), Chain(12))
    for scheme in BLOCKED:
        with pytest.raises(NonFiniteError):
            scheme.fit(drawn.with_values(drawn.values * torch.nan), generator=torch.Generator())


# --- bottlenecks -----------------------------------------------------------------------------------------------------


def shared_field(samples=600, sites=20):
    """Every site carries a common signal and noise of its own."""
    return distinct(normal(samples, sites) + normal(samples, 1, seed=1), Unordered(sites))


def test_halves_keep_what_they_share_and_forget_the_rest():
    field = shared_field()
    coarse = InformationBottleneck().fit(field, generator=torch.Generator())
    assert coarse.values(field.values).shape == (600, 2, 1)
    signal = normal(600, 1, seed=1)[:, 0, 0]
    both = torch.corrcoef(torch.stack([signal, *coarse.values(field.values)[:, :, 0].T]))
    assert float(both[0, 1:].abs().min()) > 0.9


def test_a_second_step_at_the_same_beta_ends_the_ladder():
    flow = iterate(shared_field(), InformationBottleneck(), generator=torch.Generator())
    assert len(flow) == 2
    assert flow.ended


def test_relevant_sites_are_named_and_forgotten():
    field = shared_field()
    label = field.values[:, :1] + 0.1 * normal(600, 1, seed=5)
    joint = distinct(torch.cat([field.values, label], dim=1), Unordered(21))
    coarse = InformationBottleneck(relevant=(20,)).fit(joint, generator=torch.Generator())
    assert int(coarse.encoder[:, 0].abs().argmax()) == 0  # the site that makes the label
    assert float(coarse.encoder[20].abs().max()) == 0


@pytest.mark.parametrize("relevant", [(0, 0), (-1,), (1.5,)])
def test_sites_that_cannot_be_are_refused(relevant):
    with pytest.raises(ConfigError):
        InformationBottleneck(relevant=relevant)


def test_sites_that_are_not_there_end_the_ladder():
    with pytest.raises(StepNotPossibleError, match="no relevant site 30"):
        InformationBottleneck(relevant=(30,)).fit(shared_field(), generator=torch.Generator())


@pytest.mark.parametrize(("cls", "option"), [(InformationBottleneck, "beta"), (IterativeBottleneck, "price")])
@pytest.mark.parametrize("value", [1.0, float("inf"), float("nan"), "2", True])
def test_prices_below_which_nothing_is_kept_are_refused(cls, option, value):
    with pytest.raises(ConfigError):
        cls(**{option: value})


def test_noise_is_nothing_worth_keeping():
    with pytest.raises(NothingFoundError):
        InformationBottleneck().fit(distinct(normal(500, 20), Unordered(20)), generator=torch.Generator())


def test_the_iterated_bottleneck_is_stationary_and_no_worse_than_its_neighbours():
    generator = torch.Generator().manual_seed(0)
    joint = torch.rand(5, 6, dtype=torch.float64, generator=generator) ** 3
    joint = joint / joint.sum()
    s, functions = relevance_spectrum(joint)
    beta = 3 / float(s[0]) ** 2
    found = bottleneck(joint, beta, tilted(functions[:, 0], 0.5))

    def cost(encoder):
        table = encoder * joint.sum(1)[:, None]
        return _information(table) - beta * _information(encoder.T @ joint)

    least = cost(found.encoder)
    assert abs(least - (found.kept - beta * found.relevant)) < 1e-12
    for _ in range(20):
        step = 1e-3 * torch.randn(5, 2, dtype=torch.float64, generator=generator)
        moved = torch.softmax(found.encoder.log() + step, dim=1)
        assert cost(moved) >= least - 1e-12


def _information(joint):
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return float((joint * (joint / product).log()).sum())


def test_an_iteration_cut_short_yields_no_number():
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    with pytest.raises(FitFailedError):
        bottleneck(joint, 10.0, torch.tensor([[0.6, 0.4], [0.4, 0.6]], dtype=torch.float64), most=2)


def test_a_dear_bottleneck_tells_all_useful_patterns_apart():
    coarse = IterativeBottleneck(price=1000.0).fit(spin_chain(), generator=torch.Generator())
    assert abs(coarse.relevant - Rsmi().fit(spin_chain(), generator=torch.Generator()).available) < 1e-9


# --- learned ---------------------------------------------------------------------------------------------------------


def test_a_real_field_is_read_by_a_linear_filter_that_lifts():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1500, 1, 1, generator=generator).exp()  # not Gaussian
    noise = torch.randn(1500, 8, 1, generator=generator)
    field = distinct(hidden + 0.3 * noise, Chain(8))
    coarse = RsmiInfonce(batch=200, epochs=6).fit(field, generator=torch.Generator().manual_seed(0))
    assert coarse.linear
    assert coarse.information > 0.3
    out = coarse.values(field.values)
    torch.testing.assert_close(coarse.values(coarse.lift(out)), out, rtol=0, atol=1e-4)


def test_nothing_is_learned_from_noise():
    field = distinct(normal(1000, 8), Chain(8))
    for seed in range(4):
        with pytest.raises(NothingFoundError):
            RsmiInfonce(batch=200, epochs=4).fit(field, generator=torch.Generator().manual_seed(seed))


def test_too_few_blocks_and_too_many_modes_are_refused():
    few, many = distinct(normal(20, 8), Chain(8)), distinct(normal(200, 8), Chain(8))
    for scheme, field in ((RsmiInfonce(), few), (RsmiInfonce(modes=2), many)):
        with pytest.raises(StepNotPossibleError):
            scheme.fit(field, generator=torch.Generator())


def test_enumerated_laws_keep_their_kind():
    assert isinstance(Rsmi().fit(spin_chain(), generator=torch.Generator())(spin_chain()), EnumeratedLaw)
