"""Checkpoints: the state dicts of an organism written to a folder, with its name, options, scores and curves."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from blockspin.organisms.base import Organism, Trained

RECORD = "organism.json"


def write_checkpoints(trained: Trained, folder: Path) -> tuple[Path, ...]:
    """Write each checkpoint as ``step-000400.safetensors``; return the files in the order of their steps.

    Args:
        trained: What an organism left.
        folder: Where to; it is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for step, state in sorted(trained.checkpoints.items()):
        files.append(folder / f"step-{step:06d}.safetensors")
        save_file({name: value.contiguous() for name, value in state.items()}, files[-1])
    return tuple(files)


def write_organism(organism: Organism, trained: Trained, folder: Path) -> tuple[Path, ...]:
    """Write the checkpoints, and ``organism.json`` with what their network can be made from again.

    ``member("organisms", name)(**options).network(generator=...)`` is a network that each of the files fits.

    Args:
        organism: The recipe.
        trained: What it left.
        folder: Where to.
    """
    files = write_checkpoints(trained, folder)
    record = {
        "name": organism.name,
        "options": asdict(organism),  # type: ignore[call-overload] # members are dataclasses
        "scores": dict(trained.scores),
        "curves": {name: dict(curve) for name, curve in trained.curves.items()},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return files
