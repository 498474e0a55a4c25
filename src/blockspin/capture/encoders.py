"""Encoders: strings through the network's own tokenizer, arrays and images stacked as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blockspin.capture.base import Encoder


@dataclass(frozen=True, eq=False)
class TextEncoder(Encoder):
    """Passages through a tokenizer, padded to the longest of the batch.

    Args:
        tokenizer: A tokenizer of the transformers library.
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
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
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
        """Run the network."""
        return module(**{key: value for key, value in inputs.items() if key != "special_tokens_mask"})

    def mask(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return which tokens count: no padding, no special token, not the first; of a passage without others, all."""
        present = inputs["attention_mask"].bool()
        counted = present & ~inputs["special_tokens_mask"].bool()
        first = present.to(torch.int64).argmax(dim=1)
        counted[torch.arange(len(counted)), first] = False
        return torch.where(counted.any(dim=1, keepdim=True), counted, present)


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
        """Stack."""
        stacked = torch.stack([torch.as_tensor(content, dtype=torch.float32) for content in contents])
        return {"x": stacked.permute(0, 3, 1, 2) if self.modality == "image" and stacked.ndim == 4 else stacked}

    def call(self, module: nn.Module, inputs: dict[str, Tensor]) -> Any:
        """Run the network."""
        return module(inputs["x"])

    def mask(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return one position that counts; layers with more positions count all of them."""
        return torch.ones(len(inputs["x"]), 1, dtype=torch.bool)
