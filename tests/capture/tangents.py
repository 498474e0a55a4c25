"""Small networks whose gradients the tests of tangent passes and of products with their kernel read."""

import torch
from capture.networks import sample_of
from torch import nn

from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.capture.tangent import TangentPass
from blockspin.registry import member
from blockspin.sources.given_module import GivenModule

DOUBLE = torch.float64


def network(seed=0, outputs=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs)).eval()


def over(module, contents, functional, *, modality="array", tokenizer=None, **options):
    recipe = NetworkRecipe(GivenModule(module, tokenizer), modality, 32)
    pooled = member("representations", "pooled")()
    reading = ActivationPass(recipe, sample_of(contents), (), pooled, batch_size=4, shard_size=8, group_count=4)
    return TangentPass(reading, functional, **options)


def arrays(count=20):
    return list(torch.randn(count, 6, generator=torch.Generator().manual_seed(0)).numpy())


def dense(reading):
    """The Jacobian [records, parameters], the parameters by name, from torch.func and all records at once."""
    module, index = reading.reading.network.module, reading.functional.index
    x = torch.stack([torch.from_numpy(record.content) for record in reading.reading.sample.records])
    parameters = {name: value.detach() for name, value in sorted(module.named_parameters())}
    J = torch.func.jacrev(lambda given: torch.func.functional_call(module, given, (x,))[:, index])(parameters)
    return torch.cat([part.flatten(1) for part in J.values()], dim=1).to(DOUBLE)


def collected(reading):
    found = {}
    for shard in reading.shards():
        for joint in reading.batches(shard):
            for name, batch in joint.items():
                found.setdefault(name, {}).update(zip(batch.ids.tolist(), batch.values[:, :, 0], strict=True))
    order = reading.reading.sample.ids.tolist()
    return {name: torch.stack([rows[i] for i in order]).to(DOUBLE) for name, rows in found.items()}
