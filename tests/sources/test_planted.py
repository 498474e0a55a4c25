"""Planted structure: what the truth says is what made the samples, and known numbers are met."""

from itertools import product

import numpy as np
import pytest
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, ShapeError
from blockspin.registry import members
from blockspin.sources.asymmetric_sk import AsymmetricSK
from blockspin.sources.base import PlantedModel, Truth
from blockspin.sources.dyson_gaussian import DysonGaussian
from blockspin.sources.field_mixture import FieldMixture
from blockspin.sources.hidden_markov import HiddenMarkov
from blockspin.sources.hierarchical_tree import HierarchicalTree
from blockspin.sources.latent_drivers import LatentDrivers
from blockspin.sources.markov_chain import MarkovChain
from blockspin.sources.percolation import Percolation
from blockspin.sources.random_hierarchy import RandomHierarchy
from blockspin.sources.toy_superposition import ToySuperposition
from blockspin.theory import dyson_gaussian, hidden_markov, latent_drivers

PLANTED = {name: cls for name, cls in members("sources").items() if issubclass(cls, PlantedModel)}


def drawn(model: PlantedModel, samples: int, seed: int = 0) -> tuple[Ensemble, Truth]:
    return model.sample_with_truth(samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PLANTED)
def test_truth_is_aligned_and_changes_no_sample(name):
    ensemble, truth = drawn(PLANTED[name](), 17)
    assert torch.equal(ensemble.values, PLANTED[name]().sample(17, generator=torch.Generator().manual_seed(0)).values)
    assert truth.samples or truth.shared
    assert all(len(tensor) == 17 for tensor in truth.samples.values())


@pytest.mark.parametrize("name", PLANTED)
def test_the_docstring_names_what_the_truth_holds(name):
    _, truth = drawn(PLANTED[name](), 4)
    doc = PLANTED[name].__doc__
    for key in (*truth.samples, *truth.shared):
        assert f'"{key}"' in doc or f'"{key[:-1]}' in doc, key  # level_0 to level_D


@pytest.mark.parametrize("name", [n for n, c in PLANTED.items() if "instance" in c.__dataclass_fields__])
def test_the_structure_is_that_of_the_instance(name):
    one, same, other = (drawn(PLANTED[name](instance=k), 8, seed)[1].shared for k, seed in ((0, 0), (0, 1), (1, 0)))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


# --- trees ------------------------------------------------------------------------------------------------------------


def test_leaves_of_a_tree_are_the_sums_of_their_ancestors():
    ensemble, truth = drawn(HierarchicalTree(branching=3, depth=2), 5)
    total = sum(nodes.repeat_interleave(3**level, 1) for level, nodes in enumerate(truth.samples.values()))
    assert torch.allclose(ensemble.values[:, :, 0], total.float())


@pytest.mark.parametrize(("branching", "depth", "strength"), [(2, 4, 1.3), (3, 2, 2.5)])
def test_the_law_of_dyson_s_model_is_the_inverse_of_its_action(branching, depth, strength):
    mass = dyson_gaussian.critical_mass(strength, branching) + 0.1
    sites = branching**depth
    action = mass * np.eye(sites)
    for level in range(1, depth + 1):
        size = branching**level
        for start in range(0, sites, size):
            action[start : start + size, start : start + size] -= (strength / branching**2) ** level
    law = DysonGaussian(branching, depth, strength, mass).law()
    assert law.covariance.numpy() == pytest.approx(np.linalg.inv(action), abs=1e-11)


# --- chains of symbols ------------------------------------------------------------------------------------------------


def test_a_markov_chain_has_the_correlation_length_asked_for():
    chain = MarkovChain.of_length(4.0, states=2, window=12)
    law = chain.law()
    x = law.values[:, :, 0] - 0.5
    correlation = (law.weights[:, None] * x[:, :1] * x).sum(0) / 0.25
    assert correlation.numpy() == pytest.approx(np.exp(-np.arange(12) / 4.0), abs=1e-12)
    assert hidden_markov.correlation_length(np.array(chain.matrix)) == pytest.approx(4.0)


def lumped(P: np.ndarray, blocks: list[list[int]]) -> np.ndarray:
    """Return the chance of each block from each state, [states, blocks]."""
    return np.stack([P[:, block].sum(1) for block in blocks], axis=1)


def test_lumpable_chains_lump_and_others_do_not():
    coarse = ((0.9, 0.1), (0.3, 0.7))
    chain = MarkovChain.lumpable(coarse, 3, window=2)
    P = np.array(chain.matrix)
    assert lumped(P, [[0, 1, 2], [3, 4, 5]]) == pytest.approx(np.repeat(coarse, 3, axis=0), abs=1e-14)
    assert np.ptp(lumped(P, [[0, 3], [1, 4], [2, 5]])[[0, 3]], axis=0).max() > 0.01
    default = np.array(MarkovChain().matrix)
    assert lumped(default, [[0, 1], [2, 3]])[:, 0] == pytest.approx([0.4, 0.4, 0.7, 0.7])


