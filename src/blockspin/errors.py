"""Every error that blockspin raises: what was wrong, the offending value, and what to do next.

When to add a class: when a caller may want to catch it, or when a test must tell it from the others. The class
docstring is its manual entry; the message names the value and the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

SHOWN = 500
"""Characters of a value that a message shows."""


class BlockspinError(Exception):
    """Base of all errors raised on purpose; catching it catches nothing else.

    Args:
        what: What was wrong, with the offending value.
        remedy: What the reader should do next.
    """

    def __init__(self, what: str, remedy: str = ""):
        self.what, self.remedy = what, remedy
        super().__init__(f"{what.rstrip('.')}. {remedy}".strip() if remedy else what)

    def __reduce__(self):
        return _rebuild, (type(self), self.what, self.remedy, self.__dict__)


def _rebuild(cls: type[BlockspinError], what: str, remedy: str, state: dict) -> BlockspinError:
    """Carry an error from a worker process to the driver without calling the subclass's own constructor."""
    error = cls.__new__(cls)
    BlockspinError.__init__(error, what, remedy)
    error.__dict__.update(state)
    return error


def _shown(value: object) -> str:
    """Return a value as it is written in code, cut short where it is long."""
    try:
        text = repr(value)
    except RecursionError:
        return "a value that nests without end"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return a sentence that offers the known names closest to ``name``."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=count, cutoff=0.3) or known[:count]
    return f"Nearest names: {', '.join(close)}." if close else "There are none to choose from."


# --- what a user asked for -------------------------------------------------------------------------------------------


class ConfigError(BlockspinError):
    """A field of the configuration has a value that cannot be used; the message says what would be accepted."""

    def __init__(self, field: str, value: object, accepted: str):
        super().__init__(f"{field[:SHOWN]} = {_shown(value)} cannot be used", f"Accepted: {accepted}")
        self.field, self.value = field, value


def check_between(field: str, value: float, low: float, high: float) -> None:
    """Refuse an option that is no number strictly between two others.

    Raises:
        ConfigError: If it is none.
    """
    if not isinstance(value, Real) or not low < value < high:
        raise ConfigError(field, value, f"a number between {low:g} and {high:g}.")


def check_whole(field: str, value: Any, least: int) -> None:
    """Refuse an option that is no integer of at least ``least``; True is none.

    Raises:
        ConfigError: If it is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ConfigError(field, value, f"an integer of at least {least}.")


class UnknownNameError(BlockspinError):
    """A name is not registered in its family; the message offers the nearest names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        super().__init__(f"there is no {kind} named {name!r}", nearest(name, known))


class UnknownLayerError(BlockspinError):
    """The network has no layer of that module path; the message offers the nearest paths."""

    def __init__(self, name: str, known: Iterable[str]):
        super().__init__(f"the network has no layer {name!r}", nearest(name, known))


class MissingModelError(BlockspinError):
    """No network was found where the configuration says that one is."""


class CheckpointError(BlockspinError):
    """A file of weights cannot be read, holds more than tensors, or is not of the network that it is meant for."""


class MissingDependencyError(BlockspinError):
    """An optional package is needed for this step and is not installed; the message says what to install."""


class RunFolderError(BlockspinError):
    """A run folder is missing, belongs to another configuration, or would be overwritten."""


class OtherVersionsError(RunFolderError):
    """States were left by other versions of blockspin or torch than are installed: their sums are not to be mixed."""


# --- what the data are -----------------------------------------------------------------------------------------------


class UnreadableRecordError(BlockspinError):
    """A record of a data file cannot be read; the message gives the file and the line or index."""


class NonFiniteError(BlockspinError):
    """A field holds NaN or infinity; the message says where (which layer, which sample)."""


class ShapeError(BlockspinError):
    """A tensor does not have the axes [samples, sites, components] that an ensemble needs."""


class TooFewSamplesError(BlockspinError):
    """There are not enough independent units for the quantity asked for, or for its error bar."""


class AlignmentError(BlockspinError):
    """Ensembles that are to be read together are not over the same inputs: their ids, units or weights differ."""


class ConstantUnitsError(BlockspinError):
    """Sites do not vary over the samples, so that they carry no correlation and cannot be normalised."""


# --- what a coarse-graining can do -----------------------------------------------------------------------------------


class StepNotPossibleError(BlockspinError):
    """Base of the reasons for which a ladder of coarse-grainings ends; iterating catches it and says why."""


class IndivisibleBlocksError(StepNotPossibleError):
    """The number of sites along an axis is not a multiple of the block size."""


class GeometryError(StepNotPossibleError):
    """The scheme needs a notion of nearness that this geometry does not have."""


class NothingFoundError(StepNotPossibleError):
    """The data show no structure that the scheme could coarse-grain by: the geometry allows a step, the data do not."""


class NotLinearError(BlockspinError):
    """A Gaussian law can only be pushed through a linear map; this map is not one."""


class FitFailedError(BlockspinError):
    """A fit did not converge or is not identified; it yields no number, and the reason is the message."""


class HardEdgesError(FitFailedError):
    """Values have atoms or hard edges (zeros of a ReLU, clipped ends, spins, unit norms): no smooth density fits."""


class NotMixedError(FitFailedError):
    """Markov chains do not agree with each other: they have not forgotten where they began, and give no mean."""


# --- what a network can do -------------------------------------------------------------------------------------------


class TrainModeError(BlockspinError):
    """The network is in train mode and holds layers whose output is then random or depends on the batch."""


class PooledEditError(BlockspinError):
    """A pooled ensemble cannot be put back into the network: pooling has no inverse."""


# --- what a run leaves on disk ---------------------------------------------------------------------------------------


class DiskSpaceError(BlockspinError):
    """There is not enough room on the disk for what the run is going to write."""


class MemoryBudgetError(BlockspinError):
    """The run needs, or has come to hold, more memory than the configuration gives it."""


class CorruptStateError(BlockspinError):
    """A file of the run folder does not match its checksum or is cut short; the run recomputes it."""


class MergeError(BlockspinError):
    """The parts of a divided run cannot be put together: one is missing, not finished, or does not agree."""


class WorkerLostError(BlockspinError):
    """A worker process died again and again on the same shard."""


# --- what a member of a family must declare --------------------------------------------------------------------------


class DeclarationError(BlockspinError):
    """A member of a family does not declare what its contract asks for."""


class DuplicateNameError(BlockspinError):
    """Two members of a family declare the same name."""


class ConformanceError(BlockspinError):
    """A scheme does not keep a promise that it makes, or keeps one that it does not make."""
