"""Jackknife: errors of numbers that are functions of independent rows held in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from blockspin.errors import TooFewSamplesError
from blockspin.measurement import Measurement

GROUPS = 20
"""Groups of rows, one of which is left out at a time."""


def jackknifed(
    rows: Tensor, value: Callable[[Tensor], Mapping[str, Tensor]], units: Mapping[str, str]
) -> dict[str, Measurement]:
    """Return numbers of independent rows with errors of the delete-group jackknife.

    Args:
        rows: [rows, ...], independent of each other.
        value: From rows to numbers by name.
        units: The unit of each.

    Raises:
        TooFewSamplesError: If there are fewer than two rows a group.
    """
    n = len(rows)
    if n < 2 * GROUPS:
        raise TooFewSamplesError(f"{n} independent rows give no error bar", f"Give at least {2 * GROUPS}.")
    group = torch.arange(n) % GROUPS
    whole = value(rows)
    replicas = [value(rows[group != g]) for g in range(GROUPS)]
    how, scale = f"delete-group jackknife, {GROUPS} groups", (GROUPS - 1) / GROUPS**0.5
    found = {}
    for key, number in whole.items():
        error = torch.stack([replica[key] for replica in replicas]).std(0) * scale
        found[key] = Measurement(number.numpy(), error.numpy(), units[key], float(n), how, GROUPS - 1)
    return found