def test_sampled_windows_follow_their_law():
    for model in (MarkovChain(window=3), HiddenMarkov.even(window=5), HiddenMarkov.mess3(window=3)):
        law, drawn_ = model.law(), model.sample(20000, generator=torch.Generator().manual_seed(2)).values
        for row, weight in zip(law.values, law.weights.tolist(), strict=True):
            share = float((drawn_[:, :, 0] == row[:, 0].float()).all(1).double().mean())
            assert abs(share - weight) < 5 * (weight * (1 - weight) / 20000) ** 0.5  # up to 64 windows
        assert int((drawn_[:, None, :, 0] == law.values[None, :, :, 0].float()).all(2).any(1).sum()) == 20000


def test_forbidden_words_do_not_occur():
    golden = HiddenMarkov.golden_mean().sample(500, generator=torch.Generator().manual_seed(0)).values[:, :, 0]
    assert not bool(((golden[:, 1:] == 0) & (golden[:, :-1] == 0)).any())
    law = HiddenMarkov.even(window=5).law().values[:, :, 0]
    assert not bool((law == torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0])).all(1).any())


def test_beliefs_are_the_posterior_of_the_states():
    model = HiddenMarkov.mess3(window=3)
    T, start = model.matrices, model.stationary()
    word = [2, 0, 1]
    joint = torch.zeros(3, dtype=torch.float64)  # over the last state, by summing over all paths
    for path in product(range(3), repeat=4):
        chance = start[path[0]]
        for t in range(3):
            chance = chance * T[word[t], path[t], path[t + 1]]
        joint[path[3]] += chance
    belief = model.beliefs(torch.tensor([word]))
    assert torch.allclose(belief[0, 3], joint / joint.sum(), atol=1e-14)
    assert torch.allclose(belief.sum(2), torch.ones(1, 4, dtype=torch.float64))


def test_beliefs_are_calibrated():
    _, truth = drawn(HiddenMarkov.mess3(window=4), 20000)
    last, state = truth.samples["beliefs"][:, -1], truth.samples["states"][:, -1]
    surprise = torch.nn.functional.one_hot(state, 3).double() - last
    assert float((surprise.mean(0) / surprise.std(0)).abs().max()) < 4 / 20000**0.5
    assert float(((surprise * last).mean(0) / (surprise * last).std(0)).abs().max()) < 4 / 20000**0.5


# --- hierarchies and clusters -----------------------------------------------------------------------------------------


def test_the_grammar_can_be_read_backwards():
    model = RandomHierarchy(features=5, synonyms=4, branching=2, depth=3, classes=3)
    ensemble, truth = drawn(model, 200)
    assert torch.equal(ensemble.values.argmax(2), truth.samples["level_0"])
    feature = truth.samples["level_0"]
    for level in (1, 2, 3):
        rule = truth.shared[f"rules_{level}"]
        meaning = {tuple(t): f for f, tuples in enumerate(rule.tolist()) for t in tuples}
        assert len(meaning) == rule.shape[0] * rule.shape[1]  # no tuple stands for two
        feature = torch.tensor([[meaning[tuple(t)] for t in row] for row in feature.reshape(200, -1, 2).tolist()])
        above = truth.samples[f"level_{level}"] if level < 3 else truth.samples["label"][:, None]
        assert torch.equal(feature, above)


def test_links_join_a_cluster_and_nothing_else():
    _, truth = drawn(Percolation(dimension=3), 3000)
    cluster, links, parent = truth.samples["cluster"], truth.shared["links"], truth.shared["parent"]
    assert bool((cluster[links[:, 0]] == cluster[links[:, 1]]).all())
    assert len(links) == 3000 - len(cluster.unique())  # trees
    root = truth.samples["node"].clone()
    while bool((parent[root] >= 0).any()):
        root = torch.where(parent[root] >= 0, parent[root], root)
    assert len(root.unique()) == len(cluster.unique())
    assert len(torch.unique(torch.stack([root, cluster], 1), dim=0)) == len(cluster.unique())
    leaves = torch.bincount(parent[parent >= 0], minlength=len(parent))
    assert sorted(truth.samples["node"].tolist()) == (leaves == 0).nonzero()[:, 0].tolist()
    assert set(leaves.tolist()) == {0, 2}


def test_steps_along_links_have_unit_mean_square():
    points, truth = drawn(Percolation(dimension=50), 3000)
    a, b = truth.shared["links"].T
    step = (points.values[a] - points.values[b]).square().sum((1, 2)).double()
    assert abs(float(step.mean()) - 1) < 4 * float(step.std()) / len(step) ** 0.5


# --- drivers, dictionaries, mixtures ----------------------------------------------------------------------------------


