"""Raw: arrays and images as they are, one site an entry or a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from blockspin.ensemble import Batch, Ensemble, check_finite
from blockspin.errors import ConfigError, UnreadableRecordError
from blockspin.geometry import Geometry, Grid, Unordered
from blockspin.registry import register
from blockspin.representations.base import DataRepresentation, joined
from blockspin.sources.base import Record, Sample

CHANNELS = 4
"""Most entries of a last axis that are channels of a picture."""


@register
@dataclass(frozen=True)
class Raw(DataRepresentation):
    """Images [height, width, channels] on an open grid with the channels as components; other arrays flattened.

    Args:
        margin: Rows and columns of zeros that are put around each image, so that it divides into blocks: 2 makes
            32 x 32 of 28 x 28, which can be halved five times instead of twice.
    """

    name = "raw"
    source = "bradde2017"
    modalities = ("image", "array")
    margin: int = 0

    def __post_init__(self):
        if self.margin < 0:
            raise ConfigError("margin", self.margin, "a number of pixels, 0 or more.")

    def ensemble(self, sample: Sample) -> Ensemble:
        """Stack the contents.

        Raises:
            ConfigError: If a margin is to be put around what are no images.
        """
        first = torch.as_tensor(sample.records[0].content)
        rows = []
        for record in sample.records:
            row = torch.as_tensor(record.content, dtype=torch.float32)
            if row.shape != first.shape:
                raise UnreadableRecordError(
                    f"{record.where} has shape {tuple(row.shape)}, the first record has {tuple(first.shape)}",
                    "Give arrays of equal shape.",
                )
            check_finite(row[None], record.where)
            rows.append(row)
        field = torch.stack(rows)
        geometry: Geometry
        if _is_picture(first):
            m = self.margin
            field = pad(field, (0, 0, m, m, m, m))
            geometry = Grid(tuple(field.shape[1:3]), periodic=False)
            values = field.reshape(len(field), -1, field.shape[-1])
        elif self.margin:
            shape = tuple(first.shape)
            raise ConfigError("margin", self.margin, f"0: records of shape {shape} are no images, which have edges.")
        else:
            values = field.reshape(len(field), -1, 1)
            geometry = Unordered(values.shape[1])
        batch: Batch = joined(values, sample.ids, sample.units)
        return Ensemble(batch, geometry)

    def width(self, record: Record) -> int:
        """Return the number of entries, those of the margin included."""
        content = torch.as_tensor(record.content)
        if not _is_picture(content):
            return content.numel()
        height, width, channels = content.shape
        return (height + 2 * self.margin) * (width + 2 * self.margin) * channels


def _is_picture(content: Tensor) -> bool:
    return content.ndim == 3 and content.shape[-1] <= CHANNELS
