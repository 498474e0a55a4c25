"""Couplings nulls: flows where training, or structure between sites or beyond pairs, is missing, beside their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from blockspin.answer import Verdict
from blockspin.config import RunConfig
from blockspin.controls import COPY, Change, gaussian_field
from blockspin.couplings_folder import Rows, theories
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import BlockspinError, ConfigError, UnknownNameError
from blockspin.flow import Flow
from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import spins_kept
from blockspin.material import OFF
from blockspin.running.contrast import Contrast, contrast, corrected
from blockspin.running.replicas import Replicas
from blockspin.running.validity import WHOLE
from blockspin.study import DATA, Parts, Study

UNTRAINED, SHUFFLED, GAUSSIAN = "untrained", "shuffled", "gaussian"
WORDS = {UNTRAINED: "untrained network", SHUFFLED: "sites shuffled", GAUSSIAN: COPY}
"""Null flows by name, and what they are in words."""
Origin = tuple[Flow | None, Parts]
"""A flow over depth, and both parts of what its levels are made of; of data alone there is no such flow."""
Found = Mapping[str, tuple[Flow, Sequence[Rows]]]


def unchanged(field: Ensemble) -> Ensemble:
    """Return a field as it is."""
    return field


@dataclass(frozen=True, eq=False)
class NullFlow:
    """A flow beside another one, with its scales in the same order.

    Args:
        null: What is missing in it, a key of ``WORDS``.
        of: Slug of the flow that it stands beside.
        flow: Its scales carry ensembles.
        change: What is done to an ensemble before it is measured: one at a time, so that one more is in memory.
    """

    null: str
    of: str
    flow: Flow
    change: Change = unchanged

    @property
    def slug(self) -> str:
        """Name of its folder."""
        return f"{self.of}-{self.null}"


def chosen_nulls(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the null flows that a configuration asks for; none where they, or couplings, are off.

    Raises:
        UnknownNameError: If there is none of a name.
        ConfigError: If an untrained network is asked for, and there is no network.
    """
    for name in config.nulls:
        if name not in (*WORDS, OFF):
            raise UnknownNameError("null flow", name, [*WORDS, OFF])
    if config.model == OFF and UNTRAINED in config.nulls:
        raise ConfigError("nulls", UNTRAINED, f"{SHUFFLED} or {GAUSSIAN}: data alone have no untrained network.")
    if OFF in config.nulls or OFF in config.couplings:
        return ()
    usual = (SHUFFLED, GAUSSIAN) if config.model == OFF else (UNTRAINED, SHUFFLED)
    return tuple(dict.fromkeys(config.nulls)) or usual


def null_flows(
    study: Study, own: Origin, explicit: Flow, untrained: Origin | None = None
) -> tuple[list[NullFlow], list[str]]:
    """Return the null flows beside a network over depth, if there is one, and beside levels; and why one is missing.

    The untrained copy was read already, and nothing is read here. Levels are those of the same scheme, fitted anew to
    the null: they show what the scheme makes of a field without training, or without structure.

    Args:
        study: The run under way.
        own: The network over depth, and both parts of its last layer; or both parts of the data.
        explicit: The levels of those.
        untrained: The same of the network's untrained copy.
    """
    draws, groups = study.generator(9), study.config.groups
    changes: dict[str, Change] = {
        SHUFFLED: lambda field: shuffled(field, groups, generator=draws),
        GAUSSIAN: lambda field: gaussian_field(field, generator=draws),
    }
    found, notes, steps = list[NullFlow](), list[str](), len(explicit) - 1
    for null in chosen_nulls(study.config):
        depth, parts = untrained if null == UNTRAINED and untrained else own
        change = changes.get(null, unchanged)
        if depth is not None:
            layers = tuple(scale for scale in depth if scale.label != DATA)
            found.append(NullFlow(null, "network", replace(depth, name=WORDS[null], scales=layers), change))
        pair, name = (change(parts[0]), change(parts[1])), f"{explicit.name}, {WORDS[null]}"
        try:
            draws_of_scheme = study.generator(2)
            levels = iterate(
                pair, study.config.scheme, generator=draws_of_scheme, steps=steps, rescaling=spins_kept, name=name
            )
            found.append(NullFlow(null, "explicit", levels))
        except BlockspinError as reason:  # a learned scheme that finds nothing to learn
            notes.append(f"The scheme made no levels of the null “{WORDS[null]}”: {reason}")
    return found, notes


