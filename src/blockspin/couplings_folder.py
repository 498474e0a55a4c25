"""Couplings folder: one file a scale, so that some can be read without the others, and an index without values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockspin.engine._files import refuse_outward
from blockspin.errors import RunFolderError
from blockspin.flow import Axis, Direction, Flow
from blockspin.run_folder import write_json
from blockspin.running.base import Running
from blockspin.running.prediction import Places
from blockspin.running.replicas import Replicas, together
from blockspin.running.validity import WHOLE

FOLDER = "couplings"
LARGEST = 2**26
"""Bytes that a file may have."""
Rows = Mapping[tuple[str, str], Replicas]
"""What was measured at one scale, by theory and slice."""


@dataclass(frozen=True)
class Ladder:
    """What the index says of a flow: its scales, and nothing that was measured there.

    Args:
        folder: The run folder.
        slug: Name of the flow's folder.
        name: What flows.
        axis: What the scale runs along.
        labels: The scales.
        positions: Where they lie.
        lengths: ln of their lengths, NaN where there is none.
        null_of: Slug of the flow that this one stands beside as a null; blank for a flow in its own right.
    """

    folder: Path
    slug: str
    name: str
    axis: Axis
    labels: tuple[str, ...]
    positions: tuple[float, ...]
    lengths: tuple[float, ...]
    null_of: str = ""

    def path(self, scale: int) -> Path:
        """Return the file of a scale."""
        return self.folder / FOLDER / self.slug / f"{scale:03d}.json"

    def rows(self, scales: Sequence[int]) -> list[Rows]:
        """Read what was measured at some scales; no other file is opened."""
        return [self._rows(scale) for scale in scales]

    def _rows(self, scale: int) -> Rows:
        content = read_json(self.path(scale))
        try:
            return {(row["theory"], row["slice"]): Replicas.from_dict(row) for row in content["rows"]}
        except (KeyError, TypeError) as lack:
            raise RunFolderError(f"{self.path(scale)} is not what a run writes ({lack})", "Repeat the run.") from None

    def hashes(self, scales: Sequence[int]) -> dict[str, str]:
        """Return a hash of every file that is read for some scales, by its path within the run folder."""
        return {str(self.path(s).relative_to(self.folder)): _hash(self.path(s)) for s in scales}

    def running(self, scales: Sequence[int], rows: Sequence[Rows], theory: str, part: str) -> Running:
        """Return the running of a theory's couplings over some scales.

        Raises:
            ShapeError: If they exist at none.
        """
        found = [row.get((theory, part), Replicas(reason="not measured")) for row in rows]
        positions, lengths = ([of[s] for s in scales] for of in (self.positions, self.lengths))
        return together(self.axis, [self.labels[s] for s in scales], positions, lengths, found)

    def places(self, scales: Sequence[int]) -> Places:
        """Return scales as places to predict at."""
        positions, lengths = (np.array([of[s] for s in scales]) for of in (self.positions, self.lengths))
        return Places(tuple(self.labels[s] for s in scales), positions, lengths)


def write_couplings(
    folder: Path, flows: Mapping[str, tuple[Flow, Sequence[Rows]]], null_of: Mapping[str, str] | None = None
) -> None:
    """Write one file a scale and the index.

    Args:
        folder: The run folder.
        flows: By slug, the flow and what was measured at each of its scales.
        null_of: For the slug of a null flow that of the flow beside which it stands.
    """
    index = []
    for slug, (flow, rows) in flows.items():
        (folder / FOLDER / slug).mkdir(parents=True, exist_ok=True)
        axis, lengths = flow.axis, [scale.log_length for scale in flow]
        about: dict[str, Any] = {"slug": slug, "name": flow.name, "axis": axis.name, "unit": axis.unit}
        about |= {"direction": axis.direction.value, "labels": list(flow.labels)}
        about |= {"positions": [float(scale.position) for scale in flow], "log_lengths": lengths}
        about |= {"null_of": (null_of or {}).get(slug, "")}
        index.append(about)
        for scale, row in enumerate(rows):
            found = [{"theory": t, "slice": s, **replicas.to_dict()} for (t, s), replicas in row.items()]
            write_json(folder / FOLDER / slug / f"{scale:03d}.json", {"scale": flow.labels[scale], "rows": found})
    write_json(folder / FOLDER / "index.json", {"format": 1, "flows": index})


def theories(rows: Sequence[Rows]) -> list[str]:
    """Return the theories and observables that were measured on the whole of the data at some scale, in their order."""
    return list(dict.fromkeys(theory for row in rows for theory, part in row if part == WHOLE))


def ladders(folder: Path) -> list[Ladder]:
    """Return the flows whose couplings a run folder holds, from the index alone.

    Raises:
        RunFolderError: If it holds none.
    """
    if not folder.is_dir():
        raise RunFolderError(f"there is no folder {folder}", "Give the folder of a finished run.")
    if not (folder / FOLDER / "index.json").is_file():
        raise RunFolderError(f"{folder} holds no couplings", "Give a finished run that did not leave them off.")
    found = []
    try:
        for row in read_json(folder / FOLDER / "index.json")["flows"]:
            refuse_outward(row["slug"])
            axis = Axis(row["axis"], row["unit"], Direction(row["direction"]))
            lengths = tuple(float("nan") if x is None else float(x) for x in row["log_lengths"])
            positions = tuple(map(float, row["positions"]))
            where = (tuple(row["labels"]), positions, lengths)
            found.append(Ladder(folder, row["slug"], row["name"], axis, *where, row.get("null_of", "")))
    except (KeyError, TypeError, ValueError) as lack:
        raise RunFolderError(f"the index of couplings in {folder} is damaged ({lack})", "Repeat the run.") from None
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run folder.

    Raises:
        RunFolderError: If it is missing, too large, or no JSON.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise RunFolderError(f"{path} has more than {LARGEST} bytes", "Repeat the run.")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as reason:
        raise RunFolderError(f"{path} cannot be read ({type(reason).__name__})", "Repeat the run.") from None


def _hash(path: Path) -> str:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        raise RunFolderError(f"{path} is missing", "Repeat the run.") from None
