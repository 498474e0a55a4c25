"""Characters: printable ASCII as token numbers, called as tokenizers of the transformers library are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

VOCABULARY = 97
"""Line feed or anything unknown (0), the 95 printable characters (1 to 95), padding (96)."""
PADDING = 96


def numbers(text: str) -> Tensor:
    """Return the numbers [characters] of a text, int64."""
    codes = torch.tensor([ord(letter) for letter in text], dtype=torch.int64) - 31
    return torch.where((codes >= 1) & (codes <= 95), codes, 0)


@dataclass(frozen=True)
class Characters:
    """A tokenizer whose tokens are characters.

    Args:
        context: Longest passage; longer ones are cut.
    """

    context: int
    pad_token: str = "<pad>"
    padding_side: str = "right"

    def __call__(self, texts: str | Sequence[str], *, max_length: int | None = None, **how: Any) -> dict[str, Any]:
        """Return input_ids, attention_mask and special_tokens_mask: lists for one text, tensors for several."""
        longest = min(self.context, max_length or self.context)
        if isinstance(texts, str):
            one = numbers(texts[:longest]).tolist()
            return {"input_ids": one, "attention_mask": [1] * len(one), "special_tokens_mask": [0] * len(one)}
        rows = [numbers(text[:longest]) for text in texts]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING)
        present = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
        mask = present.to(torch.int64)
        return {"input_ids": ids, "attention_mask": mask, "special_tokens_mask": 1 - mask}
