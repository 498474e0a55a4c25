"""Losses of outputs against what they are to be: next tokens, numbers; what no target belongs to is refused."""

import pytest
import torch

from blockspin.capture.loss import LOSS, ClassLoss, LossPass, NextTokenLoss, SquaredLoss
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.errors import ShapeError
from blockspin.organisms._characters import Characters, numbers
from blockspin.registry import member
from blockspin.sources.base import draw_records

TEXTS = ("in the beginning", "god created the heaven", "and the earth", "was without form", "and void; and darkness")


def reading(module, contents, modality, tokenizer=None) -> ActivationPass:
    sample = draw_records(member("sources", "given-records")(contents, modality), 100)
    recipe = NetworkRecipe(member("sources", "given-module")(module, tokenizer), modality)
    return ActivationPass(recipe, sample, (), member("representations", "pooled")(), batch_size=2, group_count=2)


def losses(one: LossPass) -> dict[int, float]:
    """Return the loss of every record by its id."""
    batches = [batch[LOSS] for shard in one.shards() for batch in one.batches(shard)]
    return {int(k): float(v) for batch in batches for k, v in zip(batch.ids, batch.values[:, 0, 0], strict=True)}


def test_the_loss_of_next_tokens_is_that_of_each_passage_read_alone():
    organism = member("organisms", "char-transformer")(width=8, layers=1)
    net = organism.network(generator=torch.Generator().manual_seed(0)).eval()
    one = reading(net, TEXTS, "text", Characters(organism.context))
    found = losses(LossPass(one, NextTokenLoss()))
    for key, record in zip(one.sample.ids.tolist(), one.sample.records, strict=True):
        tokens = numbers(record.content)[None]
        with torch.no_grad():
            logits = net(tokens)
        exact = torch.nn.functional.cross_entropy(logits[0, :-1], tokens[0, 1:])
        assert found[key] == pytest.approx(float(exact), rel=1e-5)


def test_squared_losses_and_what_no_target_belongs_to():
    module = torch.nn.Linear(3, 2).eval()
    points = tuple(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).numpy())
    one = reading(module, points, "array")
    found = losses(LossPass(one, SquaredLoss(torch.ones(6, 2, dtype=torch.float64))))
    for key, record in zip(one.sample.ids.tolist(), one.sample.records, strict=True):
        with torch.no_grad():
            exact = (module(torch.as_tensor(record.content)) - 1).square().mean()
        assert found[key] == pytest.approx(float(exact), rel=1e-5)
    with pytest.raises(ShapeError, match="2 outputs, and targets ask for 3"):
        losses(LossPass(one, ClassLoss(torch.tensor([0, 1, 2, 0, 1, 2]), 3)))
    chances = reading(torch.nn.Sequential(module, torch.nn.Softmax(1)).eval(), points, "array")
    with pytest.raises(ShapeError, match="probabilities"):
        losses(LossPass(chances, ClassLoss(torch.tensor([0, 1, 0, 1, 0, 1]), 2)))
    assert LossPass(one, ClassLoss(torch.tensor([0, 1] * 3), 2)).fingerprint != one.fingerprint
