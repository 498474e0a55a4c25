"""Summary: the sentences and tables of answers.json, worded no further than what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blockspin.answer import Answer
from blockspin.flow import Flow
from blockspin.flows.context import CONTEXT
from blockspin.flows.training import TRAINING
from blockspin.measurement import Measurement
from blockspin.registry import families, members
from blockspin.tethers.base import Tether
from blockspin.training_run import LAZY

ROLES = {"network": "implicit", "untrained": "control", "explicit": "explicit", "exchanged": "exchanged"}
WIDTH = "participation-ratio/debiased"
NAMED = "participation ratio (effective number of directions)"
KEPT = "reconstruction/variance_kept"


def answers_file(
    answers: Sequence[Answer], flows: Mapping[str, Flow], scheme: Any, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the contents of answers.json: plain values, the same for the same run."""
    network, data = about["network"], about["data"]
    return {
        "format": 1,
        "title": f"{network['name']} on {data['name']}" if network else f"{Path(data['name']).name} alone",
        "summary": [*_sentences(answers, flows), *about.get("predicted", ())],
        "answers": [answer.to_dict() for answer in answers],
        "notes": _notes(flows, about),
        "flows": [
            {
                "file": f"{slug}.zarr",
                "name": flow.name,
                "role": ROLES.get(slug, slug.partition("-")[0]),  # of a family: the axis, training or width
                "labels": list(flow.labels),
            }
            for slug, flow in flows.items()
        ],
        "methods": _methods(answers, flows, scheme),
        **{key: value for key, value in about.items() if key != "predicted"},
    }


def _sentences(answers: Sequence[Answer], flows: Mapping[str, Flow]) -> list[str]:
    explicit = flows["explicit"]
    rows = [*(answer.statement for answer in answers), *_widths(flows)]
    half = [(s.label, s.measurements[KEPT]) for s in explicit if KEPT in s.measurements]
    enough = [(label, kept) for label, kept in half if kept.value >= 0.9]
    if enough:
        label, kept = enough[-1]
        rows.append(
            f"The coarsest level that gives back nine tenths of the variance on held-out inputs has {label} ({kept})."
        )
    rows += _learned(flows.get("training-network"))
    if explicit.ended:
        rows.append(f"The ladder ended after {len(explicit) - 1} steps: {explicit.ended.rstrip('.')}.")
    return rows


def _widths(flows: Mapping[str, Flow]) -> list[str]:
    """Return how the effective number of directions goes: over depth, beside an untrained copy, or over levels."""
    if "network" not in flows:
        first, last = _ends(flows["explicit"], WIDTH)
        where = f"from {first} in the data to {last} at the coarsest level"
        return [f"Under coarse-graining the {NAMED} goes {where}."] if first and last else []
    network, untrained = flows["network"], flows["untrained"]
    first, last = _ends(network, WIDTH)
    control = _ends(untrained, WIDTH)[1]
    if not (first and last and control):
        return []
    return [
        f"Over depth the {NAMED} goes from {first} at {_first_label(network, WIDTH)} to {last} at the last layer; in "
        f"the untrained copy it ends at {control}."
    ]


def _learned(network: Flow | None) -> list[str]:
    """Return what the tangent kernels at both ends of a training say, where they were compared."""
    found = next((s.measurements[LAZY] for s in network or () if LAZY in s.measurements), None)
    if found is None:
        return []
    return [
        f"The tangent kernel at the last checkpoint has a similarity (debiased CKA) of {found} with that at the first: "
        "1 for lazy training, in which features stay what they were."
    ]


def _ends(flow: Flow, key: str) -> tuple[Measurement | None, Measurement | None]:
    found = [scale.measurements[key] for scale in flow if key in scale.measurements]
    return (found[0], found[-1]) if found else (None, None)


def _first_label(flow: Flow, key: str) -> str:
    return next(scale.label for scale in flow if key in scale.measurements)


def _notes(flows: Mapping[str, Flow], about: Mapping[str, Any]) -> list[str]:
    data, network = about["data"], about["network"]
    rows = [
        f"{data['drawn']} of {data['records']} records were drawn by the hash of their content; {data['measured']} of "
        "them are measured, and the coarse-graining is fitted on the others.",
        *(_network_notes(flows, about) if network else _data_notes(data)),
        *about.get("question_notes", ()),
        *about.get("family_notes", ()),
    ]
    if network and network["family"]:
        rows += _family_notes(network)
    if network and network["trained_on_the_spot"]:
        rows.append("The network was trained on the spot on data made for it: an illustration, not a finding.")
    return rows


def _family_notes(network: Mapping[str, Any]) -> list[str]:
    """Say which of a family the network is; of checkpoints that is said already."""
    count, along = len(network["family"]), network["along"]
    if along == CONTEXT.axis.name:
        return [
            f"The network was read at {count} lengths of context over the same passages, all else being of the "
            "longest; a passage that is shorter is read alike at every length beyond its own."
        ]
    if along == TRAINING.axis.name:
        return []
    return [f"The network is the last of a family of {count} along {along}, read over the same records."]


def _data_notes(data: Mapping[str, Any]) -> list[str]:
    rows = ["The data were read alone: no network was opened, and nothing here is about one."]
    if data["modality"] == "text":
        rows.append("Texts are read as hashed counts of words and word pairs.")
    return rows


def _network_notes(flows: Mapping[str, Flow], about: Mapping[str, Any]) -> list[str]:
    data, network = about["data"], about["network"]
    rows = [
        f"The untrained copy is {about['untrained']}.",
        "A flow over depth is read off the network and has no length; a coarse-grained flow over unordered sites has "
        "ratios of site counts in its place.",
    ]
    if data["modality"] == "text":
        rows.append(
            "Padding, special tokens and the first position of each passage are left out of every statistic. The data "
            "themselves are read as hashed counts of words and word pairs, without the network."
        )
    if network["checkpoint"]:
        rows.append(f"The network's weights are those of the checkpoint {network['checkpoint']}.")
    if network["checkpoints"] and not network["trained_on_the_spot"]:
        rows.append(f"The network is that of the last checkpoint of {network['checkpoints']}.")
    if network["absent"]:
        parts = ", ".join(network["absent"])
        rows.append(f"The network's files hold no weights of its {parts}: nothing that was read depends on them.")
    if flows["network"].labels[0] != "data":
        rows.append("The data are not a point of the flow, because a sample is not a record in this representation.")
    return rows


def _methods(answers: Sequence[Answer], flows: Mapping[str, Flow], scheme: Any) -> list[dict[str, Any]]:
    """Return the members that took part, each with its summary and source, tethered or not."""
    used = {scheme.name, *(answer.question for answer in answers)}
    for flow in flows.values():
        used |= {key.partition("/")[0] for scale in flow for key in scale.measurements}
    tethered = {name for tether in members("tethers").values() for name in _tethered(tether)}
    rows = []
    for family in families():
        for name, cls in members(family).items():
            if name in used and family in ("schemes", "observables", "couplings", "questions"):
                summary = (cls.__doc__ or "").strip().partition("\n")[0]
                row = {"family": family, "name": name, "summary": summary, "source": cls.source}
                rows.append({**row, "tethered": name in tethered})
    return rows


def _tethered(tether: type[Tether]) -> tuple[str, ...]:
    return tuple(tether.schemes)
