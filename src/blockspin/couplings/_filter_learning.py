"""Filter learning: which filters lower the score-matching objective most, stopped where other samples say so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from blockspin.couplings._filter_basis import taps_of
from blockspin.couplings._lattice_basis import LatticeBasis
from blockspin.couplings._mode_basis import ModeBasis

NUMBERS = 2**16
"""Numbers of the field, samples times directions, that filters are learned from at most."""
STARTS, FIRST, STEPS, PATIENCE, RATE = 4, 40, 200, 50, 0.05
"""Random starts, steps of each, steps of the best of them, steps without gain after which it stops, size of a step."""
RIDGE = 1e-6
"""Of the scaled matrix of products: filters may become collinear on the way."""
EQUAL = 1e-12
"""Inverse of a condition number beyond which operators are the same to rounding."""
FARTHEST = 2.0
"""Deviations from the mean within which a step lies: one that a few samples reach is a straight line to others."""
COLLINEAR = 1e-6
"""Inverse of the largest condition number that learned filters may have."""
SCALE = (0.25, 8.0)
"""Deviations of a filtered field: a flatter step is a power of the field, a steeper one a kink."""


@dataclass(frozen=True, eq=False)
class _Half:
    """Samples with what the plain operators say of them.

    Args:
        x: Coordinates [D, n], float64.
        plain: Their gradients within the support [K, rank * n].
        laplacians: [K]; means.
    """

    x: Tensor
    plain: Tensor
    laplacians: Tensor

    @cached_property
    def products(self) -> Tensor:
        """Mean products of plain gradients, [K, K]."""
        return self.plain @ self.plain.T / self.x.shape[1]

    def mixed(self, weights: Tensor) -> _Half:
        """Return the same samples with other combinations of the plain operators, weights [K, combinations]."""
        return _Half(self.x, weights.T @ self.plain, weights.T @ self.laplacians)


@dataclass(frozen=True, eq=False)
class _Learner:
    """Couplings are solved for, so that filters alone are searched: variable projection.

    Args:
        taps: [taps, rows, D].
        inside: Directions that gradients are taken along [D, rank], or None for all sites as they are.
        train: What couplings are solved on.
        stop: What tells when to stop.
    """

    taps: Tensor
    inside: Tensor | None
    train: _Half
    stop: _Half

    def standard(self, raw: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return filters and offsets in units of the field, from numbers that may take any value."""
        seen = torch.einsum("ft,tc->fc", raw["w"], self._tapped)
        deviation = seen.std(1).clamp(min=1e-12)
        low, high = (torch.tensor(s, dtype=torch.float64).log() for s in SCALE)
        scale = torch.exp(low + (high - low) * torch.sigmoid(raw["s"])) / deviation
        place = FARTHEST * torch.tanh(raw["b"] / FARTHEST) * deviation
        return scale[:, None] * raw["w"], scale * (place - seen.mean(1))

    @cached_property
    def _tapped(self) -> Tensor:
        """Return the training samples through every tap, [taps, rows * n]."""
        return (self.taps @ self.train.x).flatten(1)

    def sums(self, half: _Half, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrix of products and the Laplacians of all operators, filters last."""
        maps = torch.einsum("ft,trd->frd", w, self.taps)
        steps = (maps @ half.x + b[:, None, None]).tanh()
        n = half.x.shape[1]
        back = maps if self.inside is None else maps @ self.inside
        gradients = (back.transpose(1, 2) @ steps).flatten(1)
        cross = half.plain @ gradients.T / n
        products = torch.cat(
            [torch.cat([half.products, cross], 1), torch.cat([cross.T, gradients @ gradients.T / n], 1)]
        )
        slopes = (back.square().sum(2)[:, :, None] * (1 - steps.square())).sum((1, 2)) / n
        return products, torch.cat([half.laplacians, slopes])

    def objective(self, raw: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the objective of the training samples at their best couplings, and the others' at the same."""
        w, b = self.standard(raw)
        A, c = self.sums(self.train, w, b)
        root = A.diagonal().sqrt()
        g = torch.linalg.solve(A / torch.outer(root, root) + RIDGE * torch.eye(len(A), dtype=A.dtype), c / root) / root
        with torch.no_grad():
            A2, c2 = self.sums(self.stop, w, b)
            stopped = g @ A2 @ g / 2 - g @ c2
        return g @ A @ g / 2 - g @ c, stopped


def learned(
    plain: LatticeBasis | ModeBasis,
    taught: Tensor,
    judged: Tensor,
    filters: int,
    reach: int,
    *,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return weights [filters, taps] and offsets [filters] that lower the objective most beside the plain operators.

    Couplings are solved for on the samples that teach at every step, the gradient in the filters is followed, and what
    is kept is that which did best on those that judge, of several random starts.

    Args:
        plain: The other operators of the energy.
        taught: [n, sites, components], in any order that means nothing; the first of them are used.
        judged: The same of other units.
        filters: How many.
        reach: Taps of a filter beside its own site, where sites have distances.
        generator: Of the starts.
    """
    inside = None if isinstance(plain, ModeBasis) else _inside(plain)
    train, stop = (_half(plain, values, share, inside) for values, share in ((taught, 0.75), (judged, 0.25)))
    apart = _orthonormal(train.products)
    learner = _Learner(taps_of(plain, reach), inside, train.mixed(apart), stop.mixed(apart))
    starts = [_descended(learner, _start(learner, filters, start, generator), FIRST) for start in range(STARTS)]
    found = _descended(learner, min(starts, key=lambda path: path.stopped).raw, STEPS)
    return _apart(learner, *learner.standard(found.raw))


def _orthonormal(products: Tensor) -> Tensor:
    """Return combinations [K, combinations] of operators whose gradients are orthonormal.

    Those of a quadratic form themselves are nearly collinear where modes vary by very different amounts.
    """
    root = products.diagonal().sqrt()
    e, V = torch.linalg.eigh(products / torch.outer(root, root))
    kept = e > EQUAL * e[-1]
    return V[:, kept] / e[kept].sqrt() / root[:, None]


def _inside(plain: LatticeBasis) -> Tensor | None:
    """Return the directions that gradients are taken along, or None for all sites as they are."""
    if plain.scaled is not None or plain.frame is None or plain.frame.rank == plain.geometry.sites:
        return plain.scaled
    return plain.frame.modes


def _half(plain: LatticeBasis | ModeBasis, values: Tensor, share: float, inside: Tensor | None) -> _Half:
    """Return the first samples, up to a share of the most numbers, with what the plain operators say of them."""
    field = plain.field(values.to(torch.float64))
    x = plain.coordinates(field)[:, : max(4, int(share * NUMBERS) // len(field))].contiguous()
    G = plain.gradients(x)
    G = G if inside is None else inside.T @ G
    return _Half(x, G.flatten(1), plain.laplacians(x).mean(1))


def _apart(learner: _Learner, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the filters without those that others make up for: couplings of collinear ones mean nothing."""
    while len(w) > 1:
        A, _ = learner.sums(learner.train, w, b)
        root = A.diagonal().sqrt()
        e, V = torch.linalg.eigh(A / torch.outer(root, root))
        if e[0] > COLLINEAR * e[-1]:
            break
        worst = int(V[-len(w) :, 0].abs().argmax())
        kept = torch.arange(len(w)) != worst
        w, b = w[kept], b[kept]
    return w, b


@dataclass(frozen=True, eq=False)
class _Path:
    """The best place along a descent: its numbers, and the objective of the stopping samples there."""

    raw: dict[str, Tensor]
    stopped: float


def _start(learner: _Learner, filters: int, start: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return random filters, the first of them with its step at the mean and the others anywhere in the samples.

    On sites with distances each begins mostly at its own site; otherwise mostly along one coordinate, from start to
    start along another: a step across all of them at once seldom finds the way.
    """
    taps, rows = learner.taps.shape[:2]
    w = 0.2 * torch.randn(filters, taps, dtype=torch.float64, generator=generator)
    mostly = torch.zeros(filters, dtype=torch.int64) if rows > 1 else (torch.arange(filters) + start) % taps
    w[torch.arange(filters), mostly] = 1
    b = torch.randn(filters, dtype=torch.float64, generator=generator)
    b[0] = 0
    return {"w": w, "s": torch.zeros(filters, dtype=torch.float64), "b": b}


def _descended(learner: _Learner, raw: dict[str, Tensor], steps: int) -> _Path:
    """Follow the gradient, and return the place where the stopping samples are described best."""
    raw = {key: value.clone().requires_grad_() for key, value in raw.items()}
    optimiser = torch.optim.Adam(raw.values(), lr=RATE)
    best, since = _Path(raw, torch.inf), 0
    for _ in range(steps):
        optimiser.zero_grad()
        loss, stopped = learner.objective(raw)
        since += 1
        if float(stopped) < best.stopped:
            best, since = _Path({key: value.detach().clone() for key, value in raw.items()}, float(stopped)), 0
        if since > PATIENCE:
            break
        loss.backward()
        optimiser.step()
    return best
