"""Targets: what is to be predicted of each record, read beside the records, and as a field over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blockspin.config import RunConfig
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError
from blockspin.geometry import Unordered
from blockspin.organisms.base import Trained
from blockspin.readers.base import items
from blockspin.sources.base import DataSet, Sample, occurrence_of

NEXT_TOKEN = "next-token"
"""The targets of a network whose outputs are logits of the token that follows."""


def targets_of(config: RunConfig, data: DataSet, sample: Sample) -> dict[int, Any]:
    """Return what is to be predicted for each record that was drawn, by its id; nothing where no targets are named.

    The data are read once more, and the targets beside them, so that both are in the order of the file.

    Args:
        config: It names a field of the data, or a file of its own.
        data: The records.
        sample: Those that were drawn.

    Raises:
        ConfigError: If there are fewer targets than records, or a sample is not a record.
    """
    if config.targets in ("", NEXT_TOKEN):
        return {}
    if getattr(config.representation, "invertible", False):
        raise ConfigError("targets", config.targets, "a representation of one sample a record.")
    beside = Path(config.targets).is_file()
    place, column = (config.targets, "") if beside else (config.data, config.targets)
    return _paired(data, (item.content for item in items(place, column)), sample)


def own_targets(config: RunConfig, trained: Trained, data: DataSet, sample: Sample) -> dict[int, Any]:
    """Return what a network that was trained on the spot is to make of each record that was drawn, by its id.

    Raises:
        ConfigError: If others are named.
    """
    if config.targets:
        raise ConfigError("targets", config.targets, "blank: a network that is trained on the spot has its own.")
    if trained.targets is None or config.representation.invertible:
        return {}
    return _paired(data, trained.targets.tolist(), sample)


def _paired(data: DataSet, targets: Iterable[Any], sample: Sample) -> dict[int, Any]:
    """Return the target of each record that was drawn, by its id, from the targets of all in the same order."""
    wanted, seen, found = set(sample.ids.tolist()), dict[int, int](), dict[int, Any]()
    left = iter(targets)
    for record in data.records():
        target, key = next(left, None), occurrence_of(record, seen)
        if target is None:
            raise ConfigError("targets", len(found), "a column with as many entries as there are records.")
        if key in wanted:
            found[key] = target
    return found


def target_field(targets: Mapping[int, Any], like: Ensemble) -> Ensemble | None:
    """Return targets as an ensemble over the samples of another one; None where there are none.

    Names, and whole numbers that stand for themselves (scalars), are classes: one component each. Anything else is
    taken as it is.

    Args:
        targets: By id of the record.
        like: An ensemble whose samples are records.

    Raises:
        ConfigError: If there is one class, or one for every sample.

    Source:
        cortes2012 for the alignment of a kernel with that of the targets.
    """
    if not targets:
        return None
    values = [targets[key] for key in like.ids.tolist()]
    field = _classes(values) if _are_classes(values) else np.stack([np.asarray(v, float).reshape(-1) for v in values])
    return like.with_values(torch.from_numpy(field)[:, :, None], Unordered(field.shape[1]))


def scalar_of(target: Any) -> Any:
    """Return a target that is one number as that number, a whole one as an integer; any other as it is."""
    if isinstance(target, str) or np.size(target) != 1:
        return target
    value = np.asarray(target).item()
    return int(value) if float(value).is_integer() else value


def _are_classes(values: list[Any]) -> bool:
    return all(isinstance(scalar_of(value), str | int) for value in values)


def _classes(values: list[Any]) -> np.ndarray:
    known, index = np.unique(np.array([scalar_of(value) for value in values]), return_inverse=True)
    if not 1 < len(known) < len(values):
        raise ConfigError("targets", len(known), "at least two classes, and fewer than there are samples.")
    return np.eye(len(known))[index.reshape(-1)]
