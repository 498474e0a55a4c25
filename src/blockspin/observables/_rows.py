"""Rows: a bounded subsample of units, one sample of each, drawn by hash whatever the order of merging."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError, FitFailedError, TooFewSamplesError
from blockspin.observables._keeping import kept_rows, merged_rows
from blockspin.observables.base import Observable, RowMonoid, State


@dataclass(frozen=True)
class _Kept(RowMonoid):
    """Of every unit the sample with the smallest scrambled id, of all units those with the smallest scrambled key.

    Repeated contents would put a diagonal back into statistics of pairs. States are sorted by scrambled unit, so that
    they depend on nothing but which samples were added.
    """

    limit: int = 1500

    def part(self, *batches: Batch) -> State:
        """Keep rows of one joint batch."""
        fields = {key: b.values.flatten(1) for key, b in zip(("first", "second"), batches, strict=False)}
        first = batches[0]
        return kept_rows({"ids": first.ids, "units": first.units, "weights": first.weights, **fields}, self.limit)

    def joined(self, first: State, second: State) -> State:
        """Keep rows of two parts."""
        return merged_rows(first, second, self.limit)


@dataclass(frozen=True)
class Rows(_Kept):
    """The field of at most ``limit`` units, one sample of each, drawn by hash.

    State: "ids", "units" int64 [rows], "weights" float64 [rows], "first" [rows, D] in the dtype of the field.

    Args:
        limit: Most units that are kept.
    """


@dataclass(frozen=True)
class RowPairs(_Kept):
    """The fields of at most ``limit`` units in two aligned ensembles: ``Rows`` with "second" [rows, D'] beside "first".

    Args:
        limit: Most units that are kept.
    """

    inputs = 2


@dataclass(frozen=True)
class OfRows(Observable):
    """Numbers that are read off a bounded subsample of units.

    Args:
        limit: Most units that are kept.
    """

    smooth = False
    limit: int = 1500

    @property
    def monoid(self) -> Rows:
        """A bounded subsample of units."""
        return Rows(self.limit)


@dataclass(frozen=True)
class OfRowPairs(Observable):
    """Numbers that are read off a bounded subsample of units in two aligned ensembles.

    Args:
        limit: Most units that are kept.
    """

    smooth = False
    limit: int = 1500

    @property
    def monoid(self) -> RowPairs:
        """A bounded subsample of units in both ensembles."""
        return RowPairs(self.limit)


def check_units(state: State) -> None:
    """Refuse fewer than two units.

    Raises:
        TooFewSamplesError: If there are.
    """
    if not state or len(state["ids"]) < 2:
        raise TooFewSamplesError("a kernel between samples needs at least two units", "Give more samples.")


def check_varies(total: Tensor) -> None:
    """Refuse a field whose sum of squares about its mean, or the norm of whose kernel, is nothing.

    Raises:
        ConstantUnitsError: If it is.
    """
    if not float(total) > 0:
        raise ConstantUnitsError("the field does not vary over the samples", "Check the data.")


def check_equal_weights(state: State) -> None:
    """Refuse weighted rows: unbiased products of kernels count every sample once.

    Raises:
        FitFailedError: If weights differ.
    """
    weights = state["weights"]
    if bool((weights != weights[0]).any()):
        raise FitFailedError("weighted samples have no unbiased product of kernels", "Draw samples of the law instead.")
