"""The contract of an organism: a network trained on the spot, on data that it makes, with a known answer."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

Checkpoint = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Trained:
    """What an organism leaves.

    Args:
        module: The trained network, in eval mode.
        contents: Data that it was not trained on: float32 [records, ...], or passages for a network that reads text.
        modality: What they are: "text", "image" ([records, height, width, channels]) or "array".
        checkpoints: State dicts along the training, by step, the first before any; log-spaced.
        scores: Measured qualities at the end, by name; the organism says which.
        curves: The same and other qualities along the training: by name, then by step.
        tokenizer: From passages to token numbers, for a network that reads text.
        targets: What the network is to make of each of the contents, [records]; None where it is no one number.
        next_token: Whether it is to make of each passage the tokens that follow, its outputs being their logits.
        data: What the contents are, for a person; blank where the organism's own description says it.
    """

    module: torch.nn.Module
    contents: Tensor | tuple[str, ...]
    modality: str
    checkpoints: Mapping[int, Checkpoint]
    scores: Mapping[str, float]
    curves: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    tokenizer: Any = None
    targets: Tensor | None = None
    next_token: bool = False
    data: str = ""

    @property
    def records(self) -> tuple[Any, ...]:
        """The contents one by one: strings, or numpy arrays."""
        return tuple(self.contents.numpy()) if isinstance(self.contents, Tensor) else self.contents


class Organism(abc.ABC):
    """A recipe of a small network. Members are frozen dataclasses whose fields are its options."""

    family: ClassVar[str] = "organisms"
    name: ClassVar[str]
    source: ClassVar[str]
    widths: ClassVar[tuple[int, ...]] = ()
    """Values of its field ``width`` that make a family of sizes over the same data; none where it makes none."""

    @abc.abstractmethod
    def network(self, *, generator: torch.Generator) -> torch.nn.Module:
        """Return the network before any training; each of its checkpoints can be loaded into it."""

    @abc.abstractmethod
    def train(self, *, generator: torch.Generator) -> Trained:
        """Make the data and train the network; the global state of randomness is left alone."""


def log_steps(total: int, count: int) -> tuple[int, ...]:
    """Return about ``count`` steps from 0 to ``total``, both included, evenly spaced in their logarithm."""
    if total < 1:
        return (0,)
    spaced = (
        torch.logspace(0, torch.log10(torch.tensor(float(total))).item(), max(count - 1, 2)).round().to(torch.int64)
    )
    return (0, *sorted(set(spaced.tolist())))
