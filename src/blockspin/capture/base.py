"""The contract of capture: a network with its way of reading contents, and where an activation's entries are from."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from blockspin.capture._noise import noisy_layer
from blockspin.capture._stream import depth_stream
from blockspin.capture._weights import entrance, hash_weights
from blockspin.capture.places import Places
from blockspin.errors import ShapeError, TrainModeError


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
        absent: Parts whose weights are in no file: nothing is read that depends on them.
    """

    module: nn.Module
    encoder: Encoder
    how: str = "trained"
    absent: tuple[str, ...] = ()

    @cached_property
    def places(self) -> Places:
        """Where activations can be read."""
        return Places(self.module)

    def stream(self) -> tuple[str, ...]:
        """Return the default depth flow: the stream after the embeddings, after every attention and every MLP."""
        return depth_stream(self.module)

    def select(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the layers that match paths, short names or globs; the stream where none are given.

        Raises:
            UnknownLayerError: If a pattern matches nothing; the nearest names are offered.
        """
        return self.places.select(patterns) if patterns else self.stream()

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
        device, real = entrance(self.module)
        inputs = {k: v.to(device, real if v.is_floating_point() else v.dtype) for k, v in inputs.items()}
        return inputs, Layout.of(mask)

    def weights_hash(self) -> str:
        """Return a sha256 of all parameters and buffers, wherever and however they are kept."""
        return hash_weights(self.module)


def rows_of(activation: Tensor, passages: int | None = None, positions: int = 1) -> Tensor:
    """Return an activation as [passages, positions, d]: vectors get one position, images one a pixel.

    Where the number of passages is given, rows of all positions one after the other (as experts and routers see them)
    are put back in their passages.

    Raises:
        ShapeError: If there is no row for each passage.
    """
    if activation.ndim == 2 and passages and positions > 1 and len(activation) == passages * positions:
        return activation.reshape(passages, positions, -1)
    if passages and (not activation.ndim or len(activation) != passages):
        raise ShapeError(f"an activation of shape {tuple(activation.shape)} has no row for each of {passages} passages")
    if activation.ndim == 2:
        return activation[:, None]
    if activation.ndim == 4:
        return activation.flatten(2).transpose(1, 2)
    return activation if activation.ndim == 3 else activation.reshape(len(activation), 1, -1)
