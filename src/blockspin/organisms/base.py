"""The contract of an organism: a network trained on the spot, on data that it makes, with a known answer."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

Checkpoint = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Trained:
    """What an organism leaves.

    Args:
        module: The trained network, in eval mode.
        contents: Float32 [records, ...]; data that it was not trained on.
        modality: What they are: "image" or "array".
        checkpoints: State dicts along the training, by step, the first before any; log-spaced.
        scores: Measured qualities: "accuracy" on data not trained on.
    """

    module: torch.nn.Module
    contents: Tensor
    modality: str
    checkpoints: Mapping[int, Checkpoint]
    scores: Mapping[str, float]


class Organism(abc.ABC):
    """A recipe of a small network. Members are frozen dataclasses whose fields are its options."""

    family: ClassVar[str] = "organisms"
    name: ClassVar[str]
    source: ClassVar[str]

    @abc.abstractmethod
    def train(self, *, generator: torch.Generator) -> Trained:
        """Make the data and train the network; the global state of randomness is left alone."""


def log_steps(total: int, count: int) -> tuple[int, ...]:
    """Return about ``count`` steps from 0 to ``total``, both included, evenly spaced in their logarithm."""
    spaced = (
        torch.logspace(0, torch.log10(torch.tensor(float(total))).item(), max(count - 1, 2)).round().to(torch.int64)
    )
    return (0, *sorted(set(spaced.tolist())))
