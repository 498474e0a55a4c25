"""Swendsen: the linearised flow of couplings between two scales, from correlations of their operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor

from blockspin.couplings._operators import SECTORS, operator_names, operator_values
from blockspin.couplings.base import Coupling, Goodness
from blockspin.ensemble import Batch, Ensemble
from blockspin.errors import ConfigError, GeometryError, TooFewSamplesError
from blockspin.geometry import Geometry, Grid
from blockspin.measurement import Measurement
from blockspin.observables.base import PartMonoid, State, merged_moments, moments_of
from blockspin.registry import register

CONSTANT = 1e-12
"""An operator whose variance is below this share of its mean square does not fluctuate but for rounding."""

COLLINEAR = 1e12
"""Operators are collinear where the condition number of their correlations is beyond this."""


@dataclass(frozen=True)
class OperatorMoments(PartMonoid):
    """Joint second moments of the operators of a coarse and a fine spin field, aligned sample by sample.

    State: "weight" [], "squares" [], "mean" [2 K], "scatter" [2 K, 2 K], float64: the K operators of the coarse field,
    then the same K of the fine one. Merged by the formula of Chan, Golub and LeVeque.

    Args:
        shape: The fine lattice.
        b: Ratio of coarse to fine lattice spacing.
        even: Number of operators even under s -> -s.
        odd: Number of odd ones.
        periodic: Whether opposite edges are neighbours.
        real: Whether the field has other values than -1 and +1.
    """

    shape: tuple[int, ...]
    b: int
    even: int
    odd: int
    periodic: bool = True
    real: bool = False
    inputs: ClassVar[int] = 2

    def part(self, *batches: Batch) -> State:
        """Add up a joint batch (coarse, fine)."""
        coarse, fine = batches
        counts = {"even": self.even, "odd": self.odd}
        lattice = Grid(self.shape, self.periodic)
        parts = ((coarse, Grid(tuple(n // self.b for n in self.shape), self.periodic)), (fine, lattice))
        x = torch.cat([operator_values(batch, grid, counts, real=self.real) for batch, grid in parts], dim=1)
        return moments_of(x, fine.weights)[0]

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return merged_moments(first, second)


def spins_about(ensemble: Ensemble, threshold: Tensor | float) -> Ensemble:
    """Return the field as spins: +1 above a threshold, -1 otherwise, so that real-valued data have operators.

    Take the threshold from other samples than those that are measured (the fit half), for instance each site's median:
    with as many ups as downs the even and the odd sector are nearly apart.

    Args:
        ensemble: Images, token fields, activations.
        threshold: A number, or one a site [sites, components].
    """
    up = ensemble.values > torch.as_tensor(threshold, dtype=ensemble.values.dtype)
    return ensemble.with_values(up.to(ensemble.values.dtype) * 2 - 1)


@register
@dataclass(frozen=True)
class Swendsen(Coupling):
    r"""The matrix that takes small changes of the couplings one coarse-graining further, and its exponents.

    With S' the operators of the coarse spins, S those of the fine ones, and connected averages,

    .. math:: T = \langle S' S' \rangle_c^{-1} \langle S' S \rangle_c, \qquad y = \ln \lambda / \ln b,

    the operators even and odd under s -> -s apart. Estimated from the pair of ensembles (coarse, fine), in that order,
    over the same samples. Quantities: "y_even" and "y_odd", from the eigenvalue of largest modulus of each sector;
    "matrix_even" and "matrix_odd", T itself. A sector has no y where that eigenvalue is negative or complex, and
    neither y nor matrix where an operator does not fluctuate or the operators are collinear: the quantities are then
    absent, and ``absent(state)`` says why.

    T is truncated to the operators given: y carries a bias that does not fall with the number of samples
    (``goodness`` measures it), and the first step from a fine lattice is further from the fixed point than the later.

    Args:
        shape: The fine lattice, of one to three dimensions; each axis divisible by b.
        b: Ratio of coarse to fine lattice spacing.
        even: Number of even operators, in the fixed order of ``names``.
        odd: Number of odd ones.
        periodic: Whether opposite edges are neighbours; not those of images or of windows of text, whose operators are
            summed over what lies inside.
        real: Whether the field has other values than -1 and +1: powers at one site are then operators too. The coarse
            field must then be renormalised as at the fixed point: another factor z divides the row of T that belongs to
            a product of n fields by z^n.

    Raises:
        ConfigError: If an option cannot be used.

    Example:
        >>> from blockspin import Chain, Ensemble, member
        >>> words = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)).exp()  # a token field
        >>> fine = spins_about(Ensemble.of(words, Chain(8, periodic=False)), words.median(0).values[:, None])
        >>> coarse = member("schemes", "majority-rule")(b=2).fit(fine, generator=torch.Generator())(fine)
        >>> coupling = Swendsen(shape=(8,), even=1, odd=1, periodic=False)
        >>> sorted(coupling.value(coupling.monoid.add(coupling.monoid.start(), coarse.batch, fine.batch)))[:1]
        ['matrix_even']

    Do not trust when:
        Samples of a chain are grouped by hash (the error is then too small), ties of a majority rule are broken always
        the same way (the sectors then mix), or the coarse lattice is hardly larger than the operators.

    Source:
        swendsen1979.
    """

    name = "swendsen"
    source = "swendsen1979"
    units: ClassVar[Mapping[str, str]] = {"y_even": "1", "y_odd": "1", "matrix_even": "1", "matrix_odd": "1"}
    left_out: ClassVar[tuple[str, ...]] = ("operators of longer range or of more spins than those given",)
    of_steps: ClassVar[bool] = True
    shape: tuple[int, ...] = (32, 32)
    b: int = 2
    even: int = 3
    odd: int = 2
    periodic: bool = True
    real: bool = False

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) not in (1, 2, 3):
            raise ConfigError("shape", self.shape, "one, two or three axes.")
        if self.b < 2 or any(n % self.b for n in self.shape):
            raise ConfigError("b", self.b, f"an integer of at least 2 that divides every axis of {self.shape}.")
        for sector in SECTORS:
            known = self.names(sector)
            if not 1 <= getattr(self, sector) <= len(known):
                raise ConfigError(sector, getattr(self, sector), f"1 to {len(known)} ({', '.join(known)}).")

    @property
    def monoid(self) -> OperatorMoments:
        """Joint moments of the operators."""
        return OperatorMoments(self.shape, self.b, self.even, self.odd, self.periodic, self.real)

    @classmethod
    def between(cls, fine: Geometry, coarse: Geometry, **options: Any) -> Swendsen:
        """Return the coupling for the step from one geometry to the next, whatever scheme took it.

        Args:
            fine: The geometry before the step.
            coarse: The geometry after it.
            options: The other options; ``periodic`` where the geometry does not know it, as that of pictures.

        Raises:
            GeometryError: If these are not two grids of which one is b times as coarse as the other.
        """
        if isinstance(fine, Grid) and isinstance(coarse, Grid):
            b = fine.shape[0] // coarse.shape[0]
            if b > 1 and fine.shape == tuple(b * n for n in coarse.shape):
                return cls(**{"shape": fine.shape, "b": b, "periodic": fine.periodic, **options})
        raise GeometryError(
            f"{coarse} is not a grid b times as coarse as {fine}",
            "The operators are sums over a grid of one to three dimensions: use a scheme that leaves one.",
        )

    def names(self, sector: str) -> tuple[str, ...]:
        """Return the operators of a sector that there are, in their fixed order."""
        return operator_names(len(self.shape), sector, real=self.real)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return exponents and matrices, where they exist.

        Raises:
            TooFewSamplesError: If there are fewer samples than operators.
        """
        return self._solve(state)[0]

    def absent(self, state: State) -> dict[str, str]:
        """Return the quantities that do not exist here, each with the reason."""
        return self._solve(state)[1]

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return how far the exponents move when the last operator of each sector is left out: the truncation.

        The larger of the two sectors' shifts, its mean over the two states with half their difference as error; 0
        where neither sector has an operator to spare.
        """
        shifts = [self._truncation(state) for state in (fitted, held_out)]
        score = Measurement(sum(shifts) / 2, abs(shifts[0] - shifts[1]) / 2, how="two independent parts", dof=1)
        return Goodness("shift of y when the last operator is left out", score)

    def _truncation(self, state: State) -> float:
        shifts = [0.0]
        full, _ = self._solve(state)
        for sector in SECTORS:
            if getattr(self, sector) > 1 and f"y_{sector}" in full:
                found, _ = self._solve(state, spare=sector)
                shifts += [abs(float(found[f"y_{sector}"] - full[f"y_{sector}"]))] if f"y_{sector}" in found else []
        return max(shifts)

    def _solve(self, state: State, spare: str = "") -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return (quantities, reasons of absence), leaving out the last operator of the sector ``spare``."""
        total = self.even + self.odd
        if not state or float(state["weight"]) ** 2 / float(state["squares"]) <= total:
            raise TooFewSamplesError(f"{total} operators need more samples than that", "Give more samples.")
        found: dict[str, Tensor] = {}
        reasons: dict[str, str] = {}
        for sector, first, count in (("even", 0, self.even), ("odd", self.even, self.odd)):
            kept = torch.arange(first, first + count - (sector == spare))
            reason = self._constant(state, sector, kept) or _sector(state, sector, kept, total, log(self.b), found)
            for key in (f"y_{sector}", f"matrix_{sector}"):
                if key not in found:
                    reasons[key] = reason
        return found, reasons

    def _constant(self, state: State, sector: str, kept: Tensor) -> str:
        names = self.names(sector)
        for level, offset in (("coarse", 0), ("fine", self.even + self.odd)):
            index = kept + offset
            variance = state["scatter"].diagonal()[index] / state["weight"]
            dead = variance <= CONSTANT * (variance + state["mean"][index] ** 2)
            if bool(dead.any()):
                return f"operator {names[int(dead.nonzero()[0])]} does not fluctuate on the {level} lattice"
        return ""


def _sector(state: State, sector: str, kept: Tensor, total: int, log_b: float, found: dict[str, Tensor]) -> str:
    """Solve for T in one sector, enter what exists into ``found``, and return why the rest does not."""
    A = state["scatter"][kept][:, kept]
    B = state["scatter"][kept][:, kept + total]
    root = A.diagonal().sqrt()
    if float(torch.linalg.cond(A / torch.outer(root, root))) > COLLINEAR:
        return "the operators of the coarse lattice are collinear"
    T = torch.linalg.solve(A, B)
    found[f"matrix_{sector}"] = T
    eigenvalues = torch.linalg.eigvals(T)
    leading = eigenvalues[eigenvalues.abs().argmax()]
    if abs(float(leading.imag)) > 1e-9 * float(leading.abs()):
        return f"the leading eigenvalue {complex(leading):.3g} is complex"
    if float(leading.real) <= 0:
        return f"the leading eigenvalue {float(leading.real):.3g} is not positive"
    found[f"y_{sector}"] = leading.real.log() / log_b
    return ""