def shuffled(field: Ensemble, groups: int, *, generator: torch.Generator) -> Ensemble:
    """Return a field with the samples of every site put in an order of its own: sites know nothing of each other.

    What concerns single sites stays as it was. Samples are exchanged within the groups of the error bars alone, so that
    groups stay independent and a group holds the same numbers in both fields.

    Args:
        field: The samples.
        groups: Groups of units for error bars.
        generator: Randomness of the order.

    Do not trust when:
        Groups hold few samples: of m samples in a group one in m stays where it was.
    """
    values, group = field.values.clone(), group_of(field.units, groups, chain=field.chain)
    for g in range(groups):
        rows = (group == g).nonzero().flatten()
        order = torch.rand(len(rows), values.shape[1], generator=generator).argsort(0)
        values[rows] = values[rows].gather(0, order[:, :, None].expand(-1, -1, values.shape[2]))
    return field.with_values(values)


# --- what came of it --------------------------------------------------------------------------------------------------


def beside(found: Found, nulls: Sequence[NullFlow]) -> list[dict[str, Any]]:
    """Return for every theory of a flow and every null flow at which scales they differ, all contrasts counted.

    Never that they are the same: where no difference is seen one cannot tell.

    Args:
        found: What was measured along every flow, the null flows included, by slug.
        nulls: The null flows.
    """
    tested: list[tuple[dict[str, Any], list[Contrast], str]] = []
    for null in nulls:
        (flow, own), (_, other) = found[null.of], found[null.slug]
        for theory in theories(own):
            about = {"flow": null.of, "theory": theory, "null": WORDS[null.null], "slug": null.slug}
            tested.append((about, *_contrasts(flow.labels, own, other, theory)))
    all_of_them = iter(corrected(row for _, rows, _ in tested for row in rows))
    return [_beside(about, [next(all_of_them) for _ in rows], reason) for about, rows, reason in tested]


def _contrasts(
    labels: Sequence[str], own: Sequence[Rows], other: Sequence[Rows], theory: str
) -> tuple[list[Contrast], str]:
    """Compare a theory at every scale; the reason of the first that cannot be compared."""
    rows, reasons, key = list[Contrast](), list[str](), (theory, WHOLE)
    for label, first, second in zip(labels, own, other, strict=False):  # the levels of a null may end before
        try:
            rows.append(contrast(label, first.get(key, Replicas()), second.get(key, Replicas())))
        except BlockspinError as reason:
            reasons.append(str(reason))
    return rows, next(iter(reasons), "")


def _beside(about: Mapping[str, Any], rows: Sequence[Contrast], reason: str) -> dict[str, Any]:
    away = [row.label for row in rows if row.differs()]
    verdict = Verdict.YES if away else Verdict.CANNOT_TELL
    scales = [{**vars(row), "differs": row.differs(), "deviation": _plain(row.deviation)} for row in rows]
    return {**about, "verdict": verdict.value, "scales": scales, "reason": reason}


def _plain(x: float) -> float | None:
    return x if abs(x) < float("inf") else None


def sentences(rows: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one sentence a flow: how many theories differ from the null flows, and which predictions mean nothing.

    Args:
        rows: What ``beside`` returned.
        predictions: With their scores, those along null flows included.
    """
    better = {(p["flow"], p["theory"]) for p in predictions if p["scored"] and p["scored"]["verdict"] == "better"}
    for flow in dict.fromkeys(row["flow"] for row in rows):
        own = [row for row in rows if row["flow"] == flow]
        parts = []
        for null in dict.fromkeys(row["null"] for row in own):
            compared = [row for row in own if row["null"] == null and row["scales"]]
            away = sum(row["verdict"] == Verdict.YES.value for row in compared)
            parts.append(f"{away} of {len(compared)} differ beyond errors from the null “{null}”")
        text = f"Of the sets of couplings and observables along the {flow} flow, {', and '.join(parts)}."
        won = {row["theory"] for row in own if (flow, row["theory"]) in better}
        also = {row["theory"] for row in own if row["theory"] in won and (row["slug"], row["theory"]) in better}
        if won:
            text += f" Of {len(won)} predictions better than every baseline, {len(also)} are so on a null flow too"
            text += ", and say nothing about what is missing there." if also else "."
        yield text
