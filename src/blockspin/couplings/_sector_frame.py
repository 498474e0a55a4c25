"""Sector frame: which sectors a field has, and what is read of it before they are measured: sites, or a few modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blockspin.couplings._frame import flat_moments
from blockspin.couplings._halves import HalfMoments
from blockspin.couplings._spectral_frames import STRETCHES
from blockspin.couplings._sums import covariance_of
from blockspin.ensemble import Batch, Ensemble, group_of
from blockspin.errors import (
    ConfigError,
    ConstantUnitsError,
    GeometryError,
    NothingFoundError,
    ShapeError,
    TooFewSamplesError,
)
from blockspin.geometry import Unordered
from blockspin.observables.base import State, accumulate

PER_DIRECTION = 3
"""Samples for each direction of a field that is measured as it is; a wider one is read along fewer directions."""
SUPPORT = 1e-6
"""Directions of a sector with less than this share of its largest variance are not in its support."""
VARIES = 1e-12
"""A site whose variance is below this share of the largest does not vary but for rounding."""
NOBODY = torch.zeros(0, dtype=torch.int64)
Finder = Callable[[State], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class SectorFrame:
    """What is read of a field.

    Args:
        directions: float64 [D, kept], D = sites * components: each of one sector alone; sites, or modes of a sector.
        mixed: Whether they are modes rather than sites.
        seen: int64, the units that sectors were found on: they are passed by.
        share: Of the variance of that sector which loses most, how much is left.
    """

    directions: Tensor
    mixed: bool
    seen: Tensor
    share: float = 1.0


@dataclass(frozen=True)
class SectorMoments(HalfMoments):
    """Moments of either half of the units (see ``HalfMoments``) along the directions of a frame, without those seen.

    Args:
        frame: What is read of the field.
    """

    frame: SectorFrame

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch."""
        (batch,) = batches
        return super().add(state, batch.select(~torch.isin(batch.units, self.frame.seen)))

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            ShapeError: If the field has another number of sites and components than the frame.
        """
        (batch,) = batches
        x, directions = batch.values.flatten(1).to(torch.float64), self.frame.directions
        if x.shape[1] != len(directions):
            raise ShapeError(
                f"a field of {x.shape[1]} sites and components is not one of {len(directions)}",
                "Measure the field that the sectors were given for.",
            )
        return super().part(batch.with_values(x @ directions))


def half_to_find_on(source: Ensemble) -> Ensemble:
    """Return half of the units: by hash, of a chain every second stretch, so that the groups of errors lose half each.

    Raises:
        TooFewSamplesError: If it holds fewer than two samples.
    """
    first = group_of(source.units, STRETCHES, chain=source.chain, salt=19) % 2 == 0
    if int(first.sum()) < 2:
        raise TooFewSamplesError(f"of {len(source)} samples no sectors can be found on one half", "Give more samples.")
    return source.select(first)


def parts_of(source: Ensemble) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the sector of each site and the sectors' names, where a field is known to have parts.

    Raises:
        GeometryError: If it is not, or has one part alone.
    """
    parts = source.geometry.parts if isinstance(source.geometry, Unordered) else ()
    if len(parts) < 2:
        raise GeometryError(
            "sectors are heads, or layers read side by side, and this field is not known to have such parts",
            "Read one that has (--layers 'blocks.*.z'), or say what they are: --couplings sectors:blocks=4, "
            "sectors:labels=[0, 0, 1], sectors:by='found'.",
        )
    components = source.values.shape[2]
    labels = tuple(k for k, (_, size) in enumerate(parts) for _ in range(size * components))
    return labels, tuple(name for name, _ in parts)


