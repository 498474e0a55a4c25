"""The contract of a representation: how activations are read as samples of a field."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.capture.base import Layout
from blockspin.ensemble import Batch, Ensemble, mix
from blockspin.geometry import Geometry
from blockspin.sources.base import Record, Sample


class Representation(abc.ABC):
    """How the activations of a batch of passages become samples. Members are frozen dataclasses."""

    family: ClassVar[str] = "representations"
    name: ClassVar[str]
    source: ClassVar[str]
    invertible: ClassVar[bool]
    """Whether a sample belongs to one place of one passage, so that it can be put back into the network."""

    @abc.abstractmethod
    def read(self, activation: Tensor, layout: Layout, ids: Tensor, units: Tensor) -> Batch:
        """Return the samples of one batch.

        Args:
            activation: [passages, positions, d].
            layout: Where the entries come from; where its positions are not those of the activation, all count.
            ids: int64 [passages].
            units: int64 [passages].
        """

    def reader(self, layout: Layout, ids: Tensor, units: Tensor) -> Callable[[Tensor], Batch]:
        """Return what reads every layer of one batch; what is the same for all of them may be worked out once."""
        return lambda activation: self.read(activation, layout, ids, units)

    @abc.abstractmethod
    def geometry(self, field: Tensor) -> Geometry:
        """Return the geometry of a field [samples, sites, components] that this representation has read."""


class DataRepresentation(abc.ABC):
    """How the contents themselves become samples, without the network under study. Members are frozen dataclasses."""

    family: ClassVar[str] = "representations"
    name: ClassVar[str]
    source: ClassVar[str]
    modalities: ClassVar[tuple[str, ...]]
    """The modalities whose contents it reads: "text", "image", "array"."""

    @abc.abstractmethod
    def ensemble(self, sample: Sample) -> Ensemble:
        """Return one sample a record, in order, with its id and unit.

        Raises:
            UnreadableRecordError: Naming the record at fault.
        """

    @abc.abstractmethod
    def width(self, record: Record) -> int:
        """Return sites times components of the field that a record makes: for estimates, nothing is made."""


def counted(activation: Tensor, layout: Layout) -> Tensor:
    """Return which entries of an activation count, bool [passages, positions]."""
    if layout.mask.shape == activation.shape[:2]:
        return layout.mask.to(activation.device)
    return torch.ones(activation.shape[:2], dtype=torch.bool, device=activation.device)


def joined(values: Tensor, ids: Tensor, units: Tensor) -> Batch:
    """Return float32 samples of weight one, on the CPU."""
    return Batch(values.to("cpu", torch.float32), ids, units, torch.ones(len(ids), dtype=torch.float64))


def place_ids(ids: Tensor, place: Tensor) -> Tensor:
    """Return int64 ids of places within passages, the same on every machine."""
    return mix(ids + mix(place, salt=3), salt=4)
