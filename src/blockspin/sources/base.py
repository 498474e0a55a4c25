"""The contract of a source: where microscopic things come from."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from blockspin.ensemble import Ensemble, content_hash
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


class Model(Source):
    """A statistical model with known properties."""

    @abc.abstractmethod
    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw samples; those of a Markov chain come with units many autocorrelation times long."""


class ExactModel(Model):
    """A model whose law is known exactly."""

    @abc.abstractmethod
    def law(self) -> EnumeratedLaw | GaussianLaw:
        """Return the exact law."""