def blocks_of(source: Ensemble, blocks: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the sector of each site and component, and the sectors' names, of equal stretches side by side.

    Raises:
        ConfigError: If sites do not divide so.
        GeometryError: If sites are those of a coarse-grained level, which stand in no order.
    """
    sites = source.geometry.sites
    if blocks < 2 or sites % blocks:
        raise ConfigError("blocks", blocks, f"2 or more equal stretches of {sites} sites.")
    if isinstance(source.geometry, Unordered) and source.geometry.spacing != 1:
        raise GeometryError(
            "the sites of a coarse-grained level without a lattice stand in no order: stretches of them mean nothing",
            "Take sectors:by='found'.",
        )
    size = source.values[0].numel() // blocks
    return tuple(k for k in range(blocks) for _ in range(size)), tuple(f"block {k}" for k in range(blocks))


def found_in(half: Ensemble, find: Finder) -> tuple[SectorFrame, tuple[int, ...]]:
    """Return the sectors of the sites that vary, found on half of the units, and what is read of the others.

    Args:
        half: Samples that are not measured.
        find: From them, along their sites that vary, to the sector of each.

    Raises:
        NothingFoundError: If all sites are coupled to each other, which makes one sector.
    """
    variance = covariance_of(flat_moments(half))[0].diagonal()
    sites = torch.eye(len(variance), dtype=torch.float64)[:, variance > VARIES * variance.max()]
    frame = SectorFrame(sites, False, NOBODY)
    labels = find(accumulate(SectorMoments(frame), half))
    if max(labels) == 0:
        raise NothingFoundError(
            f"all {len(labels)} sites that vary hang together: there is one sector", "Name sectors: sectors:blocks=4."
        )
    return replace(frame, seen=torch.unique(half.units)), labels


def frame_for(
    source: Ensemble, labels: tuple[int, ...], names: tuple[str, ...], modes: int
) -> tuple[SectorFrame | None, tuple[int, ...]]:
    """Return along what a field is read whose sectors are given, None for each of its sites, and the sectors of that.

    A field is read along the leading principal modes of each sector where ``modes`` says so, where samples are fewer
    than three a direction, or where a sector varies in fewer directions than it has sites; else along its sites,
    without those that do not vary. Modes of a sector are made of its own values alone, whatever the order of samples:
    exchange those of another sector, as independence allows, and they stay. So all samples may be measured along them.

    Args:
        source: The field.
        labels: The sector of each site (of flattened components).
        names: Of the sectors.
        modes: Most modes of a sector; 0 for as many as samples allow, and all sites where they do.

    Raises:
        ShapeError: If the field has another number of sites than labels.
        TooFewSamplesError: If there are fewer than three samples a sector.
        ConstantUnitsError: If all sites of a sector stand still.
    """
    C, label = covariance_of(flat_moments(source))[0], torch.tensor(labels)
    if len(label) != len(C):
        raise ShapeError(f"{len(label)} labels do not fit {len(C)} sites and components", "Give one label a site.")
    most = len(source) // PER_DIRECTION
    if most < len(names):
        raise TooFewSamplesError(f"{len(source)} samples are few for {len(names)} sectors", "Give more samples.")
    moving = C.diagonal() > VARIES * C.diagonal().max()
    places = [(moving & (label == k)).nonzero().flatten() for k in range(len(names))]
    if still := [name for name, place in zip(names, places, strict=True) if not len(place)]:
        raise ConstantUnitsError(f"{still[0]} does not vary", "Leave it out.")
    wide = int(moving.sum()) > most
    if not (modes or wide or any(_flat(C, place) for place in places)):
        if bool(moving.all()):
            return None, labels
        sites = torch.eye(len(C), dtype=torch.float64)[:, moving]
        return SectorFrame(sites, False, NOBODY), tuple(label[moving].tolist())
    found = [_modes(C, place, modes or (most // len(names) if wide else len(place))) for place in places]
    kept = tuple(k for k, (columns, _) in enumerate(found) for _ in range(columns.shape[1]))
    shares = [share for _, share in found]
    return SectorFrame(torch.cat([columns for columns, _ in found], 1), True, NOBODY, min(shares)), kept


def _flat(C: Tensor, place: Tensor) -> bool:
    """Whether sites vary in fewer directions than they are."""
    root = C.diagonal()[place].sqrt()
    values = torch.linalg.eigvalsh(C[place][:, place] / torch.outer(root, root))
    return bool(values[0] < SUPPORT * values[-1])


def _modes(C: Tensor, place: Tensor, most: int) -> tuple[Tensor, float]:
    """Return the leading principal modes of some sites [D, modes], and their share of the variance."""
    values, vectors = torch.linalg.eigh(C[place][:, place])
    kept = min(most, int((values > SUPPORT * values[-1]).sum()))
    columns = torch.zeros(len(C), kept, dtype=torch.float64)
    columns[place] = vectors[:, -kept:].flip(1)
    return columns, float(values[-kept:].sum() / values.sum())
