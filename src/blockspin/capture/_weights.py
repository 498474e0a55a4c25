"""Weights: where a network takes its inputs, and a hash of all that it holds, wherever and however it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn


def entrance(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return the device on which inputs enter a network, and the real type of its weights.

    A network that is spread over devices moves its activations itself; one whose weights are kept away from the device
    that computes (offloaded) says so in its hook.
    """
    hook = next((h for h in map(_hook_of, module.modules()) if h is not None), None)
    parameters = [p for p in module.parameters() if p.is_floating_point()]
    real = parameters[0].dtype if parameters and parameters[0].dtype.itemsize > 1 else torch.float32
    if hook is not None and getattr(hook, "execution_device", None) is not None:
        return torch.device(hook.execution_device), real
    place = next((p.device for p in module.parameters() if p.device.type != "meta"), torch.device("cpu"))
    return place, real


def hash_weights(module: nn.Module) -> str:
    """Return a sha256 of all parameters and buffers; one module in memory at a time where weights are offloaded."""
    digest = hashlib.sha256()
    if not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        for name, value in sorted(module.state_dict().items()):
            _update(digest, name, value)
        return digest.hexdigest()
    for path, child in sorted(module.named_modules()):
        with aligned(child):
            for name, value in sorted((*child.named_parameters(recurse=False), *child.named_buffers(recurse=False))):
                _update(digest, f"{path}.{name}", value)
    return digest.hexdigest()


def _hook_of(module: nn.Module) -> Any:
    """Return the hook by which the accelerate library moves weights and inputs, or None."""
    hook = getattr(module, "_hf_hook", None)
    inner = getattr(hook, "hooks", None)
    return next(iter(inner), None) if inner else hook


def aligned(module: nn.Module) -> Any:
    """Return a context in which a module's offloaded weights are there."""
    if _hook_of(module) is None:
        return nullcontext()
    from accelerate.utils import align_module_device

    return align_module_device(module, torch.device("cpu"))


def _update(digest: Any, name: str, value: Any) -> None:
    for label, tensor in _tensors(name, value):
        digest.update(f"{label} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the plain tensors that a value is made of: quantised ones come with their scales."""
    if isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _tensors(f"{name}.{index}", item)
    elif isinstance(value, Tensor) and value.is_quantized:
        yield name, value.int_repr()
        per_channel = value.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
        scale = value.q_per_channel_scales() if per_channel else torch.tensor([value.q_scale(), value.q_zero_point()])
        yield f"{name}.scale", scale
    elif _is_wrapper(value):
        for key in value.__tensor_flatten__()[0]:
            yield from _tensors(f"{name}.{key}", getattr(value, key))
    elif isinstance(value, Tensor):
        yield name, value
    else:
        yield name, torch.frombuffer(bytearray(repr(value).encode() or b"\0"), dtype=torch.uint8)


def _is_wrapper(value: Any) -> bool:
    """Whether a tensor is made of others (weights of 8 or 4 bits beside their scales)."""
    return isinstance(value, Tensor) and callable(getattr(type(value), "__tensor_flatten__", None))
