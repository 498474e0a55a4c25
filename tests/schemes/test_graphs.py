"""Diffusion, percolation, macrostates and quotients against slow twins and by invariance."""

import numpy as np
import pytest
import torch

from blockspin import Chain, Ensemble, GaussianLaw, Graph, Grid, Tree, Unordered
from blockspin.errors import ConfigError, MissingDependencyError, NothingFoundError, StepNotPossibleError
from blockspin.flows.iterate import iterate
from blockspin.observables.base import evaluate
from blockspin.observables.heat_capacity import TIMES, HeatCapacity, entropy, heat_capacity, plateau_of
from blockspin.schemes import _diffusion
from blockspin.schemes._diffusion import adjacency, adjacency_of, mixed_clusters
from blockspin.schemes._markov import galerkin, memberships, walk_modes
from blockspin.schemes.kernel_modes import KernelModes
from blockspin.schemes.laplacian import Laplacian
from blockspin.schemes.macrostates import Macrostates
from blockspin.schemes.percolation import Percolation, percolating_clusters
from blockspin.schemes.principal_modes import PrincipalModes
from blockspin.schemes.quotient import Quotient
from blockspin.schemes.wavelet import Wavelet
from blockspin.testing._compare import same_up_to
from blockspin.testing.worlds import generic_law, grouped_law
from blockspin.theory import graph_laplacian as theory
from blockspin.theory import markov

NO_CHANCE = torch.Generator()


def random_edges(nodes, count, seed=0):
    return np.random.default_rng(seed).integers(nodes, size=(count, 2))


# --- diffusion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.3, 1.0, 3.0])
def test_large_graphs_are_mixed_as_small_ones(tau, monkeypatch):
    A = adjacency(random_edges(200, 260), 200)  # with isolated nodes
    dense = mixed_clusters(A, tau)
    monkeypatch.setattr(_diffusion, "DENSE", 0)
    monkeypatch.setattr(_diffusion, "COLUMNS", 60)
    assert np.array_equal(dense, mixed_clusters(A, tau))


def test_graphs_of_geometries_have_the_edges_that_they_should():
    degree = {
        Chain(6): [2] * 6,
        Chain(4, periodic=False): [1, 2, 2, 1],
        Grid((2, 3), periodic=False): [2, 3, 2, 2, 3, 2],
        Tree(2, 2): [1, 1, 1, 1, 3, 3, 2],
    }
    for geometry, expected in degree.items():
        assert adjacency_of(geometry).sum(axis=0).tolist() == expected, geometry
    assert adjacency_of(Unordered(3)) is None


def test_the_heat_capacity_is_the_derivative_of_the_entropy():
    spectrum, tau = theory.star_spectrum(9), np.geomspace(0.1, 5, 9)
    step = 1e-5
    slope = (entropy(spectrum, tau * np.exp(step)) - entropy(spectrum, tau * np.exp(-step))) / (2 * step)
    assert np.allclose(heat_capacity(spectrum, tau), -slope, atol=1e-8)
    rho = np.exp(-spectrum * 0.7) / np.exp(-spectrum * 0.7).sum()
    assert entropy(spectrum, np.array([0.7]))[0] == pytest.approx(-(rho * np.log(rho)).sum(), abs=1e-12)


def test_a_disconnected_graph_keeps_its_components():
    edges = torch.tensor([[0, 1], [1, 2], [0, 2], [3, 4], [4, 5], [3, 5]])
    field = Ensemble.of(torch.randn(4, 7, generator=torch.Generator().manual_seed(0)), Graph(7, edges))
    flow = iterate((field, field), Laplacian(tau=50.0), generator=NO_CHANCE)
    assert flow[1].map.cluster.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert "mixes no two" in flow.ended


def test_a_lattice_whose_sites_are_alike_is_refused():
    field = Ensemble.of(torch.randn(4, 12, generator=torch.Generator().manual_seed(0)), Chain(12))
    with pytest.raises(StepNotPossibleError, match="all alike"):
        Laplacian().fit(field, generator=NO_CHANCE)


def test_samples_on_a_circle_have_the_dimension_of_a_line():
    angle = 2 * torch.pi * torch.arange(400, dtype=torch.float64) / 400
    found = evaluate(HeatCapacity(neighbours=2), Ensemble.of(torch.stack([angle.cos(), angle.sin()], dim=1)))
    assert float(found["spectral_dimension"]) == pytest.approx(1.0, abs=0.1)
    assert found["capacity"].shape == (len(TIMES),)


def test_samples_of_noise_in_many_dimensions_have_none(generator):
    noise = Ensemble.of(torch.randn(400, 30, generator=generator))
    assert "spectral_dimension" not in evaluate(HeatCapacity(), noise)
    assert plateau_of(TIMES, np.zeros(len(TIMES))) is None


# --- percolation -----------------------------------------------------------------------------------------------------


