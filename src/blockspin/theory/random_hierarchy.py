"""Random hierarchy: how many samples it takes until synonyms can be told by the classes that they go with."""

from __future__ import annotations


def sample_complexity(classes: int, synonyms: int, depth: int) -> float:
    """Return P* = n_c m^L, samples at which signal and sampling noise of class frequencies are equal, up to order 1.

    Valid for grammars with many synonyms, v = m or so. A number of samples. Source: cagnetta2024.
    """
    return float(classes) * float(synonyms) ** depth