def test_driven_units_have_the_rates_and_covariances_of_theory():
    model = LatentDrivers(sites=4, latents=2, time=0.3, chains=40)
    x = model.sample(60000, generator=torch.Generator().manual_seed(1)).values[:, :, 0].double()
    W = model.weights().numpy()
    rate = latent_drivers.rates(W, model.bias)
    runs = x.reshape(40, 1500, 4)
    error = runs.mean(1).std(0) / 40**0.5
    assert float(((x.mean(0) - torch.from_numpy(rate)) / error).abs().max()) < 4
    d = runs - torch.from_numpy(rate)
    for i, j in ((0, 1), (1, 3), (2, 3)):
        product_ = (d[:, :, i] * d[:, :, j]).mean(1)
        exact = latent_drivers.covariance(W[i], W[j], model.bias)
        assert abs(float(product_.mean()) - exact) < 4 * float(product_.std()) / 40**0.5


def test_driven_units_are_independent_given_the_latents():
    model = LatentDrivers(sites=12)
    x, truth = drawn(model, 20000)
    chance = torch.sigmoid(model.bias + truth.samples["latents"] @ truth.shared["weights"].T)
    rest = (x.values[:, :, 0].double() - chance) / (chance * (1 - chance)).sqrt()
    raw = torch.corrcoef(x.values[:, :, 0].double().T).fill_diagonal_(0).abs().max()
    products = rest[:, :, None] * rest[:, None]
    z = products.mean(0).fill_diagonal_(0) / products.std(0) * 20000**0.5
    assert float(z.abs().max()) < 5  # the largest of 66
    assert float(raw) > 0.1


def test_superposed_features_give_their_samples_and_their_covariance():
    model = ToySuperposition(sites=6, features=20, active=0.2, noise=0.0)
    x, truth = drawn(model, 20000)
    D = truth.shared["dictionary"]
    assert torch.allclose(D.norm(dim=0), torch.ones(20, dtype=torch.float64))
    assert torch.allclose(x.values[:, :, 0].double(), truth.samples["features"] @ D.T, atol=1e-6)
    d = x.values[:, :, 0].double() - 0.1 * D.sum(1)
    products = d[:, :, None] * d[:, None]
    z = (products.mean(0) - model.covariance()) / products.std(0) * 20000**0.5
    assert float(z.abs().max()) < 4.5  # the largest of 21


def test_modes_of_a_mixture_have_its_variance_and_kurtosis():
    model = FieldMixture(shape=(16,), first_mass=0.05, second_mass=2.0, share=0.3)
    x, truth = drawn(model, 40000)
    mode = torch.fft.fft(x.values[:, :, 0].double(), dim=1).real
    for k in (0, 2):  # the real part of a mode that is not real holds half of its variance
        share = 16.0 if k == 0 else 8.0
        square = mode[:, k] ** 2 / share
        variance, kurtosis = float(model.spectrum()[k]), float(model.excess_kurtosis()[k])
        assert abs(float(square.mean()) - variance) < 4 * float(square.std()) / 200
        fourth = square**2 / variance**2 - 3
        assert abs(float(fourth.mean()) - kurtosis) < 4 * float(fourth.std()) / 200
    assert abs(float((truth.samples["label"] == 0).double().mean()) - 0.3) < 4 * (0.21 / 40000) ** 0.5


def test_spins_of_a_chain_follow_its_couplings():
    model = AsymmetricSK(sites=12, chains=1, deviation=1.5)
    spins, truth = drawn(model, 20000)
    s = spins.values[:, :, 0].double()
    h = model.beta * s[:-1] @ truth.shared["couplings"].T
    rest = s[1:] - torch.tanh(h)  # no mean, and none that the state before predicts
    products = rest[:, :, None] * s[:-1, None]
    assert float((products.mean(0) / products.std(0)).abs().max()) < 4.5 / 20000**0.5


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (AsymmetricSK, {"beta": -1.0}),
        (DysonGaussian, {"strength": 2.0}),
        (DysonGaussian, {"mass": 0.5}),
        (FieldMixture, {"first_mass": 0.0}),
        (FieldMixture, {"share": 1.0}),
        (HiddenMarkov, {"emissions": (((0.5, 0.5), (0.0, 0.9)),)}),
        (HiddenMarkov, {"emissions": (((1.0, 0.0), (0.0, 1.0)),)}),
        (HiddenMarkov, {"emissions": ()}),
        (LatentDrivers, {"time": 0.0}),
        (MarkovChain, {"matrix": ((0.5, 0.6), (0.5, 0.5))}),
        (MarkovChain, {"matrix": ((0.0, 1.0), (1.0, 0.0))}),
        (Percolation, {"split": 0.0}),
        (RandomHierarchy, {"synonyms": 9}),
        (RandomHierarchy, {"depth": 13}),
        (ToySuperposition, {"active": 0.0}),
    ],
)
def test_options_that_cannot_be_used_are_refused_by_name(model, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        model(**options)


@pytest.mark.parametrize("model", [MarkovChain(window=9), HiddenMarkov.even(window=17)])
def test_too_long_windows_have_no_law(model):
    with pytest.raises(ShapeError, match="too many to enumerate"):
        model.law()