def slow_percolation(affinity):
    """The definition: at every threshold the mean size of all clusters but the largest."""
    from scipy.sparse.csgraph import connected_components

    best, found = 0.0, None
    for threshold in np.unique(affinity[affinity > 0])[::-1]:
        _, label = connected_components(affinity >= threshold, directed=False)
        sizes = np.sort(np.bincount(label))[:-1]
        if (sizes**2).sum() > best:
            best, found = (sizes**2).sum(), label
    return found


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_the_definition(seed):
    affinity = np.random.default_rng(seed).random((24, 24)).round(6)
    affinity = np.triu(affinity, 1) + np.triu(affinity, 1).T
    assert np.array_equal(percolating_clusters(affinity), slow_percolation(affinity))


# --- macrostates -----------------------------------------------------------------------------------------------------


def test_memberships_are_fuzzy_sets_in_the_span_of_the_modes(generator):
    W = torch.rand(30, 30, dtype=torch.float64, generator=generator).numpy()
    eigenvalues, modes, stationary = walk_modes(W + W.T)
    chi = memberships(modes[:, :4])
    assert chi.min() >= 0
    assert np.allclose(chi.sum(axis=1), 1, atol=1e-12)
    coefficients = np.linalg.lstsq(modes[:, :4], chi, rcond=None)[0]
    assert np.allclose(modes[:, :4] @ coefficients, chi, atol=1e-10)
    T = (W + W.T) / (W + W.T).sum(axis=1, keepdims=True)
    assert np.allclose(stationary @ T, stationary, atol=1e-12)
    coarse = galerkin(T, stationary, chi)
    assert np.allclose(np.sort(np.linalg.eigvals(coarse).real)[::-1], eigenvalues[:4], atol=1e-9)
    assert np.allclose(galerkin(T @ T, stationary, chi), coarse @ coarse, atol=1e-9)


def test_the_lumped_chain_refuses_what_is_not_lumpable():
    assert np.allclose(markov.lumped(markov.LUMPABLE, np.array([0, 0, 1, 1])), [[0.4, 0.6], [0.7, 0.3]])
    with pytest.raises(ValueError, match="not lumpable"):
        markov.lumped(markov.LUMPABLE, np.array([0, 1, 0, 1]))


def test_a_spectrum_without_a_gap_ends_the_ladder_by_name():
    ring = GaussianLaw.of(0.9 ** Chain(36).distances(), Chain(36))
    with pytest.raises(NothingFoundError, match="no gap"):
        Macrostates(gap=0.9).fit(ring, generator=NO_CHANCE)


def found_macrostates(law, samples, seeds):
    """Return the crispness of the macrostates that samples show, of those that show any."""
    found = []
    for seed in range(seeds):
        field = law.sample(samples, generator=torch.Generator().manual_seed(seed))
        try:
            found.append(Macrostates().fit(field, generator=NO_CHANCE).crispness)
        except NothingFoundError:
            continue
    return found


def test_macrostates_are_seldom_found_where_all_sites_are_alike():
    alike = [GaussianLaw.of(r + (1 - r) * torch.eye(24, dtype=torch.float64), Unordered(24)) for r in (0.0, 0.3)]
    assert len(found_macrostates(alike[0], 200, 100)) == 0
    assert len(found_macrostates(alike[1], 200, 100)) <= 12  # 6 were
    assert len(found_macrostates(alike[1], 2000, 40)) == 0


def test_macrostates_of_a_smooth_chain_are_false_alarms_that_their_crispness_tells():
    smooth = GaussianLaw.of(0.9 ** Chain(24).distances(), Chain(24))
    arcs, groups = found_macrostates(smooth, 1000, 20), found_macrostates(grouped_law(4, 6), 1000, 20)
    assert len(arcs) == len(groups) == 20
    assert max(arcs) < 0.6 < 0.9 < min(groups)


# --- quotient --------------------------------------------------------------------------------------------------------


def test_a_quotient_does_not_know_the_scale_nor_the_order_of_sites(generator):
    field = grouped_law(3, 4).sample(500, generator=generator)
    scale, order = torch.rand(12, generator=generator) * 5 + 0.2, torch.randperm(12, generator=generator)
    changed = Ensemble.of((field.values[:, :, 0] * scale)[:, order], Unordered(12), units=field.units)
    one, two = (Quotient().fit(x, generator=NO_CHANCE)(x) for x in (field, changed))
    assert one.geometry.sites == two.geometry.sites == 3
    ratio = [evaluate_ratio(x) for x in (one, two)]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-5)


def evaluate_ratio(ensemble):
    from blockspin.observables.participation_ratio import ParticipationRatio

    return float(evaluate(ParticipationRatio(), ensemble)["plain"])


def test_exchangeable_sites_are_parted_no_more_often_than_stated():
    parted = 0
    for seed in range(200):
        law = GaussianLaw.of(torch.full((6, 6), 0.3) + 0.7 * torch.eye(6), Unordered(6))
        field = law.sample(100, generator=torch.Generator().manual_seed(seed))
        try:
            parted += int(Quotient(level=0.05).fit(field, generator=NO_CHANCE).cluster.max()) > 0
        except StepNotPossibleError:  # the test of the whole, at 1 %
            parted += 1
    assert parted <= 18


