"""Training: the flow of a network's representation from checkpoint to checkpoint."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from blockspin.errors import CheckpointError
from blockspin.flow import Axis, Direction, Flow
from blockspin.flows.family import Kinship, number_in
from blockspin.measurement import Measurement

STATES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Endings of files that hold a state dict."""
TRAINING = Kinship(Axis("training", "steps", Direction.UNKNOWN), "step")
"""What checkpoints of one training are to each other."""


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A network at one moment of its training.

    Args:
        step: The number of training steps that it has had.
        path: A file that holds its state dict, or a folder that ``save_pretrained`` wrote.
    """

    step: int
    path: Path

    @property
    def label(self) -> str:
        """Its name for a person."""
        return TRAINING.label(self.step)


def checkpoints_of(places: str | Path | Sequence[str | Path]) -> tuple[Checkpoint, ...]:
    """Find the checkpoints of a training, in the order of their steps.

    The step is the last number in the name: ``step-000400.safetensors``, ``model_400.pt``, or a folder
    ``checkpoint-400`` with a config.json. Names are put in order as numbers, not as texts. Nothing is opened.

    Args:
        places: A folder, a pattern, or the checkpoints one by one.

    Raises:
        CheckpointError: If fewer than two are found, a name has no number, or two have the same.
    """
    listed = _listed(places) if isinstance(places, str | Path) else [Path(place).expanduser() for place in places]
    found = sorted(Checkpoint(step_of(path), path) for path in listed)
    if len(found) < 2:
        raise CheckpointError(
            f"{len(found)} checkpoint(s) at {places}",
            f"Give a folder or pattern of at least two state dicts ({', '.join(STATES)}) or folders checkpoint-STEP.",
        )
    for first, second in pairwise(found):
        if first.step == second.step:
            raise CheckpointError(
                f"{first.path.name} and {second.path.name} are both of step {first.step}", "Give one of each step."
            )
    return tuple(found)


def step_of(path: Path) -> int:
    """Return the training step that a file or folder is named after: the last number in its name.

    Raises:
        CheckpointError: If there is none.
    """
    return number_in(path.name if path.is_dir() else path.stem, "steps", "step-400.safetensors")


def training_flow(name: str, numbers: Mapping[int, Mapping[str, Measurement]]) -> Flow:
    """Return the implicit flow over training of one layer, or of a network as a whole.

    Positions are training steps. Its direction is not known beforehand and it has no length.

    Args:
        name: What flows: the path of a layer.
        numbers: What was measured at each step, {step: {"observable/quantity": measurement}}.
    """
    return TRAINING.flow(name, numbers)


def _listed(place: str | Path) -> list[Path]:
    """Return what a folder or a pattern holds that can be a checkpoint."""
    path = Path(place).expanduser()
    found = path.iterdir() if path.is_dir() else (Path(name) for name in glob.glob(str(path)))
    return [item for item in found if item.suffix in STATES or (item / "config.json").is_file()]
