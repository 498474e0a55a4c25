"""Messages: what the driver and its workers send to each other, the one place where anything is pickled."""

from __future__ import annotations

import hashlib
import pickle
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blockspin
from blockspin.engine.base import Pass, Shard, states_of_shard
from blockspin.errors import BlockspinError, ConfigError
from blockspin.observables.base import Monoid, State

Works = Sequence[tuple[Monoid, tuple[str, ...]]]
Arrays = list[dict[str, np.ndarray]]


def recipe_of(reading: Pass, works: Works, executor: str) -> bytes:
    """Return what a worker needs to carry out shards.

    Raises:
        ConfigError: If the pass cannot be pickled.
    """
    try:
        return pickle.dumps((executor, code(), pickle.dumps((reading, list(works)))))
    except (pickle.PicklingError, AttributeError, TypeError) as reason:
        raise ConfigError(
            "executor", executor, f"'serial', since this pass cannot leave its process ({reason})"
        ) from None


def opened(recipe: bytes) -> tuple[Pass, Works]:
    """Return the pass and the works of a recipe, in a worker.

    Raises:
        ConfigError: If the worker would not compute what the driver does: another blockspin or torch is installed.
    """
    executor, expected, inner = pickle.loads(recipe)
    if code() != expected:
        here = f"{blockspin.__file__} and torch {torch.__version__}"
        raise ConfigError("executor", executor, f"workers with the driver's blockspin and torch; one has {here}.")
    return pickle.loads(inner)


@cache
def code() -> str:
    """Return a hash of what computes: the source of blockspin, and the version of torch."""
    digest, root = hashlib.sha256(torch.__version__.encode()), Path(blockspin.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def answer(reading: Pass, works: Works, shard: Shard) -> tuple[str, Any]:
    """Carry out a shard in a worker: ("states", arrays), or ("error", a portable error)."""
    try:
        return "states", packed(states_of_shard(reading, works, shard))
    except Exception as reason:
        return "error", portable(reason)


def portable(reason: Exception) -> bytes:
    """Return an error so that it can cross to the driver, with the place where it was raised as a note."""
    if not isinstance(reason, BlockspinError):
        reason.add_note("in a worker process:\n" + "".join(traceback.format_exception(reason)))
    try:
        pickle.loads(pickle.dumps(reason))
    except Exception:
        reason = RuntimeError("".join(traceback.format_exception(reason)))
    return pickle.dumps(reason)


def arrays_of(reply: tuple[str, Any]) -> Arrays:
    """Return the arrays of a worker's reply.

    Raises:
        Exception: The worker's error, where it met one.
    """
    kind, result = reply
    if kind == "error":
        raise pickle.loads(result)
    return result


def packed(states: Sequence[State]) -> Arrays:
    """Return states as arrays, which cross by value: tensors would leave their memory behind in the worker."""
    return [{key: tensor.detach().contiguous().numpy() for key, tensor in state.items()} for state in states]


def unpacked(arrays: Arrays) -> list[State]:
    """Return the states of a worker; arrays in shared memory are copied, because tensors are writable."""
    return [
        {key: torch.from_numpy(array if array.flags.writeable else array.copy()) for key, array in state.items()}
        for state in arrays
    ]
