"""N-grams: hashed counts of words and word pairs with tf-idf weights, what the data are without any network."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble, content_hash
from blockspin.errors import ConfigError, UnreadableRecordError
from blockspin.geometry import Unordered
from blockspin.registry import register
from blockspin.representations.base import DataRepresentation, joined
from blockspin.sources.base import Record, Sample

WORD = re.compile(r"\w+")


@register
@dataclass(frozen=True)
class Ngrams(DataRepresentation):
    """Counts of words and of neighbouring words, hashed to ``sites`` sites, times the inverse document frequency.

    Each passage has unit length afterwards, so that inner products compare contents rather than lengths. Hashing gives
    each n-gram a random sign, so that collisions cancel on average. The inverse document frequency is that of the drawn
    sample.

    Args:
        sites: Number of sites; at least 16.
        longest: Longest n-gram in words.
    """

    name = "ngrams"
    source = "weinberger2009"
    modalities = ("text",)
    sites: int = 4096
    longest: int = 2

    def __post_init__(self):
        if self.sites < 16 or self.longest < 1:
            raise ConfigError(
                "sites, longest", (self.sites, self.longest), "at least 16 sites and n-grams of one word."
            )

    def ensemble(self, sample: Sample) -> Ensemble:
        """Count, weigh and normalise."""
        counts = torch.zeros(len(sample), self.sites)
        seen = torch.zeros(self.sites, dtype=torch.float64)
        for row, record in zip(counts, sample.records, strict=True):
            grams = self._grams(record.content)
            if not grams:
                raise UnreadableRecordError(f"{record.where} holds no word", "Remove it, or give other passages.")
            row += _hashed(grams, self.sites)
            seen += row != 0
        rarity = torch.log((1 + len(sample)) / (1 + seen)) + 1
        values = counts.to(torch.float64) * rarity
        values = values / values.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return Ensemble(joined(values[:, :, None], sample.ids, sample.units), Unordered(self.sites))

    def width(self, record: Record) -> int:
        """Return the number of sites: the same for every passage."""
        return self.sites

    def _grams(self, text: str) -> Counter[str]:
        words = WORD.findall(text.lower())
        lengths = range(1, self.longest + 1)
        return Counter(" ".join(words[i : i + n]) for n in lengths for i in range(len(words) - n + 1))


def _hashed(grams: Counter[str], sites: int) -> Tensor:
    row = torch.zeros(sites)
    for gram, count in grams.items():
        key = content_hash(gram.encode())
        row[key % sites] += count if (key >> 40) & 1 else -count
    return row
