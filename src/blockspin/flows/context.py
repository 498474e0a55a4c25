"""Context: the flow of a network's representation with how much of each passage it reads."""

from __future__ import annotations

from collections.abc import Sequence

from blockspin.errors import ConfigError
from blockspin.flow import Axis, Direction
from blockspin.flows.family import Kinship

CONTEXT = Kinship(Axis("context", "tokens", Direction.UNKNOWN), "context")
"""What readings of one network are to each other whose passages are cut to several lengths.

Do not trust when:
    Many passages are shorter than the longest context: they are read alike at every length beyond their own.
"""


def lengths_of(contexts: Sequence[str]) -> tuple[int, ...]:
    """Return lengths of context in tokens, ascending.

    Raises:
        ConfigError: If they are not at least two different numbers of at least 2.
    """
    known = {int(text) for text in contexts if text.isdecimal()}
    if len(known) < max(len(contexts), 2) or min(known) < 2:
        raise ConfigError("contexts", list(contexts), "at least two different numbers of tokens, as 16 32 64 128.")
    return tuple(sorted(known))
