"""Any torch module through the Python interface: read it, coarse-grain its last layer, ask the question."""

from dataclasses import replace

import torch

from blockspin import member
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.ensemble import Batch, Ensemble
from blockspin.flows.depth import depth_flow
from blockspin.flows.iterate import iterate
from blockspin.sources.base import draw_records

generator = torch.Generator().manual_seed(0)
trained = member("organisms", "cluster-tree")().train(generator=generator)  # put your own module and arrays here
records = draw_records(member("sources", "given-records")(tuple(trained.contents.numpy())), 400)
recipe = NetworkRecipe(member("sources", "given-module")(trained.module), "array")
reading = ActivationPass(recipe, records, (), member("representations", "pooled")())
reading = replace(reading, layers=reading.network.stream())

joint = [batch for shard in reading.shards() for batch in reading.batches(shard)]
ensembles = {
    layer: Ensemble(batch := Batch.join(part[layer] for part in joint), reading.representation.geometry(batch.values))
    for layer in reading.layers
}
measured = {layer: ensemble.select(torch.arange(300)) for layer, ensemble in ensembles.items()}
hidden = reading.layers[-2]  # the last layer before the logits
fit = ensembles[hidden].select(torch.arange(300, 400))  # what is fitted is fitted on other inputs

depth = depth_flow("network", measured)
scheme = member("schemes", "principal-modes")(b=2)
levels = iterate((fit, measured[hidden]), scheme, generator=generator, steps=5)
answer = member("questions", "retrace")().ask(depth, levels, controls={}, generator=generator)

print(answer.statement)
for name, verdict in answer.verdicts.items():
    print(f"{name:>10}: {verdict.value:12} D = {answer.numbers[f'{name}: D']}")
assert len(answer.verdicts) == 5
assert all(number.error >= 0 for number in answer.numbers.values())
