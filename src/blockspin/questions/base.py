"""The contract of a question: flows and ensembles in, an Answer out."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

import torch

from blockspin.answer import Answer
from blockspin.flow import Flow

BLOCK = 128 * 2**20
"""Bytes of kernels between samples that a question holds at once."""


class Question(abc.ABC):
    """One question of the roadmap. Members are frozen dataclasses whose fields are its options."""

    family: ClassVar[str] = "questions"
    name: ClassVar[str]
    source: ClassVar[str]

    @abc.abstractmethod
    def ask(
        self, implicit: Flow, explicit: Flow, *, controls: Mapping[str, Flow], generator: torch.Generator
    ) -> Answer:
        """Answer from measurements.

        Args:
            implicit: The network's own flow, read off; its scales carry ensembles over the same inputs.
            explicit: The flow computed from the network's representation, over the same inputs.
            controls: Flows whose answer is known or should be null, by name; made by the caller.
            generator: Randomness of resampling.
        """
