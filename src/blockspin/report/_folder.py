"""Run folder: what the report reads, opened once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from blockspin.errors import RunFolderError


@dataclass(frozen=True, eq=False)
class Series:
    """One quantity along one flow.

    Args:
        flow: Name of the flow.
        role: "implicit", "control", "explicit" or "exchanged".
        positions: [scales].
        labels: [scales].
        value: [scales, ...]; NaN where it was not measured.
        error: One standard error, of the same shape.
        unit: The unit.
        how: How value and error were obtained.
    """

    flow: str
    role: str
    positions: np.ndarray
    labels: tuple[str, ...]
    value: np.ndarray
    error: np.ndarray
    unit: str
    how: str


@dataclass(frozen=True, eq=False)
class RunFolder:
    """The files of a finished run.

    Args:
        path: The folder.
    """

    path: Path

    @cached_property
    def answers(self) -> dict[str, Any]:
        """answers.json."""
        return self._json("answers.json")

    @cached_property
    def levels(self) -> dict[str, Any]:
        """levels.json."""
        return self._json("levels.json")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """manifest.json."""
        return self._json("manifest.json")

    @cached_property
    def config(self) -> str:
        """config.toml, as text."""
        return self._text("config.toml")

    @cached_property
    def quantities(self) -> Mapping[str, list[Series]]:
        """All that was measured along the flows, by "observable.quantity"."""
        rows: dict[str, list[Series]] = {}
        for about in self.answers["flows"]:
            with xarray.open_zarr(self.path / "flows" / about["file"], consolidated=False) as data:
                for key in data.data_vars:
                    name = str(key)
                    if "." in name and ":" not in name:
                        rows.setdefault(name, []).append(_series(data, name, about))
        return rows

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._text(name))
        except ValueError as reason:
            raise RunFolderError(f"{self.path / name} is no JSON ({reason})", "Repeat the run.") from None

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except OSError:
            raise RunFolderError(
                f"{self.path} holds no {name}", f"Finish the run: blockspin run --resume {self.path}"
            ) from None


def _series(data: xarray.Dataset, name: str, about: Mapping[str, Any]) -> Series:
    variable = data[name]
    labels = tuple(str(label) for label in data.attrs["labels"])
    error = np.asarray(data[f"{name}:error"].values, dtype=float)
    return Series(
        str(about["name"]),
        str(about["role"]),
        np.asarray(data["position"].values, dtype=float),
        labels,
        np.asarray(variable.values, dtype=float),
        error,
        str(variable.attrs.get("unit", "1")),
        str(variable.attrs.get("how", "")),
    )
