"""Family run: the flows of a run whose network is one of a family, each member measured as its flow over depth is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blockspin.capture.loss import LOSS
from blockspin.ensemble import Ensemble
from blockspin.flow import Flow, Scale
from blockspin.flows.family import Kinship
from blockspin.loss_run import MEAN, has_loss, loss_of
from blockspin.measurement import Measurement
from blockspin.network_study import NETWORK, NetworkStudy
from blockspin.networks import Family
from blockspin.running.replicas import Replicas
from blockspin.study import DATA
from blockspin.targets import target_field

PREVIOUS, LAST, TARGET, LAYER = "cka/similarity", "cka/with_last", "cka/with_target", "cka/with_layer_before"
WHOLE = "network as a whole"
Ensembles = Mapping[str, Ensemble]
Rows = dict[str, dict[str, Measurement]]
Visit = Callable[[str, NetworkStudy], None]


@dataclass(frozen=True, eq=False)
class FamilyRun:
    """What was measured along a family.

    Args:
        kinship: What its networks are to each other.
        layers: The flow of every layer.
        whole: That of the networks as wholes.
        last: The last layer of each network, as ensembles.
        losses: The loss of each network by its label, or why there is none.
        parameters: How many each network has, by its label.
    """

    kinship: Kinship
    layers: Mapping[str, Flow]
    whole: Flow
    last: Flow
    losses: Mapping[str, Replicas] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """What the names of its files begin with: "training", "width"."""
        return self.kinship.axis.name

    def flows(self) -> dict[str, Flow]:
        """Return all flows by the name of their file."""
        names = {f"{self.slug}-{k:03d}": flow for k, flow in enumerate(self.layers.values())}
        return {**names, f"{self.slug}-network": self.whole}

    def with_whole(self, label: str, numbers: Mapping[str, Measurement]) -> FamilyRun:
        """Return the same with more numbers of one network as a whole."""
        return replace(self, whole=self.whole.with_measurements({label: numbers}))

    def sizes(self) -> list[dict[str, Any]]:
        """Return size and loss of each network as plain values, for scaling laws."""
        rows = zip(self.whole.labels, self.whole, strict=True)
        return [
            {
                "label": label,
                "position": scale.position,
                "parameters": self.parameters[label],
                **told(self.losses[label]),
            }
            for label, scale in rows
        ]


def passes(study: NetworkStudy) -> Iterator[tuple[str, NetworkStudy]]:
    """Yield all networks of a run whose activations are read, by name: of a family one at a time is open.

    The last of a family is the network itself.
    """
    for name, reading in study.passes.items():
        yield name, replace(study, reading=reading)
    family = study.material.family
    if family is not None:
        for position, recipe in list(family.members.items())[:-1]:
            yield family.kinship.label(position), study.beside(recipe)


def along_family(
    study: NetworkStudy, family: Family, folder: Path, network: Flow, visit: Visit | None = None
) -> FamilyRun:
    """Measure every network of a family over the same records, one after the other.

    Each is a pass of its own through the engine, so that what was cut short goes on at the network where it stopped.
    Of the samples, those of the last, the previous and the present network are in memory, and all last layers.

    Args:
        study: The run under way.
        family: The networks.
        folder: The run's folder.
        network: The flow over depth of the last network, its ensembles included.
        visit: Called with the label and the study of each network while it is open.
    """
    end = Flow(network.name, network.axis, tuple(scale for scale in network if scale.label != DATA))
    targets = target_field(study.material.targets, end[0].ensemble)
    rows: dict[int, Rows] = {}
    losses, parameters, last_layers = {}, {}, []
    previous: Ensembles | None = None
    for position, recipe in family.members.items():
        last, label = position == max(family.members), family.kinship.label(position)
        one = study if last else study.beside(recipe)
        flow = end if last else one.depth(label, one.reading, folder, None)[0]
        fields = {scale.label: scale.ensemble for scale in flow}
        others: dict[str, Ensembles | Ensemble | None] = {
            PREVIOUS: previous,
            TARGET: targets,
            LAST: None if last else {s.label: s.ensemble for s in end},
        }
        rows[position] = _numbers(flow)
        for key, other in others.items():
            for layer, number in _similar(study, fields, other).items():
                rows[position][layer][key] = number
        losses[label] = loss_of(one, NETWORK if last else label, folder)
        parameters[label] = parameters_of(one)
        last_layers.append(Scale(float(position), label, ensemble=flow[-1].ensemble))
        previous = fields
        if visit is not None:
            visit(label, one)
    kinship = family.kinship
    whole = kinship.flow(WHOLE, {p: _as_numbers(losses[kinship.label(p)]) for p in rows})
    last_flow = Flow("last layer", kinship.axis, tuple(last_layers))
    return FamilyRun(kinship, kinship.by_layer(rows), whole, last_flow, losses, parameters)


def parameters_of(study: NetworkStudy) -> int:
    """Return how many parameters a study's network has."""
    return sum(parameter.numel() for parameter in study.reading.network.module.parameters())


def told(loss: Replicas) -> dict[str, Any]:
    """Return a loss as plain values, or why there is none."""
    found = loss.measurement(MEAN).to_dict() if MEAN in loss.values else None
    return {"loss": found, "no_loss": loss.reason}


def networks_read(study: NetworkStudy) -> float:
    """Return how many passes over the records a run makes, beside the explicit flow: for estimates of time."""
    family = study.material.family
    members = len(family.members) if family else 1
    read = study.kernels / len(study.material.sample) if has_loss(study) else 0.0
    return 1 + members + members * read


def _as_numbers(loss: Replicas) -> dict[str, Measurement]:
    return {f"{LOSS}/{MEAN}": loss.measurement(MEAN)} if MEAN in loss.values else {}


def _numbers(flow: Flow) -> Rows:
    """Return the numbers of every layer; over depth the point before is a layer, and of the first layer none is."""
    rows = {scale.label: dict(scale.measurements) for scale in flow}
    for place, row in enumerate(rows.values()):
        before = row.pop(PREVIOUS, None)
        if before is not None and place:
            row[LAYER] = before
    return rows


def _similar(study: NetworkStudy, fields: Ensembles, other: Ensembles | Ensemble | None) -> dict[str, Measurement]:
    """Return the debiased CKA of every layer with the same layer elsewhere, or with one field for all of them."""
    found = {}
    for layer, own in fields.items() if other is not None else ():
        against = other if isinstance(other, Ensemble) else other.get(layer)  # type: ignore[union-attr]
        if against is None:
            continue  # a network of another depth
        numbers = study.ruler().similarities({"other": against, layer: own})
        if PREVIOUS in numbers.get(layer, {}):
            found[layer] = numbers[layer][PREVIOUS]
    return found
