"""Frame: a block of a lattice, the buffer around it, and the environment beyond the buffer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble, check_finite
from blockspin.errors import GeometryError, StepNotPossibleError, check_whole
from blockspin.geometry import Geometry, Grid
from blockspin.law import GaussianLaw, Source
from blockspin.schemes.base import require_ratio


@dataclass(frozen=True, eq=False)
class Frame:
    """Blocks that tile a lattice, and the environments of those that have a whole one.

    Args:
        members: int64 [blocks, block size]; the sites of every block.
        visible: int64 [framed, block size]; the sites of the blocks whose environment lies on the lattice.
        environment: int64 [framed, environment size]; the sites beyond each one's buffer, in the same order.
    """

    members: Tensor
    visible: Tensor
    environment: Tensor

    def samples(self, ensemble: Ensemble) -> tuple[Tensor, Tensor, Tensor]:
        """Return blocks and environments of all samples as rows, and the weight float64 [rows] of each.

        Rows [samples * framed, values] run over the framed blocks of the first sample, then over those of the second.
        """
        rows = [ensemble.values[:, part].flatten(2).flatten(0, 1) for part in (self.visible, self.environment)]
        weights = (ensemble.weights / ensemble.weights.sum() / len(self.visible)).repeat_interleave(len(self.visible))
        return rows[0], rows[1], weights

    def moments(self, source: Source) -> tuple[Tensor, Tensor, Tensor]:
        """Return the covariances of block, of block with environment, and of environment, averaged over blocks.

        Each site is centred by its own mean. float64, [p, p], [p, q] and [q, q].
        """
        p = self.visible.shape[1]
        if isinstance(source, GaussianLaw):
            sites = torch.cat([self.visible, self.environment], dim=1)
            c = source.components
            index = (sites[:, :, None] * c + torch.arange(c)).flatten(1)
            C = torch.stack([source.covariance[i][:, i] for i in index]).mean(0)
        else:
            ensemble, c = source if isinstance(source, Ensemble) else source.ensemble, source.values.shape[2]
            w = ensemble.weights / ensemble.weights.sum()
            centred = ensemble.values.to(torch.float64)
            centred = centred - torch.einsum("n,nsc->sc", w, centred)
            x, y, share = self.samples(ensemble.with_values(centred))
            joint = torch.cat([x, y], dim=1) * share.sqrt()[:, None]
            check_finite(joint, "the field whose blocks are asked for")
            C = joint.T @ joint
        p *= c
        return C[:p, :p], C[:p, p:], C[p:, p:]


def framed(geometry: Geometry, b: int, buffer: int, reach: int) -> Frame:
    """Return the frame of every block: sites beyond ``buffer`` lattice spacings of a block and within ``reach`` more.

    Distance is that of the furthest axis, so that a frame in two dimensions is a square ring. On a lattice with edges
    the blocks whose environment is cut off serve as blocks, but nothing is learned from them.

    Raises:
        GeometryError: If there is no lattice, or not room for a block, its buffer and its environment.
        IndivisibleBlocksError: If b does not divide the lattice.
    """
    if not isinstance(geometry, Grid):
        raise GeometryError(
            f"{type(geometry).__name__} sites have no blocks with an environment around them",
            "Use information-bottleneck, which needs none, or give the ensemble a Chain or Grid geometry: the "
            "representation windows is a chain of positions.",
        )
    members = geometry.blocks(b).members
    outer = buffer + reach
    if b + 2 * outer > min(geometry.shape):
        raise GeometryError(
            f"{min(geometry.shape)} sites along an axis have no room for a block of {b} with buffer and environment "
            f"({b + 2 * outer} sites)",
            "Take a smaller b, buffer or reach.",
        )
    inside = range(-buffer, b + buffer)
    offsets = product(range(-outer, b + outer), repeat=geometry.dimension)
    ring = torch.tensor([o for o in offsets if not all(k in inside for k in o)])
    shape = torch.tensor(geometry.shape)
    position = geometry.coordinates()[members[:, :1]] + ring
    if geometry.periodic:
        position, whole = position % shape, torch.ones(len(members), dtype=torch.bool)
    else:
        whole = ((position >= 0) & (position < shape)).all(2).all(1)
    if not bool(whole.any()):
        raise GeometryError(
            f"no block of {b} has its whole environment on a lattice with edges", "Take a smaller b, buffer or reach."
        )
    stride = torch.tensor([int(shape[axis + 1 :].prod()) for axis in range(len(shape))])
    return Frame(members, members[whole], (position[whole] * stride).sum(2))


def require_frame(scheme: Any, **least: int) -> None:
    """Check the options of a scheme that reads blocks in a frame: b, buffer, reach, and others that are integers.

    Args:
        scheme: The scheme.
        least: The least value of each other option, by its name.

    Raises:
        ConfigError: If one of them cannot be used.
    """
    require_ratio(scheme.b)
    for name, low in {"buffer": 0, "reach": 1, **least}.items():
        value = getattr(scheme, name)
        check_whole(name, value, low)


def require_fewer(modes: int, values: int) -> None:
    """Check that a block of so many values is coarse-grained to fewer modes.

    Raises:
        StepNotPossibleError: If nothing would be forgotten.
    """
    if modes >= values:
        raise StepNotPossibleError(f"{modes} modes of a block of {values} values forget nothing", "Keep fewer modes.")
