"""Checkpoint: a state dict on disk, put into the network whose architecture it was saved from."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from blockspin.errors import CheckpointError

SAFETENSORS, TORCH = (".safetensors",), (".pt", ".pth", ".bin", ".ckpt")
SHOWN = 5
"""Most names in a message."""


def load_checkpoint(module: nn.Module, path: Path) -> None:
    """Put the state dict of a file into a module, in place: all of its parameters and buffers, and nothing else.

    Tensors keep the module's device and precision. A tensor that the module has under several names (tied weights) may
    stand in the file under one of them.

    Args:
        module: The network, of the architecture that the file was saved from.
        path: What ``state_of`` reads.

    Raises:
        CheckpointError: If the file cannot be read, a name is missing or not expected, or a tensor has another shape or
            another kind of number; the names. The module is then as it was.
    """
    state, own = state_of(path), module.state_dict()
    held = {_place(own[name]) for name in state if name in own}
    missing = [name for name, tensor in own.items() if name not in state and _place(tensor) not in held]
    _refuse(path, "has no", missing, "Give a checkpoint of this architecture, with all of its state dict.")
    unknown = [name for name in state if name not in own]
    _refuse(path, "has more than this network,", unknown, "Give a checkpoint of this architecture, or drop them.")
    _refuse(path, "does not fit at", _unfit(state, own), "Give the model that the checkpoint was saved from.")
    module.load_state_dict(state, strict=False)  # tied names may be missing


def state_of(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a file, on the CPU; nothing in it is executed.

    Args:
        path: A ``.safetensors`` file, or what ``torch.save(module.state_dict(), path)`` wrote (.pt, .pth, .bin, .ckpt).

    Raises:
        CheckpointError: If it is missing or damaged, holds anything but tensors by name, or would run code.
    """
    if path.suffix not in (*SAFETENSORS, *TORCH):
        known = ", ".join((*SAFETENSORS, *TORCH))
        raise CheckpointError(f"{path} is no file of a state dict by its ending", f"Give a file that ends in {known}.")
    try:
        state: Any = load_file(path) if path.suffix in SAFETENSORS else _torch_file(path)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, EOFError, MemoryError) as reason:
        raise CheckpointError(f"{path} cannot be read ({str(reason)[:200]})", "Give a whole state dict.") from None
    except Exception as reason:  # what torch refuses to unpickle, by an error of a module that is never imported here
        first = str(reason).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path} holds more than tensors, which is not read ({first})",
            "Save the state dict alone: safetensors.torch.save_file(module.state_dict(), path).",
        ) from None
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f"{path} holds no tensors by name", "Save module.state_dict().")
    _refuse(path, "holds what is no tensor at", _no_tensors(state), "Save module.state_dict() alone.")
    return dict(state)


def listed(names: Collection[str]) -> str:
    """Return names in order for a message, not too many."""
    return ", ".join(sorted(names)[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _torch_file(path: Path) -> Any:
    with warnings.catch_warnings():  # of pickles that torch did not write: they are refused, or read without harm
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


def _no_tensors(state: Mapping[Any, Any]) -> list[str]:
    return [str(name) for name, value in state.items() if not isinstance(name, str) or not isinstance(value, Tensor)]


def _unfit(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Return what has another shape, or another kind of number, as integers of quantised weights."""
    return [
        f"{name} ({_kind(tensor)} for {_kind(own[name])})"
        for name, tensor in state.items()
        if tensor.shape != own[name].shape or tensor.is_floating_point() != own[name].is_floating_point()
    ]


def _kind(tensor: Tensor) -> str:
    """Return the shape and type of a tensor in words."""
    return f"{list(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def _place(tensor: Tensor) -> tuple[int, int, torch.Size]:
    """Return what equals that of a tensor in the same memory; an empty one shares it with nobody."""
    return (tensor.data_ptr() or id(tensor), int(tensor.storage_offset()), tensor.shape)


def _refuse(path: Path, what: str, names: Collection[str], remedy: str) -> None:
    if names:
        raise CheckpointError(f"{path} {what} {listed(names)}", remedy)
