"""Char transformer: a small decoder that predicts the next character of the King James Version."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blockspin.organisms._characters import VOCABULARY, Characters, numbers
from blockspin.organisms._training import Course, drawn, trained
from blockspin.organisms.base import Organism, Trained
from blockspin.registry import register
from blockspin.sources.kjv import Kjv


class Block(nn.Module):
    """Causal attention and a multilayer perceptron, each added to the stream after a layer norm of it."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream [passages, tokens, width] after the block."""
        n, tokens, width = stream.shape
        q, k, v = self.read(self.attention_norm(stream)).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        stream = stream + self.write(mixed.transpose(1, 2).reshape(n, tokens, width))
        return stream + self.mlp(self.mlp_norm(stream))


class Decoder(nn.Module):
    """A stack of blocks between an embedding and a read-out of the next character."""

    def __init__(self, width: int, layers: int, heads: int, context: int):
        super().__init__()
        self.characters, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, VOCABULARY)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the logits [passages, tokens, characters]; padding on the right changes nothing before it."""
        stream = self.characters(input_ids) + self.positions.weight[: input_ids.shape[1]]
        for block in self.blocks:
            stream = block(stream)
        return self.out(self.norm(stream))


@register
@dataclass(frozen=True)
class CharTransformer(Organism):
    """A decoder of characters; its widths are a family of sizes.

    After 600 steps with 4 layers the losses on text not trained on are about 2.3, 2.0 and 1.7 nats per character at the
    widths 32, 64 and 128; single characters alone, without any context, cost 2.9. The loss starts near ln(97) = 4.6.
    Score and curve: "test_loss" in nats per character, on the same 256 windows at every checkpoint.

    Args:
        width: Width of the stream.
        layers: Blocks.
        heads: Heads of attention in each; must divide the width.
        context: Characters read at once.
        steps: Training steps on 32 windows each.

    Raises:
        MissingDependencyError: From ``train``, if the text is not installed.
    """

    name = "char-transformer"
    source = "vaswani2017"
    widths = (16, 24, 32, 48, 64, 96)
    width: int = 32
    layers: int = 4
    heads: int = 4
    context: int = 64
    steps: int = 600

    def network(self, *, generator: torch.Generator) -> nn.Module:
        """Return the decoder, its weights of variance 0.25 / fan-in."""
        return drawn(lambda: Decoder(self.width, self.layers, self.heads, self.context), generator, gain=0.5)

    def train(self, *, generator: torch.Generator) -> Trained:
        """Read the text, train by AdamW on its first 19 twentieths with a warm-up and a cosine decay."""
        passages = [record.content for record in Kjv().records()]
        cut = len(passages) * 19 // 20
        shown, held = (numbers("\n".join(part)) for part in (passages[:cut], passages[cut:]))
        net = self.network(generator=generator)
        tests = self._windows(held, 256, generator)
        optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate)

        def loss() -> Tensor:
            return _nats(net, self._windows(shown, 32, generator))

        def measure() -> dict[str, float]:
            return {"test_loss": float(_nats(net, tests))}

        optimiser.register_step_post_hook(lambda *_: schedule.step())
        checkpoints, curves = trained(net, optimiser, loss, measure, Course(self.steps))
        contents = tuple(passage for passage in passages[cut:] if passage.strip())
        scores = {"test_loss": curves["test_loss"][self.steps]}
        tokenizer = Characters(self.context)
        return Trained(net.eval(), contents, "text", checkpoints, scores, curves, tokenizer, next_token=True)

    def _rate(self, step: int) -> float:
        return min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def _windows(self, text: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Return windows [count, context + 1] that begin anywhere."""
        begin = torch.randint(len(text) - self.context, (count, 1), generator=generator)
        return text[begin + torch.arange(self.context + 1)]


def _nats(net: nn.Module, windows: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
