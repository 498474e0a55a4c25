"""Training: weights drawn from a generator, and the loop that every organism is trained by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blockspin.organisms.base import Checkpoint, log_steps

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Course:
    """How long to train and what to keep on the way.

    Args:
        steps: Training steps.
        checkpoints: About how many state dicts are kept, log-spaced, those of no step and of the last included.
        every: Steps from one measurement of the scores to the next; they are measured at checkpoints too.
    """

    steps: int
    checkpoints: int = 10
    every: int = 0


def trained(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Callable[[], Tensor],
    measure: Callable[[], Scores],
    course: Course,
) -> tuple[dict[int, Checkpoint], dict[str, dict[int, float]]]:
    """Train a network in place; return its checkpoints by step, and the curves of its scores by name and step.

    What is kept at step t has had t updates.

    Args:
        net: The network.
        optimiser: What updates it.
        loss: Its loss on the next batch.
        measure: Its scores now; called without gradients.
        course: How long, and what to keep.
    """
    saved = set(log_steps(course.steps, course.checkpoints))
    checkpoints: dict[int, Checkpoint] = {}
    curves: dict[str, dict[int, float]] = {}
    for step in range(course.steps + 1):
        if step in saved:
            checkpoints[step] = {key: value.detach().clone() for key, value in net.state_dict().items()}
        if step in saved or (course.every and step % course.every == 0):
            with torch.no_grad():
                for name, value in measure().items():
                    curves.setdefault(name, {})[step] = float(value)
        if step < course.steps:
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()
    return checkpoints, curves


def drawn(make: Callable[[], nn.Module], generator: torch.Generator, gain: float = 1.0) -> nn.Module:
    """Return a network whose weights are Gaussian of variance gain^2 / fan-in, drawn from ``generator`` alone.

    Biases are 0, and other vectors (scales of a normalization) 1. The fan-in of an embedding is its width, so that its
    rows are of length 1.

    Args:
        make: Makes the modules; its own initial values are never drawn.
        generator: Randomness of the weights.
        gain: Square root of the variance times the fan-in; 2**0.5 keeps the scale of a ReLU network.
    """
    with torch.device("meta"):  # where the library's own initial values cost nothing and draw nothing
        net = make()
    net.to_empty(device="cpu")
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * gain / weight[0].numel() ** 0.5)
            else:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
    return net


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Let numbers below the smallest normal one be zero, and put the setting back.

    Strong weight decay drives unused weights and their running averages there, where arithmetic is many times slower.
    """
    smallest = torch.finfo(torch.float32).tiny
    before = float(torch.tensor(smallest) * 0.5) == 0.0  # torch has no way to ask
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
