"""The contract of a source: where microscopic things come from."""

from __future__ import annotations

import abc
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble, content_hash, mix, occurrence_id
from blockspin.law import EnumeratedLaw, GaussianLaw


@dataclass(frozen=True)
class Record:
    """One item of a data set.

    Args:
        content: What the network reads: a string, or an array.
        where: Where it came from, for error messages ("passages.txt, line 37").
        unit: Name of what is statistically independent (a document, a patient), or None for the content itself.
    """

    content: Any
    where: str
    unit: str | None = None

    @property
    def key(self) -> int:
        """Signed 64-bit hash of the content."""
        data = self.content.encode() if isinstance(self.content, str) else self.content.tobytes()
        return content_hash(data)

    @property
    def unit_key(self) -> int:
        """Signed 64-bit hash of the unit: of the content where no unit is named, so that repetitions share one."""
        return self.key if self.unit is None else content_hash(self.unit.encode())


class Source(abc.ABC):
    """Where samples come from. Members are frozen dataclasses whose fields are their options."""

    family: ClassVar[str] = "sources"
    name: ClassVar[str]
    source: ClassVar[str]
    """A key of ``references.bib``, or "" for a file format."""


class DataSet(Source):
    """A set of records on disk or in memory, read as a stream."""

    modality: ClassVar[str]
    """What the records are: "text", "image" or "array"."""

    @abc.abstractmethod
    def records(self) -> Iterator[Record]:
        """Yield the records in file order.

        Raises:
            UnreadableRecordError: Naming the file and line at fault.
        """


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network in memory.

    Args:
        module: The network, as its maker gives it; never moved, its flags and gradients never touched.
        tokenizer: From a list of strings to tensors, for networks that read text; None for others.
        absent: Parts of the module, as a pooler, whose weights are in no file: they are NaN.
    """

    module: torch.nn.Module
    tokenizer: Any = None
    absent: tuple[str, ...] = ()


class ModuleSource(Source):
    """Where a network comes from. It can be pickled, so that a worker process opens its own copy."""

    @abc.abstractmethod
    def load(self) -> Loaded:
        """Return the network.

        Raises:
            MissingModelError: If there is none.
            CheckpointError: If its weights are to be those of a file that does not fit.
            MissingDependencyError: If a package that reads it is not installed.
        """


class Model(Source):
    """A statistical model with known properties."""

    @abc.abstractmethod
    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw samples; those of a Markov chain come with units many autocorrelation times long."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What was planted in samples: known because it made them.

    Args:
        samples: Tensors [samples, ...] by name, aligned with the ensemble's samples ("label", "latents", ...).
        shared: Tensors by name that belong to all samples ("dictionary", "couplings", ...); the same whatever samples
            are drawn, where the structure is drawn once (the option ``instance``).
    """

    samples: Mapping[str, Tensor]
    shared: Mapping[str, Tensor] = field(default_factory=dict)


class PlantedModel(Model):
    """A model whose hidden causes are known; its docstring names what its truth holds."""

    @abc.abstractmethod
    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Draw samples together with what made them."""

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw the same samples without it."""
        return self.sample_with_truth(samples, generator=generator)[0]


class ExactModel(Model):
    """A model whose law is known exactly."""

    @abc.abstractmethod
    def law(self) -> EnumeratedLaw | GaussianLaw:
        """Return the exact law."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Records drawn from a data set, in the order of their hashed ids.

    Args:
        records: The records.
        ids: int64 [records]; the hash of the content and its occurrence number.
        units: int64 [records]; what is statistically independent.
        total: How many records the data set holds.
    """

    records: tuple[Record, ...]
    ids: torch.Tensor
    units: torch.Tensor
    total: int

    def __len__(self) -> int:
        return len(self.records)

    def first(self, count: int) -> Sample:
        """Return the sample of the first records: by hash, as good as any."""
        return replace(self, records=self.records[:count], ids=self.ids[:count], units=self.units[:count])

    def where(self, mask: torch.Tensor) -> Sample:
        """Return the sample of the records in a mask, bool [records]."""
        records = tuple(record for record, kept in zip(self.records, mask.tolist(), strict=True) if kept)
        return replace(self, records=records, ids=self.ids[mask], units=self.units[mask])


def draw_records(data: DataSet, count: int) -> Sample:
    """Draw at most ``count`` records by the hash of their ids: the same ones whatever the order of the file.

    Records whose content is repeated are told apart by their occurrence number. One pass; ``count`` records in memory,
    and one number a distinct content.
    """
    seen: dict[int, int] = {}
    kept: list[tuple[int, int, Record]] = []
    total, stream = 0, data.records()
    while chunk := list(islice(stream, 1024)):
        total += len(chunk)
        keys = [occurrence_of(record, seen) for record in chunk]
        orders = mix(torch.tensor(keys), salt=2).tolist()
        for record, key, order in zip(chunk, keys, orders, strict=True):
            if len(kept) < count:
                heapq.heappush(kept, (-order, key, record))
            elif -order > kept[0][0]:
                heapq.heapreplace(kept, (-order, key, record))
    kept.sort(key=lambda item: (-item[0], item[1]))
    records = tuple(record for _, _, record in kept)
    ids = torch.tensor([key for _, key, _ in kept], dtype=torch.int64)
    units = torch.tensor([record.unit_key for record in records], dtype=torch.int64)
    return Sample(records, ids, units, total)


def occurrence_of(record: Record, seen: dict[int, int]) -> int:
    """Return the id of a record: the hash of its content and how often that was met before, which ``seen`` counts."""
    content = record.key
    occurrence = seen.get(content, 0)
    seen[content] = occurrence + 1
    return occurrence_id(content, occurrence)
