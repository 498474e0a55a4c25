"""Encoders: strings through the network's own tokenizer, arrays and images stacked as they are."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from blockspin.capture.base import Encoder
from blockspin.errors import ShapeError


@dataclass(frozen=True, eq=False)
class TextEncoder(Encoder):
    """Passages through a tokenizer, padded to the longest of the batch.

    Args:
        tokenizer: A tokenizer of the transformers library that pads on the right (see ``padding_right``).
        max_tokens: Longer passages are cut.
    """

    tokenizer: Any
    max_tokens: int = 128
    modality = "text"

    def cost(self, content: str) -> int:
        """Return the number of tokens."""
        return len(self.tokenizer(content, truncation=True, max_length=self.max_tokens)["input_ids"])

    def encode(self, contents: Sequence[str]) -> dict[str, Tensor]:
        """Return token numbers, attention mask and the mask of special tokens."""
        return dict(
            self.tokenizer(
                list(contents),
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
                return_special_tokens_mask=True,
            )
        )

    def call(self, module: nn.Module, inputs: dict[str, Tensor]) -> Any:
        """Run the network; the decoder of a pair reads the same tokens as the encoder, position by position.

        Keys and values of earlier tokens, which a decoder keeps to go on writing, are not kept: they change no output.
        """
        given: dict[str, Any] = {key: value for key, value in inputs.items() if key != "special_tokens_mask"}
        config = getattr(module, "config", None)
        if getattr(config, "use_cache", False) and "use_cache" in signature(module.forward).parameters:
            given["use_cache"] = False
        if getattr(config, "is_encoder_decoder", False):
            given |= {f"decoder_{key}": given[key] for key in ("input_ids", "attention_mask") if key in given}
        return module(**given)

    def mask(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return which tokens count: no padding, no special token, not the first; of a passage without others, all."""
        present = inputs["attention_mask"].bool()
        counted = present & ~inputs["special_tokens_mask"].bool()
        first = present.to(torch.int64).argmax(dim=1)
        counted[torch.arange(len(counted)), first] = False
        return torch.where(counted.any(dim=1, keepdim=True), counted, present)


def padding_right(tokenizer: Any) -> Any:
    """Return a tokenizer that pads on the right: the one given if it does, otherwise a changed copy of it.

    On the left, padding would move the words to other positions, and a passage would depend on its batch.
    """
    if tokenizer.pad_token is not None and getattr(tokenizer, "padding_side", "right") == "right":
        return tokenizer
    changed = copy.deepcopy(tokenizer)
    changed.padding_side = "right"
    if changed.pad_token is None:
        changed.pad_token = changed.eos_token
    return changed


@dataclass(frozen=True, eq=False)
class ArrayEncoder(Encoder):
    """Arrays of equal shape, stacked; images [height, width, channels] become [channels, height, width].

    Args:
        modality: "image" or "array".
    """

    modality: str = "array"  # type: ignore[misc] # a class attribute elsewhere, here one encoder serves both

    def cost(self, content: Any) -> int:
        """Return one: all are of equal size."""
        return 1

    def encode(self, contents: Sequence[Any]) -> dict[str, Tensor]:
        """Stack.

        Raises:
            ShapeError: If they are of different shapes.
        """
        shapes = sorted({tuple(content.shape) for content in contents})
        if len(shapes) > 1:
            raise ShapeError(f"contents of shapes {shapes[0]} and {shapes[1]}", "Give arrays of equal shape.")
        stacked = torch.stack([torch.as_tensor(content, dtype=torch.float32) for content in contents])
        return {"x": stacked.permute(0, 3, 1, 2) if self.modality == "image" and stacked.ndim == 4 else stacked}

    def call(self, module: nn.Module, inputs: dict[str, Tensor]) -> Any:
        """Run the network."""
        return module(inputs["x"])

    def mask(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return one position that counts; layers with more positions count all of them."""
        return torch.ones(len(inputs["x"]), 1, dtype=torch.bool)
