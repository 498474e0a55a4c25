"""Two lattices: where couplings stop to flow, bracketed by blocking lattices of two sizes down to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blockspin.errors import ConfigError, FitFailedError
from blockspin.measurement import Measurement


@dataclass(frozen=True)
class Bracket:
    """Between which couplings a flow turns.

    Args:
        low: Largest coupling at which the flow goes down, beyond its error; None where it does so nowhere.
        high: Smallest coupling at which it goes up; None where it does so nowhere.
        level: Two-sided level of the intervals behind it.
    """

    low: float | None
    high: float | None
    level: float

    @property
    def found(self) -> bool:
        """Whether the turn lies in the range that was looked at."""
        return self.low is not None and self.high is not None

    def holds(self, coupling: float) -> bool:
        """Return whether a coupling lies between; never where there is no bracket."""
        return self.low is not None and self.high is not None and self.low < coupling < self.high

    def __str__(self) -> str:
        ends = (
            "none below" if self.low is None else f"{self.low:.5g}",
            "none above" if self.high is None else f"{self.high:.5g}",
        )
        return f"{ends[0]} to {ends[1]} ({self.level:.0%} intervals)"


def difference(once_more: Measurement, once_less: Measurement) -> Measurement:
    """Return what one more blocking does to a coupling, both measured on final lattices of one size.

    A lattice of side L blocked m times and one of L / b blocked m - 1 times have the same number of spins, so that
    finite size falls out of the difference; what remains is the flow by one step, and terms that die out as m grows
    (irrelevant couplings, and what truncation leaves out). The two are independent samples; degrees of freedom by
    Welch and Satterthwaite.

    Args:
        once_more: The coupling after m blockings of the larger lattice.
        once_less: The same coupling after m - 1 blockings of the smaller one.

    Source:
        swendsen1979 for blocked lattices; wilson1974 for a pair of them.
    """
    one, two = float(once_more.error) ** 2, float(once_less.error) ** 2
    dof = (one + two) ** 2 / (one**2 / once_more.dof + two**2 / once_less.dof) if one + two > 0 else np.inf
    how = f"independent samples of two lattices; {once_more.how}"
    n_eff = min(once_more.n_eff, once_less.n_eff)
    value = float(once_more.value) - float(once_less.value)
    return Measurement(value, (one + two) ** 0.5, once_more.unit, n_eff, how, dof)


def bracket(differences: Mapping[float, Measurement], level: float = 0.95) -> Bracket:
    """Return between which couplings a flow turns from going down to going up: an unstable fixed point.

    Args:
        differences: What one more blocking does, by the microscopic coupling.
        level: Level of the intervals which must exclude zero.

    Raises:
        ConfigError: If there are fewer than two couplings, or the level is no probability.
        FitFailedError: If the flow goes up at a smaller coupling than one at which it goes down.
    """
    if len(differences) < 2:
        raise ConfigError("differences", dict(differences), "at least two couplings.")
    if not 0 < level < 1:
        raise ConfigError("level", level, "a probability between 0 and 1.")
    ends = {K: differences[K].interval(level) for K in sorted(differences)}
    down, up = [K for K in ends if ends[K][1] < 0], [K for K in ends if ends[K][0] > 0]
    if down and up and max(down) > min(up):
        raise FitFailedError(
            f"the flow goes up at {min(up):g} and down at {max(down):g}",
            "It does not turn once, from down to up: look at the differences.",
        )
    return Bracket(max(down, default=None), min(up, default=None), level)
