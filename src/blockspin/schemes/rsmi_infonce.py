"""Rsmi-infonce: learn the filters of a block that tell most of its far environment, by a bound of the information."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.ensemble import Ensemble, check_finite, group_of
from blockspin.errors import NothingFoundError, StepNotPossibleError
from blockspin.law import EnumeratedLaw, GaussianLaw, Source
from blockspin.registry import register
from blockspin.schemes._canonical import ridge_canonical
from blockspin.schemes._filters import FilterMap, SignMap
from blockspin.schemes._frame import Frame, framed, require_fewer, require_frame
from blockspin.schemes._infonce import Learned, Training, as_it_is, learn, straight_through
from blockspin.schemes.base import Scheme

DRAWN = 1000
"""Samples that are drawn of an enumerated law."""
LEAST_ROWS = 64
"""Blocks of samples below which nothing is learned."""
BEYOND = 4
"""Standard errors by which the held-out bound must exceed zero."""


@register
@dataclass(frozen=True)
class RsmiInfonce(Scheme):
    r"""Learn the filters of a block that tell most of its far environment, by a bound of the information.

    For fields that can neither be counted (``rsmi``) nor are Gaussian (``rsmi-gaussian``). Filters Lambda of a block V
    are trained together with a separable critic f = u(h) . w(e) so as to maximise

    .. math:: I(h : E) \ge \Big\langle f(h, e) - \ln \frac1n \sum_j e^{f(h, e_j)} \Big\rangle

    over batches of n blocks and environments. Fields of two values are read as signs, h = sign(Lambda . V), through a
    Gumbel relaxation that is cooled to hard signs; real fields as h = Lambda . V. One set of filters serves all
    blocks; training begins with canonical variables of covariances that are shrunk until they hold on other samples.
    A fifth of the units is held out: training ends where their bound does not grow any more, and what they read is the
    ``information`` of the map.

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.
        buffer: Sites between a block and its environment, in current lattice spacings.
        reach: Width of the environment, in current lattice spacings.
        modes: Filters of a block; the coarse field has as many components.
        batch: Rows a step: the bound cannot exceed its logarithm.
        epochs: Most passes over the training rows.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b
        out: [samples, sites / b^d, modes]

    Raises:
        ConfigError: If an option cannot be used.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If there is no lattice, or no room for an environment.
        StepNotPossibleError: If the source is a Gaussian law (use rsmi-gaussian), there are too few samples, or
            ``modes`` are as many as a block has values.
        NothingFoundError: If the held-out bound is not above zero by four of its errors.

    Do not trust when:
        Block and environment share nothing that a linear combination shows: filters move slowly from their start, and
        may stay where chance put them. Environments are large against the number of samples: the critic then learns
        them by heart, training stops after a few passes, and the bound is too low (64 x 64 dimers, blocks of 8 x 8,
        2000 samples: 0.165 nats, and 0.257 is printed). The bound is that of the best pass, which is a little high.
        The information comes near
        ln(batch), or filters of two fits differ by more than signs and mixing: filters of nearly equal information are
        exchanged freely.

    Tether:
        theory.rsmi: on the Ising chain the bound stays below I(V : E) and reaches that of the best reading.

    Source:
        gokmen2021; the bound is that of oord2018.

    Example:
        >>> from blockspin import Chain
        >>> s = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)).sign() * torch.ones(2000, 8)
        >>> chance = torch.Generator().manual_seed(0)
        >>> spins = Ensemble.of(s, Chain(8), units=torch.arange(2000))
        >>> coarse = RsmiInfonce(batch=100, epochs=4).fit(spins, generator=chance)
        >>> coarse.information > 0.6  # ln 2 = 0.693: all spins of a sample are equal
        True
    """

    name = "rsmi-infonce"
    source = "gokmen2021"
    claims = Claims(semigroup=Semigroup.NONE, linear=False, symmetries=("translation", "sign"), gauge="sign")
    b: int = 2
    buffer: int = 1
    reach: int = 1
    modes: int = 1
    batch: int = 500
    epochs: int = 40

    def __post_init__(self):
        require_frame(self, modes=1, batch=2, epochs=1)

    def fit(self, source: Source, *, generator: torch.Generator) -> FilterMap | SignMap:
        """Train on four fifths of the units, stop by the rest."""
        frame = framed(source.geometry, self.b, self.buffer, self.reach)
        ensemble = _samples(source, generator)
        check_finite(ensemble.values, "the field whose blocks are asked for")
        size = frame.members.shape[1] * ensemble.values.shape[2]
        require_fewer(self.modes, size)
        held = group_of(ensemble.units, 5, chain=ensemble.chain, salt=3) == 4
        parts = [ensemble.select(mask) for mask in (~held, held)]
        rows = [len(part) * len(frame.visible) for part in parts]
        if min(rows) < LEAST_ROWS:
            raise StepNotPossibleError(f"{min(rows)} blocks are too few to learn from", "Give more samples.")
        found = ensemble.values.unique()
        binary = len(found) == 2
        centre = float(found.mean()) if binary else None
        x, y, scale = _rows(parts, frame, centre)
        reading = straight_through(generator) if binary else as_it_is
        training = Training(batch=self.batch, epochs=self.epochs)
        mixed = torch.randperm(len(x[1]), generator=generator)  # the others of a batch must be as good as independent
        units = parts[1].units.repeat_interleave(len(frame.visible))
        held_out = x[1][mixed], y[1][mixed], units[mixed]
        left, right = ridge_canonical(x[0], y[0], self.modes)
        learned = learn((x[0], y[0]), held_out, (left.float(), right.float()), reading, training, generator=generator)
        if learned.bound < BEYOND * learned.error or learned.bound <= 0:
            raise NothingFoundError(
                f"what filters tell of the environment, {learned.bound:.2g} ± {learned.error:.2g} nats on held-out "
                "units, is not beyond chance",
                "Give more samples or a smaller buffer, or take it that there is nothing to keep.",
            )
        return self._map(learned, frame, parts[0], scale, centre)

    def _map(
        self, learned: Learned, frame: Frame, ensemble: Ensemble, scale: Tensor, centre: float | None
    ) -> FilterMap | SignMap:
        w = learned.filters.double() / scale.double()[:, None]
        w = w / w.norm(dim=0)
        w = w * w.gather(0, w.abs().argmax(0, keepdim=True)).sign()
        if centre is not None:
            return SignMap(self.b, frame.members, w, centre, learned.bound, learned.error)
        C = frame.moments(ensemble)[0]
        patterns = torch.linalg.pinv(w.T @ C @ w, hermitian=True) @ w.T @ C
        return FilterMap(self.b, frame.members, w, patterns, learned.bound, float("nan"))

    @classmethod
    def examples(cls) -> tuple[RsmiInfonce, ...]:
        """Return a short training on blocks of two and their nearest neighbours."""
        return (cls(b=2, buffer=0, batch=200, epochs=2),)


def _samples(source: Source, generator: torch.Generator) -> Ensemble:
    if isinstance(source, GaussianLaw):
        raise StepNotPossibleError("a Gaussian law needs no learning", "Use rsmi-gaussian, which has the closed form.")
    if isinstance(source, EnumeratedLaw):
        rows = torch.multinomial(source.weights, DRAWN, replacement=True, generator=generator)
        return Ensemble.of(source.values[rows], source.geometry, units=torch.arange(DRAWN))
    return source


def _rows(parts: list[Ensemble], frame: Frame, centre: float | None) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return blocks and environments of training and held-out units in units of their spread, and that of blocks."""
    pairs = [frame.samples(part)[:2] for part in parts]
    x, y = ([pair[k].to(torch.float32) for pair in pairs] for k in (0, 1))
    shift = x[0].mean(0) if centre is None else torch.full((x[0].shape[1],), centre)
    spread = x[0].std().clamp(min=1e-12).expand(x[0].shape[1])  # one for all: units that hardly vary stay small
    far = y[0].mean(0), y[0].std().clamp(min=1e-12)
    return [(item - shift) / spread for item in x], [(item - far[0]) / far[1] for item in y], spread
