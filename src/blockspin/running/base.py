"""Running: couplings along one axis with the joint covariance of all of them at all scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ShapeError
from blockspin.flow import Axis, Flow
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, State
from blockspin.running._joint import check_running, goodness_between, joint_values, one_a_scale


@dataclass(frozen=True, eq=False)
class Running:
    """Couplings g(s) along one axis.

    Args:
        axis: What the scale runs along.
        labels: The scales by name.
        positions: Where they lie on the axis, ascending, [scales].
        log_lengths: ln of their lengths in spacings of the finest level, NaN where there is none, [scales].
        names: The scalar couplings; entries of a vector quantity are "pair[1]", "pair[2]".
        units: The unit of each.
        values: The couplings, NaN where one does not exist at a scale, [scales, couplings].
        covariance: Of all couplings at all scales, scale by scale, [scales * couplings, scales * couplings]; rows and
            columns are NaN where a coupling, or its error, does not exist.
        dof: Degrees of freedom of the covariance (groups - 1), for Student's t.
        goodness: How well the theory fits at each scale, None where that was not measured.
        left_out: Operators that the theory does not have.
        how: How errors were obtained, and which correlations they hold.

    Raises:
        ShapeError: If shapes do not agree, positions do not ascend, or names repeat.
        NonFiniteError: If a position or a coupling is infinite, or a coupling without value has a variance.
    """

    axis: Axis
    labels: tuple[str, ...]
    positions: Tensor
    log_lengths: Tensor
    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Tensor
    covariance: Tensor
    dof: float
    goodness: tuple[Goodness | None, ...]
    left_out: tuple[str, ...]
    how: str

    def __post_init__(self):
        for field in ("positions", "log_lengths", "values", "covariance"):
            object.__setattr__(self, field, torch.as_tensor(getattr(self, field), dtype=torch.float64))
        check_running(self)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def errors(self) -> Tensor:
        """Standard errors, NaN where there is none, [scales, couplings]."""
        return self.covariance.diagonal().reshape(self.values.shape).clamp(min=0).sqrt()

    def known(self) -> Tensor:
        """Return which couplings exist, with an error, at which scales: bool [scales, couplings]."""
        return self.values.isfinite() & self.errors.isfinite()

    def select(self, *, names: Sequence[str] | None = None, scales: Sequence[int] | None = None) -> Running:
        """Return some of the couplings (by name) at some of the scales (by index), with their covariance.

        Raises:
            ShapeError: If there is no coupling of a name.
        """
        columns = [self._column(name) for name in (self.names if names is None else names)]
        rows = list(range(len(self)) if scales is None else scales)
        flat = torch.tensor([len(self.names) * row + column for row in rows for column in columns], dtype=torch.long)
        return replace(
            self,
            labels=tuple(self.labels[row] for row in rows),
            positions=self.positions[rows],
            log_lengths=self.log_lengths[rows],
            names=tuple(self.names[column] for column in columns),
            units=tuple(self.units[column] for column in columns),
            values=self.values[rows][:, columns],
            covariance=self.covariance[flat][:, flat],
            goodness=tuple(self.goodness[row] for row in rows),
        )

    def measurement(self, scale: int, name: str) -> Measurement:
        """Return one coupling at one scale with its error."""
        column = self._column(name)
        value, error = float(self.values[scale, column]), float(self.errors[scale, column])
        return Measurement(value, error, self.units[column], self.dof + 1, self.how, self.dof)

    def _column(self, name: str) -> int:
        if name not in self.names:
            raise ShapeError(f"there is no coupling {name!r} along {self.axis.name}", f"There are {self.names}.")
        return self.names.index(name)


def running_of(
    flow: Flow,
    couplings: Estimator | Sequence[Estimator],
    states: Sequence[Sequence[State]],
    goodness: Sequence[Goodness | None] | None = None,
) -> Running:
    r"""Return the running of couplings from the states of the same groups of units at every scale.

    .. math:: \Sigma = \frac{G - 1}{G} \sum_g (\theta_{-g} - \bar\theta)(\theta_{-g} - \bar\theta)^T

    with theta all couplings at all scales: a group is left out everywhere at once, so that the covariance holds what
    the same samples have in common. A coupling that does not exist when some group is left out keeps its value and has
    no error. For ensembles in memory, fits and independent runs see ``assembled``.

    Args:
        flow: Where axis, labels, positions and lengths are taken from.
        couplings: What is measured: one estimator, or one a scale.
        states: By scale, then by group.
        goodness: How well the theory fits at each scale; by default couplings fitted to every second group are scored
            on the others.

    Raises:
        ShapeError: If there are not as many couplings, states or groups as there should be.
        TooFewSamplesError: If there are fewer than two groups.

    Source:
        quenouille1956.
    """
    each = one_a_scale(couplings, len(flow))
    names, units, values, covariance, groups = joint_values(each, states)
    if goodness is None:
        goodness = [goodness_between(each[s], states[s]) for s in range(len(flow))]
    left_out = tuple(dict.fromkeys(o for c in each if isinstance(c, Coupling) for o in c.left_out))
    how = f"delete-group jackknife of all scales at once, {groups} groups"
    lengths = [float("nan") if scale.log_length is None else scale.log_length for scale in flow]
    positions = [float(scale.position) for scale in flow]
    where = (flow.axis, flow.labels, torch.tensor(positions), torch.tensor(lengths))
    return Running(*where, names, units, values, covariance, groups - 1, tuple(goodness), left_out, how)
