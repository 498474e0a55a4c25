"""Gaussian bottleneck: what Gaussian variables are worth keeping, in closed form, by our maps and by brute force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, log1p

import torch
from scipy.optimize import minimize_scalar

from blockspin.errors import NothingFoundError
from blockspin.geometry import Chain, Unordered
from blockspin.law import GaussianLaw
from blockspin.registry import member, register
from blockspin.schemes.base import Scheme
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import information_bottleneck as theory
from blockspin.theory.gaussian_information import markov_block, mutual_information

ROUNDING = 1e-10
PRINTED = 1e-6
RHO = 0.8


@register
@dataclass(frozen=True)
class GaussianBottleneckTether(Tether):
    """Fit bottlenecks to pairs of sites and to two fields, and filters to a Gauss-Markov chain; all exact."""

    name = "gaussian-bottleneck"
    system = "information bottleneck and real-space mutual information of jointly Gaussian variables"
    source = "chechik2005"
    schemes = ("information-bottleneck", "rsmi-gaussian", "block-bottleneck")

    def rows(self) -> Iterator[Row]:
        """Yield thresholds and points of the optimal curve; filters of a chain and what they tell."""
        pair = GaussianLaw.of(torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64), Unordered(2))
        yield exact("threshold beta at rho = 0.8 as tabulated elsewhere", 1.5625, theory.gaussian_threshold(RHO), 1e-12)
        for beta, kept in ((1.562, 0.0), (1.563, 1.0)):
            yield exact(f"something is kept at beta = {beta} (1 = yes)", kept, float(_keeps(pair, beta)), 0)
        for beta, printed in ((2.0, (0.4150375, 0.2369656)), (4.0, (1.2075187, 0.5294468))):
            expected = theory.gaussian_curve([RHO], beta)
            found = _curve(pair, beta, (1,))
            for name, known, closed, ours in zip(("X", "Y"), printed, expected, found, strict=True):
                quantity = f"I(T : {name}) at rho = 0.8, beta = {beta:g}"
                yield exact(f"{quantity}, as tabulated elsewhere", known, closed / log(2), PRINTED, "bits")
                yield exact(f"{quantity}, by the map", closed, ours, ROUNDING, "nats")
            cost = expected[0] - beta * expected[1]
            yield exact(f"least I_X - beta I_Y by brute force, beta = {beta:g}", cost, _brute(beta), 1e-9, "nats")
        yield from _fields()
        yield from _chain()


def _keeps(law: GaussianLaw, beta: float) -> bool:
    return _fits(member("schemes", "information-bottleneck")(beta=beta, relevant=(1,)), law)


def _fits(scheme: Scheme, law: GaussianLaw) -> bool:
    try:
        scheme.fit(law, generator=torch.Generator())
    except NothingFoundError:
        return False
    return True


def _curve(law: GaussianLaw, beta: float, relevant: tuple[int, ...]) -> tuple[float, float]:
    """Return I(T; X) and I(T; Y) of the map's signal with unit noise, by log determinants, in nats."""
    coarse = member("schemes", "information-bottleneck")(beta=beta, relevant=relevant)
    A = coarse.fit(law, generator=torch.Generator()).encoder
    eye = torch.eye(A.shape[1], dtype=torch.float64)
    y = torch.tensor(relevant)
    signal, cross = A.T @ law.covariance @ A + eye, A.T @ law.covariance[:, y]
    rest = signal - cross @ torch.linalg.solve(law.covariance[y][:, y], cross.T)
    whole = float(torch.logdet(signal)) / 2
    return whole, whole - float(torch.logdet(rest)) / 2


def _brute(beta: float) -> float:
    """Minimise over T = a X + noise for one X and one Y."""

    def cost(a: float) -> float:
        return log1p(a * a) / 2 + beta / 2 * log1p(-(RHO**2) * a * a / (1 + a * a))

    return float(minimize_scalar(cost, bounds=(0, 20), method="bounded", options={"xatol": 1e-10}).fun)


def _fields() -> Iterator[Row]:
    """Two fields of three sites of known canonical correlations, each mixed by a matrix."""
    rho = (0.9, 0.6, 0.2)
    mixing = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    eye, across = torch.eye(3, dtype=torch.float64), torch.diag(torch.tensor(rho, dtype=torch.float64))
    M = torch.block_diag(*mixing)
    law = GaussianLaw.of(M @ torch.cat([torch.cat([eye, across], 1), torch.cat([across, eye], 1)]) @ M.T, Unordered(6))
    for beta in (2.0, 5.0, 100.0):
        expected, found = theory.gaussian_curve(rho, beta), _curve(law, beta, (3, 4, 5))
        for name, closed, ours in zip(("X", "Y"), expected, found, strict=True):
            yield exact(f"I(T : {name}) of fields of three sites, beta = {beta:g}", closed, ours, ROUNDING, "nats")


def _chain() -> Iterator[Row]:
    """A stretch of a Gauss-Markov chain that holds one block of two in the middle."""
    position = torch.arange(6)
    law = GaussianLaw.of(0.7 ** (position[:, None] - position).abs().to(torch.float64), Chain(6, periodic=False))
    even, odd = markov_block(0.7, 1)
    coarse = member("schemes", "rsmi-gaussian")(b=2).fit(law, generator=torch.Generator())
    told = mutual_information([even])
    yield exact("I(filter : E) on a Gauss-Markov chain, buffer 1", told, coarse.information, ROUNDING, "nats")
    whole = mutual_information([even, odd])
    yield exact("I(block : E) on a Gauss-Markov chain, buffer 1", whole, coarse.available, ROUNDING, "nats")
    level = float((coarse.filters[:, 0] - 0.5**0.5).abs().max())
    yield exact("the best filter is the mean of the block, largest deviation", 0.0, level, 1e-7)
    yield from _blocks(law, (even, odd))


def _blocks(law: GaussianLaw, rho: tuple[float, float]) -> Iterator[Row]:
    """Compress the block about its environment: the mean is worth keeping from its threshold on, and what it tells."""
    bottleneck = member("schemes", "block-bottleneck")
    threshold = theory.gaussian_threshold(rho[0])
    for share in (1 - 1e-9, 1 + 1e-9):
        scheme = bottleneck(b=2, beta=threshold * share)
        about = "below" if share < 1 else "above"
        quantity = f"the block is worth keeping a part in 10^9 {about} its threshold (1 = yes)"
        yield exact(quantity, float(share > 1), float(_fits(scheme, law)), 0)
    for beta in (4.0, 10.0):
        expected = theory.gaussian_curve(rho, beta)
        coarse = bottleneck(b=2, beta=beta).fit(law, generator=torch.Generator())
        for name, closed, ours in zip(("V", "E"), expected, (coarse.cost, coarse.relevant), strict=True):
            quantity = f"I(T : {name}) of a block on a Gauss-Markov chain, beta = {beta:g}"
            yield exact(quantity, closed, ours, ROUNDING, "nats")
