"""Run folder: what the report reads, opened once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from markupsafe import Markup

from blockspin.engine._files import refuse_outward
from blockspin.errors import RunFolderError
from blockspin.report._arrays import LARGEST, unpacked_size
from blockspin.report._html import Section, panel

KEYS = {"title", "summary", "answers", "notes", "flows", "methods", "network", "data"}
"""What answers.json must hold."""


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
        axis: What the scale runs along.
        unit_of_axis: The unit of positions.
    """

    flow: str
    role: str
    positions: np.ndarray
    labels: tuple[str, ...]
    value: np.ndarray
    error: np.ndarray
    unit: str
    how: str
    axis: str
    unit_of_axis: str


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
        answers = self._json("answers.json")
        missing = sorted(KEYS - answers.keys())
        if missing:
            raise RunFolderError(f"{self.path / 'answers.json'} has no {', '.join(missing)}", "Repeat the run.")
        return answers

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
        """All that was measured along the flows, by "observable.quantity", in alphabetical order.

        Stores list their arrays in whatever order the file system has them; the page must not depend on it.
        """
        rows: dict[str, list[Series]] = {}
        self._require_bounded()
        for about in self.answers["flows"]:
            for name, series in self._flow(about).items():
                rows.setdefault(name, []).append(series)
        return dict(sorted(rows.items()))

    def optional(self, name: str) -> dict[str, Any] | None:
        """Return a JSON file that not every run leaves, or None."""
        return self._json(name) if (self.path / name).is_file() else None

    def _require_bounded(self) -> None:
        """Refuse flows that would take more memory than flows do, before any of them is read."""
        for about in self.answers["flows"]:
            refuse_outward(about["file"])
        total = sum(unpacked_size(self.path / "flows" / about["file"]) for about in self.answers["flows"])
        if total > LARGEST:
            raise RunFolderError(
                f"the flows of {self.path} claim {total} bytes, more than {LARGEST}", "Repeat the run."
            )

    def _flow(self, about: Mapping[str, Any]) -> dict[str, Series]:
        with self._opened(about["file"]) as data:
            names = [name for name in sorted(map(str, data.data_vars)) if "." in name and ":" not in name]
            try:
                return {name: _series(data, name, about) for name in names}
            except (KeyError, TypeError, ValueError, RuntimeError, OSError) as reason:  # damaged, or made to harm
                first = str(reason).strip().partition("\n")[0][:200]
                raise RunFolderError(f"flow {about['file']} cannot be read ({first})", "Repeat the run.") from None

    def _opened(self, name: str) -> xarray.Dataset:
        try:  # of the one format that was written: others know of codecs that call programs
            return xarray.open_zarr(self.path / "flows" / name, consolidated=False, chunks=None, zarr_format=3)
        except (OSError, ValueError):
            raise self._lacks(f"flows/{name}") from None

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._text(name))
        except (ValueError, RecursionError) as reason:
            raise RunFolderError(f"{self.path / name} is no JSON ({reason})", "Repeat the run.") from None

    def _text(self, name: str) -> str:
        try:
            size = (self.path / name).stat().st_size
            if size > LARGEST:
                raise RunFolderError(f"{self.path / name} has {size} bytes, more than {LARGEST}", "Repeat the run.")
            with (self.path / name).open("rb") as file:
                return file.read(size).decode()
        except OSError:
            raise self._lacks(name) from None
        except UnicodeDecodeError as reason:
            raise RunFolderError(f"{self.path / name} is not UTF-8 ({reason.reason})", "Repeat the run.") from None

    def _lacks(self, name: str) -> RunFolderError:
        return RunFolderError(f"{self.path} holds no {name}", f"Finish the run: blockspin run --resume {self.path}")


def section_of(run: RunFolder, name: str, title: str, body: Callable[[Mapping[str, Any]], Markup]) -> Section | None:
    """Return the section of a file that not every run leaves: None without it, a note where it is damaged.

    Args:
        run: The run folder.
        name: The file, JSON.
        title: The heading.
        body: What the section says of the contents.
    """
    found = run.optional(name)
    return None if found is None else Section(title, panel(title, lambda: body(found)))


def _series(data: xarray.Dataset, name: str, about: Mapping[str, Any]) -> Series:
    variable = data[name]
    labels = tuple(str(label) for label in data.attrs["labels"])
    value = np.asarray(variable.values, dtype=float)
    error = f"{name}:error"
    return Series(
        str(about["name"]),
        str(about["role"]),
        np.asarray(data["position"].values, dtype=float),
        labels,
        value,
        np.asarray(data[error].values, dtype=float) if error in data else np.full_like(value, np.nan),
        str(variable.attrs.get("unit", "1")),
        str(variable.attrs.get("how", "not recorded")),
        str(data.attrs.get("axis", "scale")),
        str(data["position"].attrs.get("unit", "1")),
    )