@pytest.mark.slow
@pytest.mark.parametrize("samples", [40, 150, 300])
def test_sites_that_all_differ_are_never_merged_hard_on_few_samples(samples):
    """Sites of a generic covariance share no symmetry: an end of the ladder by name, or nearly all sites kept."""
    for seed in range(10):
        field = generic_law(Unordered(96)).sample(samples, generator=torch.Generator().manual_seed(seed))
        with pytest.raises(StepNotPossibleError, match=rf"{samples} independent samples|no two of 96"):
            Quotient().fit(field, generator=NO_CHANCE)


def test_orbits_that_are_exchangeable_pass_the_test_of_the_whole():
    refused = 0
    for seed in range(100):
        field = grouped_law(2, 4).sample(300, generator=torch.Generator().manual_seed(seed))
        try:
            Quotient().fit(field, generator=torch.Generator().manual_seed(seed))
        except StepNotPossibleError:
            refused += 1
    assert refused <= 5  # 1 % is nominal


# --- kernel modes and wavelets ---------------------------------------------------------------------------------------


def test_wide_kernels_give_principal_modes(generator):
    field = generic_law(Unordered(8)).sample(300, generator=generator)
    field = field.with_values(field.values.double())
    linear = PrincipalModes(b=2).fit(field, generator=NO_CHANCE)(field).values
    gaps = []
    for width in (10.0, 30.0):
        found = KernelModes(b=2, width=width).fit(field, generator=NO_CHANCE)(field).values
        gaps.append(float((found.abs() - linear.abs()).abs().max() / linear.abs().max()))
    assert gaps[0] < 0.05
    assert gaps[1] == pytest.approx(gaps[0] / 9, rel=0.2)  # the deviation falls as 1 / width^2


def test_kernel_modes_do_not_know_the_order_of_sites_and_extend_to_new_samples(generator):
    field = generic_law(Unordered(8)).sample(200, generator=generator)
    field = field.with_values(field.values.double())
    order = torch.randperm(8, generator=generator)
    renumbered = Ensemble(field.batch.with_values(field.values[:, order]), Unordered(8))
    one, two = (KernelModes(b=2).fit(x, generator=NO_CHANCE) for x in (field, renumbered))
    new = torch.randn(20, 8, 1, dtype=torch.float64, generator=generator)
    assert float((one.values(new).abs() - two.values(new[:, order]).abs()).abs().max()) < 1e-6
    assert float(one(field).values.mean(0).abs().max()) < 1e-9
    assert 1 < one.effective_number < 200


def test_landmarks_are_nearly_as_good_as_all_samples(generator):
    field = generic_law(Unordered(8)).sample(400, generator=generator)
    whole = KernelModes(b=4, width=3.0).fit(field, generator=NO_CHANCE)(field).values
    some = KernelModes(b=4, width=3.0, landmarks=120).fit(field, generator=NO_CHANCE)(field).values
    similarity = torch.nn.functional.cosine_similarity(whole.flatten(1), some.flatten(1), dim=0).abs()
    assert float(similarity.min()) > 0.99


@pytest.mark.parametrize("wavelet", ["haar", "db2", "sym4"])
def test_coarse_part_and_details_together_keep_every_number(wavelet, generator):
    field = Ensemble.of(torch.randn(5, 64, dtype=torch.float64, generator=generator), Grid((8, 8)))
    coarse = Wavelet(wavelet).fit(field, generator=NO_CHANCE)
    (details,) = coarse.details(field.values)
    energy = coarse.values(field.values).square().sum() + sum(part.square().sum() for part in details.values())
    assert float(energy) == pytest.approx(float(field.values.square().sum()), rel=1e-12)


def test_wavelets_say_what_to_install_and_what_there_is(monkeypatch):
    field = Ensemble.of(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), Chain(8))
    with pytest.raises(ConfigError, match="haar"):
        Wavelet("bior13").fit(field, generator=NO_CHANCE)
    monkeypatch.setitem(__import__("sys").modules, "pywt", None)
    with pytest.raises(MissingDependencyError, match=r"blockspin\[wavelets\]"):
        Wavelet("haar").fit(field, generator=NO_CHANCE)


@pytest.mark.parametrize("scheme", [Macrostates(), Percolation(), Laplacian(tau=2.0)])
def test_renumbered_samples_are_grouped_alike(scheme, generator):
    field = grouped_law(4, 5).sample(800, generator=generator)
    field = field.with_values(field.values.double())
    order = torch.randperm(20, generator=generator)
    renumbered = field.with_values(field.values[:, order])
    one, two = (scheme.fit(x, generator=NO_CHANCE).values(x.values) for x in (field, renumbered))
    assert same_up_to("permutation", one, two)
