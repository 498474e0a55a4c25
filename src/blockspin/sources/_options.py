"""Checks of options that several sources share."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from blockspin.errors import ConfigError


def whole(field: str, value: int, least: int) -> None:
    """Refuse what is not an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(field, value, f"an integer of at least {least}.")


def number(field: str, value: float, least: float | None = None) -> None:
    """Refuse what is not finite, or below ``least``."""
    if not isfinite(value) or (least is not None and value < least):
        raise ConfigError(field, value, "a finite number" + ("." if least is None else f" of at least {least:g}."))


def lattice(field: str, shape: Sequence[int]) -> None:
    """Refuse a shape that is empty or has an axis of fewer than two sites."""
    if not len(shape) or any(not isinstance(n, int) or n < 2 for n in shape):
        raise ConfigError(field, tuple(shape), "at least one axis, each an integer of at least 2.")


def probability(field: str, value: float) -> None:
    """Refuse what is not strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ConfigError(field, value, "a number strictly between 0 and 1.")


def stochastic(field: str, rows: Sequence[Sequence[float]], size: int) -> None:
    """Refuse rows that are not ``size`` probabilities each that sum to 1 (to 1e-9)."""
    if any(len(row) != size or min(row) < 0 or abs(sum(row) - 1) > 1e-9 for row in rows) or not len(rows):
        raise ConfigError(field, rows, f"rows of {size} probabilities that sum to 1.")
