"""What the peers of capture share: the benchmark's own batches, tokenised by it, and its MiniLM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModel


def parts_of(settings: dict) -> list[list[dict[str, torch.Tensor]]]:
    """Return the batches of every part, as the benchmark wrote them."""
    read = json.loads(Path(settings["batches"]).read_text())
    return [[{key: torch.tensor(rows) for key, rows in batch.items()} for batch in part] for part in read]


def model_of(settings: dict) -> torch.nn.Module:
    """Return MiniLM in eval mode."""
    return AutoModel.from_pretrained(settings["folder"]).eval()


def forward_of(model: torch.nn.Module, parts: list[list[dict[str, torch.Tensor]]]) -> Callable[[int], None]:
    """Return the plain forward pass over one part."""

    def forward(part: int) -> None:
        for batch in parts[part]:
            model(**batch)

    return forward


def buffers(parts: list[list[dict[str, torch.Tensor]]], layers: int, width: int) -> list[list[torch.Tensor]]:
    """Return room for the activations of all tokens of every part, one tensor a layer: everything is kept."""
    tokens = [sum(int(batch["attention_mask"].sum()) for batch in part) for part in parts]
    return [[torch.empty(count, width) for _ in range(layers)] for count in tokens]


def keep(room: list[torch.Tensor], start: int, batch: dict[str, torch.Tensor], states: list[torch.Tensor]) -> int:
    """Keep the states of the tokens of one batch and return where the next one starts."""
    mask = batch["attention_mask"].bool()
    stop = start + int(mask.sum())
    for own, state in zip(room, states, strict=True):
        own[start:stop] = state[mask]
    return stop
