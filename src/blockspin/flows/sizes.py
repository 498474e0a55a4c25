"""Sizes: sizes and losses of the networks of a sweep, or of a family, read from what their runs left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockspin.errors import ConfigError, RunFolderError
from blockspin.flows.sweep_table import json_in, number_of
from blockspin.measurement import Measurement

PARAMETERS = "parameters"


@dataclass(frozen=True, eq=False)
class Sized:
    """One network.

    Args:
        name: Which, for a person.
        size: How large.
        loss: Its loss, with the error over the records that were read.
    """

    name: str
    size: float
    loss: Measurement


@dataclass(frozen=True, eq=False)
class Sizes:
    """The networks of a folder.

    Args:
        networks: Those that have a loss, each once.
        left_out: The others, each with the reason.
    """

    networks: tuple[Sized, ...]
    left_out: tuple[str, ...]

    @property
    def losses(self) -> dict[float, list[float]]:
        """The losses by size, ascending."""
        found: dict[float, list[float]] = {}
        for network in sorted(self.networks, key=lambda network: network.size):
            found.setdefault(network.size, []).append(float(network.loss.value))
        return found

    @property
    def noise(self) -> tuple[float, int]:
        """The root mean square of the relative errors of the losses, and the fewest degrees of freedom of one."""
        shares = [(float(network.loss.error) / float(network.loss.value)) ** 2 for network in self.networks]
        return (sum(shares) / len(shares)) ** 0.5, int(min(network.loss.dof for network in self.networks))


def sizes_of(folder: Path, field: str = PARAMETERS) -> Sizes:
    """Return the networks of a sweep, or of a run on a family of widths, with their sizes and losses.

    A network that several runs of a sweep have read (with other schemes or seeds of the run) counts once.

    Args:
        folder: What ``blockspin sweep`` or ``blockspin run --family`` left.
        field: What counts as size: "parameters", or a field that the sweep varied; "position" of a family's axis.

    Raises:
        RunFolderError: If the folder holds neither, or losses of different units.
        ConfigError: If the sweep did not vary the field, or its values are no numbers.
    """
    found, left_out, seen = [], [], set[str]()
    for name, about, weights, size in _networks(folder, field):
        if about.get("loss") is None:
            left_out.append(f"{name}: {about.get('no_loss') or 'no loss was measured'}")
        elif weights not in seen:
            seen.add(weights)
            found.append(Sized(name, size, Measurement.from_dict(about["loss"])))
    units = {network.loss.unit for network in found}
    if len(units) > 1:
        raise RunFolderError(
            f"the losses in {folder} are in {' and '.join(sorted(units))}", "Give targets of one kind."
        )
    return Sizes(tuple(found), tuple(left_out))


def _networks(folder: Path, field: str) -> Iterator[tuple[str, Mapping[str, Any], str, float]]:
    """Yield each network's name, what its run tells of it, what tells its weights apart, and its size."""
    if (folder / "sweep.json").is_file():
        yield from _swept(folder, field)
        return
    if not (folder / "answers.json").is_file():
        raise RunFolderError(f"{folder} holds no sweep and no finished run", "Give what sweep, or run --family, left.")
    family = json_in(folder / "answers.json")["network"].get("family", [])
    if not family:
        raise RunFolderError(f"the run in {folder} has one network", "Give a sweep, or a run on a family of widths.")
    if field not in (PARAMETERS, "position"):
        raise ConfigError("size", field, f"{PARAMETERS} or position.")
    for row in family:
        yield row["label"], row, row["label"], float(row[field])


def _swept(folder: Path, field: str) -> Iterator[tuple[str, Mapping[str, Any], str, float]]:
    table = json_in(folder / "sweep.json")
    if field != PARAMETERS and field not in table["axes"]:
        raise ConfigError("size", field, f"{PARAMETERS}, or a field that was varied: {', '.join(table['axes'])}.")
    for row in table["runs"]:
        name = Path(row["folder"]).name
        if row["error"] is not None:
            yield name, {"no_loss": row["error"]}, name, 0.0
            continue
        about = json_in(folder / name / "answers.json")["network"]
        size = float(about[PARAMETERS]) if field == PARAMETERS else number_of(field, row[field])
        yield name, about, json_in(folder / name / "manifest.json")["hashes"]["weights"], size
