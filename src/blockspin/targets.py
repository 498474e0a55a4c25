"""Targets: what a network is to predict, as a field over the same records that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError
from blockspin.geometry import Unordered


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


def _are_classes(values: list[Any]) -> bool:
    return all(isinstance(v, str) or (np.size(v) == 1 and float(np.asarray(v).item()).is_integer()) for v in values)


def _classes(values: list[Any]) -> np.ndarray:
    names = [v if isinstance(v, str) else int(np.asarray(v).item()) for v in values]
    known, index = np.unique(np.array(names), return_inverse=True)
    if not 1 < len(known) < len(names):
        raise ConfigError("targets", len(known), "at least two classes, and fewer than there are samples.")
    return np.eye(len(known))[index.reshape(-1)]
