"""The contract of capture: a network with its way of reading contents, and where an activation's entries are from."""

from __future__ import annotations

import abc
import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from blockspin.capture._noise import noisy_layer
from blockspin.capture._stream import depth_stream
from blockspin.errors import TrainModeError, UnknownLayerError

INPUT = ":input"
"""Ending of a layer's name that means the input of the module rather than its output."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the entries [passages, positions] of an activation come from.

    Args:
        passage: int64 [passages, positions]; the number of the passage within the batch.
        position: int64 [passages, positions]; the place within the passage.
        mask: bool [passages, positions]; which entries count. Padding, special tokens and the first position do not:
            the norms there are often a hundred times those elsewhere.
    """

    passage: Tensor
    position: Tensor
    mask: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Layout:
        """Make a layout from the mask alone."""
        passages, positions = mask.shape
        passage = torch.arange(passages)[:, None].expand(passages, positions)
        return cls(passage, torch.arange(positions)[None].expand(passages, positions), mask)


class Encoder(abc.ABC):
    """How contents become the inputs of a network. Members are frozen dataclasses."""

    modality: ClassVar[str]

    @abc.abstractmethod
    def cost(self, content: Any) -> int:
        """Return how much work one content is: its number of tokens; batches are sorted by it inside a shard."""

    @abc.abstractmethod
    def encode(self, contents: Sequence[Any]) -> dict[str, Tensor]:
        """Return the inputs of one batch."""

    @abc.abstractmethod
    def call(self, module: nn.Module, inputs: dict[str, Tensor]) -> Any:
        """Run the network on encoded inputs."""

    @abc.abstractmethod
    def mask(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return bool [passages, positions]: which positions count."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network and its way of reading contents.

    Args:
        module: The network; never moved, its flags and gradients never touched.
        encoder: How contents become its inputs.
        how: What it is, for the report: "trained", "untrained copy from the model's own config".
    """

    module: nn.Module
    encoder: Encoder
    how: str = "trained"

    def layers(self) -> tuple[str, ...]:
        """Return the paths of all modules whose output can be read."""
        return tuple(name for name, _ in self.module.named_modules() if name)

    def stream(self) -> tuple[str, ...]:
        """Return the default depth flow: the stream after the embeddings, after every attention and every MLP."""
        return depth_stream(self.module)

    def select(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the layers that match paths or globs, in the network's order; the stream where none are given.

        Raises:
            UnknownLayerError: If a pattern matches nothing; the nearest paths are offered.
        """
        if not patterns:
            return self.stream()
        known = self.layers()
        chosen: list[str] = []
        for pattern in patterns:
            path, ending = (pattern.removesuffix(INPUT), INPUT) if pattern.endswith(INPUT) else (pattern, "")
            found = [name for name in known if fnmatch.fnmatchcase(name, path)]
            if not found:
                raise UnknownLayerError(pattern, known)
            chosen += [name + ending for name in found]
        return tuple(dict.fromkeys(chosen))

    def require_eval(self) -> None:
        """Refuse a network in train mode whose output is then random or depends on the batch.

        Raises:
            TrainModeError: Naming the first layer at fault.
        """
        name = noisy_layer(self.module)
        if name is not None:
            kind = type(self.module.get_submodule(name)).__name__
            raise TrainModeError(f"the network is in train mode and {name or 'it'} is {kind}", "Call .eval() on it.")

    def run(self, contents: Sequence[Any]) -> tuple[dict[str, Tensor], Layout]:
        """Return the inputs of some contents, on the network's device and in its precision, and their layout."""
        inputs = self.encoder.encode(contents)
        mask = self.encoder.mask(inputs)
        parameter = next(self.module.parameters(), None)
        if parameter is not None:
            real = parameter.dtype if parameter.is_floating_point() else torch.float32
            inputs = {k: v.to(parameter.device, real if v.is_floating_point() else v.dtype) for k, v in inputs.items()}
        return inputs, Layout.of(mask)

    def weights_hash(self) -> str:
        """Return a sha256 of all parameters and buffers."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        return digest.hexdigest()


def rows_of(activation: Tensor) -> Tensor:
    """Return an activation as [passages, positions, d]: vectors get one position, images one a pixel."""
    if activation.ndim == 2:
        return activation[:, None]
    if activation.ndim == 4:
        return activation.flatten(2).transpose(1, 2)
    return activation if activation.ndim == 3 else activation.reshape(len(activation), 1, -1)
