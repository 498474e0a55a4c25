"""Checks of options that several sources share."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from blockspin.errors import ConfigError


def number(field: str, value: float, least: float | None = None) -> None:
    """Refuse what is not finite, or below ``least``."""
    if not isfinite(value) or (least is not None and value < least):
        raise ConfigError(field, value, "a finite number" + ("." if least is None else f" of at least {least:g}."))


def lattice(field: str, shape: Sequence[int]) -> None:
    """Refuse a shape that is empty or has an axis of fewer than two sites."""
    if not len(shape) or any(not isinstance(n, int) or n < 2 for n in shape):
        raise ConfigError(field, tuple(shape), "at least one axis, each an integer of at least 2.")


def stochastic(field: str, rows: Sequence[Sequence[float]], size: int) -> None:
    """Refuse rows that are not ``size`` probabilities each that sum to 1 (to 1e-9)."""
    if any(len(row) != size or min(row) < 0 or abs(sum(row) - 1) > 1e-9 for row in rows) or not len(rows):
        raise ConfigError(field, rows, f"rows of {size} probabilities that sum to 1.")
