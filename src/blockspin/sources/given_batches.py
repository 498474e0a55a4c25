"""Given batches: any iterable of batches, such as a torch DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from blockspin.errors import ConfigError, UnreadableRecordError
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record


@register
@dataclass(frozen=True, eq=False)
class GivenBatches(DataSet):
    """Records that come in batches: lists of strings, arrays [batch, ...], or mappings of them.

    Drawing records takes one pass, so that an iterator suffices for one draw. To draw twice (another number of samples,
    an interrupted run), the batches must be readable anew: a list, a DataLoader, or a function of no argument that
    returns a new iterator each time. The samples drawn depend neither on the order nor on the size of the batches.

    Args:
        batches: The batches, or a function that returns them.
        column: Where a batch is a mapping, the key of the contents; where it is a tuple or list of columns, its number,
            as "0". Blank where a batch is nothing but contents.
        modality: "text", "image" ([height, width, channels]) or "array".
        unit: Key or number of the column that names what is independent; blank for the contents themselves.

    Raises:
        ConfigError: If the modality is unknown, or a unit is named without a column.

    Example:
        >>> source = GivenBatches([["one", "two"], ["three"]], modality="text")
        >>> [record.content for record in source.records()]
        ['one', 'two', 'three']
    """

    name = "given-batches"
    source = ""
    batches: Iterable[Any] | Callable[[], Iterable[Any]]
    column: str = ""
    modality: str = "array"  # type: ignore[misc] # a class attribute elsewhere, here a field
    unit: str = ""

    def __post_init__(self):
        if self.modality not in ("text", "image", "array"):
            raise ConfigError("modality", self.modality, "text, image or array.")
        if self.unit and not self.column:
            raise ConfigError("unit", self.unit, "blank, where no column is named.")

    def records(self) -> Iterator[Record]:
        """Yield the contents in the order of the batches.

        Raises:
            UnreadableRecordError: If there is none (an iterator can be read once), or one is no such content.
        """
        shape, number = None, 0
        for place, batch in enumerate(self.batches() if callable(self.batches) else self.batches):
            contents = _column(batch, self.column, place)
            units = _column(batch, self.unit, place) if self.unit else [None] * len(contents)
            if len(units) != len(contents):
                raise UnreadableRecordError(
                    f"batch {place} has {len(contents)} contents and {len(units)} units", "Give one a record."
                )
            for content, unit in zip(contents, units, strict=True):
                where = f"batch {place}, record {number}"
                found: Any = _text(content, where) if self.modality == "text" else _array(content, where)
                form = getattr(found, "shape", ())
                shape = form if shape is None else shape
                if form != shape:
                    raise UnreadableRecordError(f"{where} has shape {form}, the first {shape}", "Cut or pad it.")
                yield Record(found, where, None if unit is None else str(_plain(unit)))
                number += 1
        if not number:
            raise UnreadableRecordError(
                "the batches gave no record", "An iterator can be read once: give a list, a DataLoader or a function."
            )


def _column(batch: Any, column: str, place: int) -> Sequence[Any]:
    if not column:
        found = batch
    elif isinstance(batch, Mapping):
        found = batch.get(column)
    elif column.isdecimal() and isinstance(batch, list | tuple) and int(column) < len(batch):
        found = batch[int(column)]
    else:
        found = None
    if isinstance(found, list | tuple) or (isinstance(found, torch.Tensor | np.ndarray) and found.ndim):
        return found  # type: ignore[return-value]
    kind = type(batch).__name__
    known = f" with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
    raise UnreadableRecordError(
        f"batch {place}, a {kind}{known}, has no list or array {column!r}", "Name the column that holds the contents."
    )


def _text(content: Any, where: str) -> str:
    if not isinstance(content, str) or not content.strip():
        raise UnreadableRecordError(f"{where} holds no text", "Leave it out, or name another column.")
    return content


def _array(content: Any, where: str) -> np.ndarray:
    if isinstance(content, torch.Tensor):
        content = content.detach().cpu().to(torch.float32).numpy()
    try:
        array = np.array(content, dtype=np.float32)  # a copy: a loader may use its memory again
    except (ValueError, TypeError) as reason:
        raise UnreadableRecordError(f"{where} is no array ({reason})", "Give arrays, or the modality text.") from None
    if not array.ndim or not np.isfinite(array).all():
        raise UnreadableRecordError(f"{where} is a single number, NaN or infinite", "Give arrays of finite numbers.")
    return array


def _plain(unit: Any) -> Any:
    return unit.item() if isinstance(unit, torch.Tensor | np.generic) else unit
