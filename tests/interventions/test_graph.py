"""A planted graph is found at the rate of false discoveries that is promised; strengths are not those that chose it."""

import pytest
import torch
from interventions.linear_layers import grouped, hop
from scipy.stats import binom

from blockspin import Ensemble
from blockspin.interventions.graph import ACROSS, WITHIN, FeatureCouplings, coupling_graph
from blockspin.observables.base import evaluate
from blockspin.observables.covariance import Moments

K, SAMPLES, GROUPS, NOISE = 8, 800, 16, 0.7
LINKS = {(k, (k + 1) % K) for k in range(K)}
ANSWERS = {(0, 0): 0.4, (1, 3): -0.4, (2, 2): 0.5, (4, 1): 0.4, (5, 5): -0.5, (7, 6): 0.4}


def precision() -> torch.Tensor:
    A = torch.eye(K, dtype=torch.float64)
    for i, j in LINKS:
        A[i, j] = A[j, i] = -0.3
    return A


def jacobian() -> torch.Tensor:
    B = torch.zeros(K, K, dtype=torch.float64)
    for pair, strength in ANSWERS.items():
        B[pair] = strength
    return B


def joint() -> torch.Tensor:
    """Return the covariance of x, x again as the coordinates of the whole, and y."""
    C, B = torch.linalg.inv(precision()), jacobian()
    first = torch.cat([C, C, C @ B], 1)
    return torch.cat([first, first, torch.cat([B.T @ C, B.T @ C, B.T @ C @ B + NOISE**2 * torch.eye(K)], 1)])


def drawn(generator: torch.Generator) -> torch.Tensor:
    root = torch.linalg.cholesky(torch.linalg.inv(precision()))
    x = torch.randn(SAMPLES, K, generator=generator, dtype=torch.float64) @ root.T
    y = x @ jacobian() + NOISE * torch.randn(SAMPLES, K, generator=generator, dtype=torch.float64)
    return torch.cat([x, x, y], 1)


def law() -> dict[str, torch.Tensor]:
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    C = joint()
    return {"weight": one, "squares": zero, "mean": torch.zeros(len(C), dtype=torch.float64), "scatter": C}


def test_couplings_of_a_law_are_those_planted():
    C, found = joint(), FeatureCouplings(K, K).value(law())
    wanted = -precision().fill_diagonal_(0.0)
    assert torch.allclose(found[WITHIN], wanted, atol=1e-12)
    deviation = C.diagonal().sqrt()
    assert torch.allclose(found[ACROSS], jacobian() * deviation[:K, None] / deviation[2 * K :], atol=1e-12)
    A = torch.linalg.inv(C[K:, K:])  # the block of the joint precision says the same
    block = -torch.linalg.solve(A[K:, K:], A[K:, :K]).T
    assert torch.allclose(block, jacobian(), atol=1e-12)


def test_a_planted_graph_is_found_at_the_stated_rate_of_false_edges():
    generator, one = torch.Generator().manual_seed(0), hop(K, K)
    truth = FeatureCouplings(K, K).value(law())
    shares, found, scores = [], [], []
    for _ in range(40):
        states = [{"x -> y": grouped(drawn(generator), GROUPS)} for _ in range(2)]
        graph = coupling_graph([one], *states, level=0.1)
        assert graph.looks == K * (K - 1) // 2 + K * K
        edges = [(e.kind, int(e.source[1][1:]), int(e.target[1][1:]), e.coupling) for e in graph.edges]
        real = [
            (kind == WITHIN and ((i, j) in LINKS or (j, i) in LINKS)) or (kind == ACROSS and (i, j) in ANSWERS)
            for kind, i, j, _ in edges
        ]
        shares.append(1 - sum(real) / max(len(real), 1))
        found.append(sum(real) / (len(LINKS) + len(ANSWERS)))
        scores += [(m.value - float(truth[kind][i, j])) / m.error for kind, i, j, m in edges]
    share, score = torch.tensor(shares), torch.tensor(scores)
    assert float(share.mean()) <= 0.1 + 3 * float(share.std()) / len(share) ** 0.5
    assert float(share.mean()) > 0.02  # the level is used, not merely kept
    assert sum(found) / len(found) > 0.97
    expected = (GROUPS - 1) / (GROUPS - 3)  # variance of Student's t
    assert abs(float(score.square().mean()) / expected - 1) < 0.25
    assert abs(float(score.mean())) < 4 * (expected / len(score)) ** 0.5


@pytest.mark.slow
def test_without_couplings_there_are_no_edges_but_the_stated_share_of_times():
    generator, one = torch.Generator().manual_seed(1), hop(4, 4)
    some = 0
    for _ in range(120):
        values = torch.randn(2, 200, 12, generator=generator, dtype=torch.float64)
        values[:, :, :4] = values[:, :, 4:8]
        states = [{"x -> y": grouped(half, 8)} for half in values]
        some += bool(coupling_graph([one], *states).edges)
    assert some <= binom.ppf(0.99, 120, 0.05)


def test_the_field_is_read_off_its_end():
    assert FeatureCouplings(2, 1).monoid == Moments()
    values = torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = evaluate(FeatureCouplings(2, 1), Ensemble.of(values))
    alone = evaluate(FeatureCouplings(2, 1), Ensemble.of(values[:, 2:]))
    assert torch.allclose(whole[ACROSS], alone[ACROSS], atol=1e-12)
