"""Given records: strings or arrays that are in memory already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from blockspin.errors import ConfigError
from blockspin.registry import register
from blockspin.sources.base import DataSet, Record


@register
@dataclass(frozen=True, eq=False)
class GivenRecords(DataSet):
    """Strings, or arrays of equal shape, in memory.

    Args:
        contents: The contents, in any order.
        modality: "text", "image" ([height, width, channels]) or "array".

    Raises:
        ConfigError: If the modality is unknown.
    """

    name = "given-records"
    source = ""
    contents: tuple[Any, ...]
    modality: str = "array"  # type: ignore[misc] # a class attribute elsewhere, here a field

    def __post_init__(self):
        if self.modality not in ("text", "image", "array"):
            raise ConfigError("modality", self.modality, "text, image or array.")

    def records(self) -> Iterator[Record]:
        """Yield the contents in order."""
        for number, content in enumerate(self.contents):
            yield Record(content if self.modality == "text" else np.asarray(content, np.float32), f"record {number}")
