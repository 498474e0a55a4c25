"""Flows over training, measured on activations in memory."""

import torch
from torch import Tensor

from blockspin import Ensemble, Flow
from blockspin.engine.base import Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.flows.training import TRAINING, training_flow
from blockspin.registry import member


def over_training(fields: dict[str, dict[int, Tensor]]) -> Flow:
    """Measure {layer: {step: values [samples, d]}}."""
    flows = {}
    for layer, rows in fields.items():
        last = max(rows)
        base = Ensemble.of(rows[last], units=torch.arange(len(rows[last])))
        found = {}
        for step, values in rows.items():
            tasks = [Task(member("observables", key)(), ("now",)) for key in ("participation-ratio", "cumulants")]
            tasks += [] if step == last else [Task(member("observables", "cka")(), ("now", "last"))]
            reading = EnsemblePass.of({"now": base.with_values(values[:, :, None]), "last": base}, groups=10)
            generator = torch.Generator().manual_seed(0)
            measured = measure(reading, tasks, executor=Serial(), store=None, generator=generator).measurements()
            similar = {} if step == last else {"cka/with_last": measured["now", "last"]["cka/similarity"]}
            found[step] = {**measured[("now",)], **similar}
        flows[layer] = training_flow(layer, found)
    return TRAINING.joined("network", flows)
