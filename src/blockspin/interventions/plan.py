"""Plan: by how much features are shifted, and what is asked of the answers."""

from __future__ import annotations

from dataclasses import dataclass

from blockspin.errors import check_between, check_whole


@dataclass(frozen=True)
class Plan:
    """What is done with features.

    Args:
        delta: Standard deviations of a feature by which it is shifted, up and down.
        parents: Directions of largest variance that stand for the whole activation in a second prediction.
        level: Expected share of false edges, and chance that the interval of some hop misses.
        margin: How far from 1 slope and share explained may lie where answers are called as predicted.

    Raises:
        ConfigError: If a number cannot be used.
    """

    delta: float = 0.5
    parents: int = 128
    level: float = 0.05
    margin: float = 0.2

    def __post_init__(self):
        check_between("delta", self.delta, 0, 100)
        check_whole("parents", self.parents, 0)
        check_between("level", self.level, 0, 1)
        check_between("margin", self.margin, 0, 1)
