"""Recipe: how to open a network, small enough to send to a worker process."""

from __future__ import annotations

from dataclasses import dataclass

from blockspin.capture.base import Encoder, Network
from blockspin.capture.encoders import ArrayEncoder, TextEncoder, padding_right
from blockspin.capture.untrained import untrained_copy
from blockspin.errors import MissingModelError
from blockspin.sources.base import ModuleSource


@dataclass(frozen=True)
class NetworkRecipe:
    """How to open a network.

    Args:
        source: Where it comes from.
        modality: "text", "image" or "array".
        max_tokens: Longer passages are cut.
        untrained_seed: Open an untrained copy drawn with this seed; None for the network itself.
    """

    source: ModuleSource
    modality: str
    max_tokens: int = 128
    untrained_seed: int | None = None

    def open(self) -> Network:
        """Load the network and its encoder.

        Raises:
            MissingModelError: If there is none, or it has no tokenizer for text.
        """
        loaded = self.source.load()
        if self.modality == "text" and loaded.tokenizer is None:
            raise MissingModelError(
                "the network has no tokenizer, and the data are text",
                "Give a folder that holds its tokenizer, or let the factory return (module, tokenizer).",
            )
        module, how = loaded.module, "trained"
        if self.untrained_seed is not None:
            module, how = untrained_copy(module, self.untrained_seed)
        encoder: Encoder = ArrayEncoder(self.modality)
        if self.modality == "text":
            encoder = TextEncoder(padding_right(loaded.tokenizer), self.max_tokens)
        return Network(module, encoder, how, loaded.absent)
