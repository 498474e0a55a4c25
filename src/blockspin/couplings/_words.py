"""Words: how often short sequences of symbols occur in windows of a process."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.ensemble import Batch
from blockspin.errors import ShapeError
from blockspin.observables.base import State, SumMonoid, weights_of

WORDS = 2**16
"""Most words whose numbers are kept."""


@dataclass(frozen=True)
class WordCounts(SumMonoid):
    """How often each word of a length stands anywhere in windows of symbols.

    State: "weight" [] and "squares" [] of the samples, "counts" float64 [symbols ** length], words numbered in
    lexicographic order; merged by adding.

    Args:
        symbols: Size of the alphabet; fields hold 0, 1, ..., symbols - 1.
        length: Symbols of a word.
    """

    symbols: int
    length: int

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            ShapeError: If a window is shorter than a word, has several components, or holds what is not a symbol.
        """
        (batch,) = batches
        field = batch.values
        if field.shape[2] != 1 or field.shape[1] < self.length:
            raise ShapeError(
                f"windows of {field.shape[1]} sites and {field.shape[2]} components hold no words of {self.length}",
                "Give longer windows of one symbol a step, or ask for a shorter past.",
            )
        symbol = field[:, :, 0].to(torch.int64)
        if bool((symbol != field[:, :, 0]).any()) or int(symbol.min()) < 0 or int(symbol.max()) >= self.symbols:
            raise ShapeError(
                f"the field holds other values than the symbols 0 to {self.symbols - 1}", "Number the symbols."
            )
        place = self.symbols ** torch.arange(self.length - 1, -1, -1)
        words = symbol.unfold(1, self.length, 1) @ place
        counts = torch.zeros(self.symbols**self.length, dtype=torch.float64)
        counts.index_add_(0, words.reshape(-1), batch.weights.repeat_interleave(words.shape[1]))
        return {**weights_of(batch), "counts": counts}
