"""Raw: arrays and images as they are, one site an entry or a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.ensemble import Batch, Ensemble, check_finite
from blockspin.errors import UnreadableRecordError
from blockspin.geometry import Geometry, Grid, Unordered
from blockspin.registry import register
from blockspin.representations.base import DataRepresentation, joined
from blockspin.sources.base import Sample


@register
@dataclass(frozen=True)
class Raw(DataRepresentation):
    """Images [height, width, channels] on an open grid with the channels as components; other arrays flattened."""

    name = "raw"
    source = "bradde2017"
    modalities = ("image", "array")

    def ensemble(self, sample: Sample) -> Ensemble:
        """Stack the contents."""
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
        if field.ndim == 4 and field.shape[-1] <= 4:
            geometry, values = (
                Grid(tuple(field.shape[1:3]), periodic=False),
                field.reshape(len(field), -1, field.shape[-1]),
            )
        else:
            values = field.reshape(len(field), -1, 1)
            geometry = Unordered(values.shape[1])
        batch: Batch = joined(values, sample.ids, sample.units)
        return Ensemble(batch, geometry)
