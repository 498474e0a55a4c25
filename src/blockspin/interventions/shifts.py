"""Shifts: two passes over records: how features vary together along a network, and how they answer to being shifted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.capture.base import Layout
from blockspin.capture.hooks import Action, capture, capture_as, edit_at
from blockspin.capture.reading import ActivationPass
from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch
from blockspin.errors import ShapeError
from blockspin.interventions.features import Features
from blockspin.observables.base import Estimator, State, SumMonoid, weights_of
from blockspin.representations.base import counted


@dataclass(frozen=True, eq=False)
class Hop:
    """From one place of a network to a later one.

    Args:
        source: The layer where features are shifted.
        target: The layer where answers are read.
        given: The features at the source.
        answering: The features at the target.
        basis: float64 [r, d]; orthonormal directions of the source that stand for the whole activation there.
        random: float64 [k, d]; shifts of the same norm as those of the features, in random directions.
        spread: float64 [k]; standard deviations of the features at the source, the unit of shifts; ones until known.
    """

    source: str
    target: str
    given: Features
    answering: Features
    basis: Tensor
    random: Tensor
    spread: Tensor

    @property
    def name(self) -> str:
        """Both layers."""
        return f"{self.source} -> {self.target}"

    @property
    def shifts(self) -> Tensor:
        """What is added to the activation for a shift of each feature by one standard deviation: [k, d]."""
        return self.spread[:, None] * self.given.write


@dataclass(frozen=True)
class Means(SumMonoid):
    """Sums of a field. State: "weight" [], "squares" [], "total" [D], float64."""

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        return {**weights_of(batch), "total": batch.weights @ batch.values.flatten(1).to(torch.float64)}


@dataclass(frozen=True)
class Mean(Estimator):
    """The mean of a field. Quantities: "mean" [D]."""

    name = "mean"
    source = ""
    units = {"mean": "field"}

    @property
    def monoid(self) -> Means:
        """Sums."""
        return Means()

    def value(self, state: State) -> dict[str, Tensor]:
        """Divide."""
        return {"mean": state["total"] / state["weight"]}


@dataclass(frozen=True, eq=False)
class HopPass(Pass):
    """A reading of features at both ends of some hops.

    Args:
        reading: How to open the network, and which records to read how; its layers are not read.
        hops: From where to where.
        delta: Standard deviations of shifts, where there are any.
    """

    reading: ActivationPass
    hops: tuple[Hop, ...]
    delta: float = 0.0

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self.reading.groups

    @property
    def fingerprint(self) -> str:
        """A hash of the reading and of the hops."""
        digest = hashlib.sha256(f"{type(self).__name__} {self.delta} {self.reading.fingerprint}".encode())
        for hop in self.hops:
            digest.update(hop.name.encode())
            for part in (*_tensors(hop.given), *_tensors(hop.answering), hop.basis, hop.random, hop.spread):
                digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def shards(self) -> Sequence[Shard]:
        """Return the shards."""
        return self.reading.shards()


@dataclass(frozen=True, eq=False)
class Observation(HopPass):
    """What is seen without touching the network: a field a hop, [samples, r + k + k'].

    The coordinates along the basis of the source, the features there, and those of the target.
    """

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield the fields of one shard, by the names of the hops.

        Raises:
            ShapeError: If two layers have different positions.
        """
        for rows in self.reading.rows(shard):
            joint = self.reading.read(rows)
            yield {hop.name: _seen(hop, joint[hop.source], joint[hop.target]) for hop in self.hops}


def _seen(hop: Hop, first: Batch, second: Batch) -> Batch:
    if not torch.equal(first.ids, second.ids):
        raise ShapeError(
            f"{hop.source!r} is read at {len(first)} positions and {hop.target!r} at {len(second)}",
            "Read them pooled (--representation pooled), or name layers of equal positions.",
        )
    x, y = (batch.values.flatten(1) for batch in (first, second))
    parts = (x.to(torch.float64) @ hop.basis.T, hop.given.readings(x), hop.answering.readings(y))
    return first.with_values(torch.cat(parts, 1))


@dataclass(frozen=True, eq=False)
class Shifting(HopPass):
    """What happens where features are shifted, at all positions that count, by so many standard deviations up and down.

    Yields a field a hop, [samples, k k' + k k' + k k' + k k]: half the difference up less down of the answering
    features; their mean less what they are without a shift; their change by a shift in each random direction of the
    same norm; half the difference of the shifted features themselves. And one more, [passages, 2], named by
    ``elsewhere``: of the answer at one position to the first feature's shift at all of them, the square of what the
    shifts at other positions add to that at its own, and the square of all.
    """

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield the fields of one shard, by the names of the hops."""
        for rows in self.reading.rows(shard):
            yield self._answers(rows)

    def _answers(self, rows: Tensor) -> dict[str, Batch]:
        sample = self.reading.sample
        inputs, layout = self.reading.network.run([sample.records[i].content for i in rows.tolist()])
        run = _Runs(self.reading, inputs, layout, rows)
        found = {}
        for hop in self.hops:
            plain = run.batch(hop, hop.source), run.batch(hop, hop.target)
            y = hop.answering.readings(plain[1].values.flatten(1))
            shifts = self.delta * hop.shifts
            sides = [[run.answer(hop, sign * shift) for sign in (1, -1)] for shift in shifts]
            odd = [(up - down) / 2 for up, down in sides]
            even = [(up + down) / 2 - y for up, down in sides]
            chance = [run.answer(hop, self.delta * shift) - y for shift in hop.random]
            own = [_own(hop, plain[0].values.flatten(1).to(torch.float64), shift) for shift in shifts]
            found[hop.name] = plain[1].with_values(torch.cat([*odd, *even, *chance, *own], 1))
            ids, units = sample.ids[rows], sample.units[rows]
            weights = torch.ones(len(rows), dtype=torch.float64)
            found[elsewhere(hop)] = Batch(run.elsewhere(hop, shifts[0]), ids, units, weights)
        return found


def _own(hop: Hop, x: Tensor, shift: Tensor) -> Tensor:
    """Return half the difference of the shifted features themselves: [n, k]."""
    return (hop.given.readings(x + shift) - hop.given.readings(x - shift)) / 2


def elsewhere(hop: Hop) -> str:
    """Return the name of the field that says how much of an answer shifts at other positions make."""
    return f"{hop.name}, elsewhere"


@dataclass(frozen=True, eq=False)
class _Runs:
    """The runs of one batch of passages, each with another shift."""

    reading: ActivationPass
    inputs: dict[str, Tensor]
    layout: Layout
    rows: Tensor

    def batch(self, hop: Hop, layer: str, shift: Tensor | None = None) -> Batch:
        """Return what a layer is, with the source shifted where a shift is given, as samples."""
        sample = self.reading.sample
        read = self.reading.representation.reader(self.layout, sample.ids[self.rows], sample.units[self.rows])
        edits = () if shift is None else (self._edit(hop, shift, None),)
        return capture_as(lambda _, values: read(values.clone()), self.reading.network, self.inputs, [layer], edits)[
            layer
        ]

    def answer(self, hop: Hop, shift: Tensor) -> Tensor:
        """Return the answering features: [samples, k']."""
        return hop.answering.readings(self.batch(hop, hop.target, shift).values.flatten(1))

    def elsewhere(self, hop: Hop, shift: Tensor) -> Tensor:
        """Return the squares of what shifts elsewhere add to an answer, and of all of it: [passages, 2, 1]."""
        plain = capture(self.reading.network, self.inputs, [hop.target])[hop.target]
        only = _one_position(counted(plain, self.layout))
        every, own = (self._at(hop, only, self._edit(hop, shift, where)) for where in (None, only))
        answers = torch.stack([every - own, every - self._at(hop, only)]) @ hop.answering.read.T
        return answers.square().sum(2).T[:, :, None]

    def _at(self, hop: Hop, only: Tensor, *edits: Action) -> Tensor:
        """Return the target's activation at one position of each passage: float64 [passages, d]."""
        network = self.reading.network
        values = capture_as(lambda _, values: values[only], network, self.inputs, [hop.target], edits)[hop.target]
        return values.cpu().to(torch.float64)

    def _edit(self, hop: Hop, shift: Tensor, where: Tensor | None) -> Action:
        def shifted(values: Tensor, layout: Layout) -> Tensor:
            mask = counted(values, layout) if where is None or where.shape != values.shape[:2] else where
            added = shift.to(values.device, values.dtype) * mask.to(values.device)[:, :, None]
            return values + added

        return edit_at(self.reading.network, hop.source, shifted, self.layout)


def _one_position(mask: Tensor) -> Tensor:
    """Return a mask of the middle one of the positions that count in each passage."""
    order = mask.cumsum(1)
    middle = (mask.sum(1, keepdim=True) + 1) // 2
    return mask & (order == middle)


def _tensors(features: Features) -> tuple[Tensor, Tensor, Tensor]:
    return features.read, features.write, features.offset
