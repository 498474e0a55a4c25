"""Field mixture: whether samples come from one Gaussian field or from two of different spectrum, and which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.answer import Verdict
from blockspin.couplings._spectral_frames import SpectralFrame, check_fits, fitted_frame, fourier_frame, frame_of_half
from blockspin.couplings._spectral_mixture import (
    Modes,
    log_density,
    log_evidence,
    log_mixture,
    one_shape,
    two_shapes,
)
from blockspin.couplings.base import Coupling, Goodness
from blockspin.ensemble import Batch, Ensemble, group_of
from blockspin.errors import ConfigError, ConstantUnitsError, FitFailedError, TooFewSamplesError, check_between
from blockspin.geometry import Geometry, Grid
from blockspin.measurement import Measurement
from blockspin.observables.base import RowMonoid, State, kept_rows, merged_rows
from blockspin.registry import register

LEAST = 40
"""Fewest units: each half must hold what two spectra are fitted to."""


@dataclass(frozen=True)
class ModePowers(RowMonoid):
    """Squared amplitudes of the modes of at most ``limit`` units, one sample of each.

    State: "ids", "units" int64 [rows], "powers" float64 [rows, modes].

    Args:
        frame: The modes.
        limit: Most units that are kept, drawn by hash.
    """

    frame: SpectralFrame
    limit: int

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            ShapeError: If the field does not fit the frame.
            FitFailedError: If samples are weighted.
        """
        (batch,) = batches
        if bool((batch.weights != batch.weights[0]).any()):
            raise FitFailedError("weighted samples are no mixture to be told apart", "Draw samples of the law instead.")
        flat = batch.values.flatten(1)
        check_fits(flat, self.frame)
        rows = {"ids": batch.ids, "units": batch.units, "powers": self.frame.powers(flat)}
        return kept_rows(rows, self.limit)

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch, the units passed by that the frame was chosen on."""
        (batch,) = batches
        seen = torch.tensor(sorted(self.frame.seen), dtype=torch.int64)
        return super().add(state, batch.select(~torch.isin(batch.units, seen)) if len(seen) else batch)

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return merged_rows(first, second, self.limit)


@dataclass(frozen=True)
class MixtureTest:
    """Whether samples come from two fields.

    Args:
        verdict: Yes (two), no (one), or cannot tell.
        evidence: ln of the e-value for two against one.
        p_value: Bound on the probability of as much evidence if there is one: min(1, 1 / e-value).
        power: Share of simulated mixtures of the stated contrast that were found at this number of samples; None where
            two were found.
        contrast: Natural logarithm of the ratio of the two fields' shares of power between first and last shell, for
            which the power is stated.
        reason: Why, in words.
    """

    verdict: Verdict
    evidence: float
    p_value: float
    power: float | None
    contrast: float
    reason: str


@register
@dataclass(frozen=True)
class FieldMixture(Coupling):
    r"""Two Gaussian fields of different spectrum in one ensemble, against one field of any amplitude.

    Each sample's field has modes of variance :math:`\rho S_c(k)`, with c = 1 or 2 drawn a sample and an amplitude rho
    of any law. One field whose samples differ in amplitude (heavy tails) has samples of one shape of spectrum, two
    fields have samples of two; only the shapes are compared, by the likelihood of each sample's composition over modes.
    Where there are two, principal components order modes by the mean of both, which is the scale of neither.

    Quantities: "evidence" (ln of an e-value for two; chance puts it above ln 20 in less than one case of 20), and where
    it is above: "share" of the first field; "ratio" [shells], ln S_1 / S_2 about its mean over modes; "contrast", its
    root mean square. The first field is the one with the longer waves. The fit goes over the kept rows several times;
    one pass collects them. Errors exist where there is evidence in every random half of the units.

    Args:
        frame: The modes, by ``on`` (waves of a periodic lattice) or ``in_modes_of`` (principal modes of the fit half).
        limit: Most units that are kept.

    Raises:
        ConfigError: If ``limit`` cannot be used.

    Do not trust when:
        The modes are not those of the covariance (waves of a field that is not stationary): one field then looks like
        several. The field is a non-linear function of one Gaussian field whose local variance follows it, which gives
        its samples several shapes. Samples of a unit depend on each other: one of each is used, units must be
        independent.

    Source:
        pearson1894 for mixtures, tyler1987 for shapes, wasserman2020 for the evidence.
    """

    name = "field-mixture"
    source = "pearson1894"
    smooth = False
    units: ClassVar[Mapping[str, str]] = {"evidence": "nat", "share": "1", "ratio": "1", "contrast": "1"}
    left_out: ClassVar[tuple[str, ...]] = ("more than two fields", "interactions within a field", "amplitudes")
    noted: ClassVar[tuple[str, ...]] = ("evidence",)
    frame: SpectralFrame = fourier_frame(Grid((64,)), 48, 8)
    limit: int = 5000

    def __post_init__(self):
        if self.limit < LEAST:
            raise ConfigError("limit", self.limit, f"at least {LEAST} units.")

    @classmethod
    def on(cls, source: Ensemble | Geometry, *, modes: int = 48, shells: int = 8, limit: int = 5000) -> FieldMixture:
        """Return the coupling on the longest waves of a periodic lattice, given itself or by a field on it.

        Samples of a field without a lattice have principal modes: those of half of its units, which are not measured.

        Raises:
            GeometryError: If a geometry is given that is no periodic lattice.
            TooFewSamplesError: If a field has too few samples for two modes.
        """
        geometry = source if isinstance(source, Geometry) else source.geometry
        if isinstance(source, Geometry) or (isinstance(geometry, Grid) and geometry.periodic):
            return cls(fourier_frame(geometry, modes, shells), limit)
        return cls(frame_of_half(source, modes, shells), limit)

    @classmethod
    def in_modes_of(cls, fit_half: Ensemble, *, modes: int = 32, shells: int = 5, limit: int = 5000) -> FieldMixture:
        """Return the coupling in the principal modes of other samples, for sites without a periodic lattice.

        Raises:
            TooFewSamplesError: If there are fewer than ten samples a mode.
        """
        return cls(fitted_frame(fit_half, modes, shells), limit)

    @property
    def monoid(self) -> ModePowers:
        """Powers of the modes of a bounded number of units."""
        return ModePowers(self.frame, self.limit)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the evidence and, where it is enough, the two fields.

        Raises:
            TooFewSamplesError: If there are fewer than 40 units.
            ConstantUnitsError: If a mode has no power.
        """
        powers, modes = self._powers(state), self.frame.modes()
        evidence = log_evidence(powers, _half(state), modes)
        found = {"evidence": torch.tensor(evidence, dtype=torch.float64)}
        if evidence <= log(20):
            return found
        fit = two_shapes(powers, modes)
        ratio = (fit.rates[1] / fit.rates[0]).log()
        contrast = ((modes.weights @ ratio.square()) / modes.weights.sum()).sqrt()
        share = torch.tensor(fit.share, dtype=torch.float64)
        return found | {"share": share, "ratio": ratio, "contrast": contrast}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return by how much two fields describe a held-out sample better than one, both fitted elsewhere.

        Negative where the second field only fits noise. ``judge_mixture`` gives the verdict.
        """
        modes, first, other = self.frame.modes(), self._powers(fitted), self._powers(held_out)
        gain = log_mixture(other, two_shapes(first, modes), modes) - log_density(other, one_shape(first, modes), modes)
        error = float(gain.std()) / len(gain) ** 0.5
        score = Measurement(float(gain.mean()), error, "nat", len(gain), "held-out units, independent")
        return Goodness("held-out log-likelihood a sample of two fields over one", score)

    def _powers(self, state: State) -> Tensor:
        if not state or len(state["ids"]) < LEAST:
            raise TooFewSamplesError(
                f"{len(state['ids']) if state else 0} units do not tell one field from two", f"Give {LEAST} or more."
            )
        powers = state["powers"]
        if not bool((powers > 0).all()):
            raise ConstantUnitsError("a mode of the field has no power in some sample", "Ask for fewer modes.")
        return powers


def judge_mixture(
    coupling: FieldMixture,
    state: State,
    *,
    generator: torch.Generator,
    level: float = 0.05,
    contrast: float = log(4),
    replicas: int = 20,
) -> MixtureTest:
    """Return whether samples come from two fields of different spectrum: yes, no, or cannot tell.

    "Yes" where the evidence is above ln(1 / level), which one Gaussian field, of whatever amplitudes, gives with
    probability ``level`` at most, at any number of samples. "No" where it is not and nine in ten simulated mixtures of
    the stated contrast, in equal shares, would have been found at this number of samples; else "cannot tell".

    Args:
        coupling: The coupling.
        state: A state of its monoid.
        generator: Randomness of the simulation.
        level: Probability of calling one field two.
        contrast: ln of the ratio by which the two shapes differ between first and last shell.
        replicas: Simulated mixtures.

    Raises:
        ConfigError: If the level is no probability.
        TooFewSamplesError: If there are fewer than 40 units.
    """
    check_between("level", level, 0, 1)
    powers, modes = coupling._powers(state), coupling.frame.modes()
    evidence = log_evidence(powers, _half(state), modes)
    p_value = min(1.0, float(torch.exp(torch.tensor(-evidence))))
    if evidence > -log(level):
        reason = f"two spectra describe held-out samples better by {evidence:.1f} nats"
        return MixtureTest(Verdict.YES, evidence, p_value, None, contrast, reason)
    mean, found = one_shape(powers, modes), 0
    for _ in range(replicas):
        planted = planted_powers(mean, modes, len(powers), contrast, generator=generator)
        half = torch.arange(len(planted)) % 2 == 0
        found += log_evidence(planted, half, modes) > -log(level)
    power = found / replicas
    verdict = Verdict.NO if power >= 0.9 else Verdict.CANNOT_TELL
    reason = (
        f"{evidence:.1f} nats for two; a contrast of {contrast:.2f} would have been found with probability {power:.2f}"
    )
    return MixtureTest(verdict, evidence, p_value, power, contrast, reason)


def planted_powers(mean: Tensor, modes: Modes, samples: int, contrast: float, *, generator: torch.Generator) -> Tensor:
    """Return powers [samples, modes] of an even mixture of two fields that differ by a straight line over shells."""
    last = max(1, int(modes.shell.max()))
    tilt = torch.exp(contrast / 2 * (0.5 - modes.shell / last))
    label = torch.rand(samples, 1, generator=generator) < 0.5
    normal = torch.randn(samples, len(mean), 2, dtype=torch.float64, generator=generator).square()
    chi2 = normal[..., 0] + torch.where(modes.halves == 1, normal[..., 1], 0.0)
    return chi2 / (2 * modes.halves) * mean * torch.where(label, tilt, 1 / tilt)


def _half(state: State) -> Tensor:
    """Return which rows are in the first half; a row is a unit."""
    half = group_of(state["units"], 2, salt=9) == 0
    if min(int(half.sum()), int((~half).sum())) < LEAST // 4:
        raise TooFewSamplesError("the units do not divide into two halves", "Give more units.")
    return half
