"""Loss: a pass over how well a network's outputs meet what they are to be, one number a passage."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.capture.base import Layout, rows_of
from blockspin.capture.hooks import first_tensor
from blockspin.capture.reading import ActivationPass
from blockspin.capture.tangent import NextToken
from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch, check_finite
from blockspin.errors import ShapeError
from blockspin.representations.base import counted, joined

LOSS = "loss"
"""Name of the field."""
HELP = "Give targets that belong to the network's outputs, or none."


class Loss(abc.ABC):
    """From a network's outputs to one loss a passage. Members are frozen dataclasses."""

    unit: ClassVar[str]

    @abc.abstractmethod
    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor, rows: Tensor) -> Tensor:
        """Return a loss a passage [passages].

        Args:
            outputs: [passages, positions, d].
            inputs: The encoded inputs.
            mask: bool [passages, positions]; which positions count.
            rows: int64 [passages]; which records of the sample they are.

        Raises:
            ShapeError: If the outputs are not of the shape that the targets ask for.
        """

    def fingerprint(self) -> str:
        """Return a hash of what it holds outputs against."""
        return repr(self)


@dataclass(frozen=True)
class NextTokenLoss(Loss):
    """Mean negative log-probability of the token that follows, outputs being logits."""

    unit = "nats"

    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor, rows: Tensor) -> Tensor:
        """Look up the next tokens."""
        return -NextToken()(outputs, inputs, mask)


@dataclass(frozen=True, eq=False)
class ClassLoss(Loss):
    """Negative log-probability of the right class; outputs are logits, one a class.

    Args:
        targets: int64 [records]; the class of each record of the sample.
        classes: How many there are.
    """

    unit = "nats"
    targets: Tensor
    classes: int

    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor, rows: Tensor) -> Tensor:
        """Look up the classes."""
        outputs = _one_position(outputs, self.classes)
        if bool((outputs >= 0).all()) and torch.allclose(outputs.sum(1), torch.ones(1, dtype=torch.float64)):
            raise ShapeError("the outputs are probabilities, not logits", "Let the network return logits.")
        return -outputs.log_softmax(1).gather(1, self.targets[rows, None])[:, 0]

    def fingerprint(self) -> str:
        """Return a hash of the classes."""
        return _hash(f"{self.classes} classes", self.targets)


@dataclass(frozen=True, eq=False)
class SquaredLoss(Loss):
    """Mean squared difference of outputs and numbers.

    Args:
        targets: float64 [records, d]; what each record of the sample is to give.
    """

    unit = "target^2"
    targets: Tensor

    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor, rows: Tensor) -> Tensor:
        """Compare."""
        return (_one_position(outputs, self.targets.shape[1]) - self.targets[rows]).square().mean(1)

    def fingerprint(self) -> str:
        """Return a hash of the numbers."""
        return _hash("numbers", self.targets)


@dataclass(frozen=True, eq=False)
class LossPass(Pass):
    """A reading of the loss of a network's outputs: the field "loss" [passages, 1, 1].

    Args:
        reading: How to open the network and which records to read, in what shards; its layers are not read.
        loss: What the outputs are held against.
    """

    reading: ActivationPass
    loss: Loss

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self.reading.groups

    @property
    def fingerprint(self) -> str:
        """A hash of the reading and of what it is held against."""
        return hashlib.sha256(f"{self.reading.fingerprint} {self.loss.fingerprint()}".encode()).hexdigest()

    def shards(self) -> Sequence[Shard]:
        """Return the shards."""
        return self.reading.shards()

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield the losses of one shard.

        Raises:
            ShapeError: If outputs and targets do not belong together.
            NonFiniteError: If a loss is NaN or infinite.
            TrainModeError: If the network's output is random.
        """
        network, sample = self.reading.network, self.reading.sample
        network.require_eval()
        for rows in self.reading.rows(shard):
            inputs, layout = network.run([sample.records[i].content for i in rows.tolist()])
            with torch.no_grad():
                outputs = rows_of(first_tensor(network.encoder.call(network.module, inputs)), *layout.mask.shape)
            mask = counted(outputs, Layout.of(layout.mask)).cpu()
            near = {key: value.cpu() for key, value in inputs.items()}
            values = self.loss(outputs.to("cpu", torch.float64), near, mask, rows)
            check_finite(values[:, None], "the loss", sample.ids[rows])
            yield {LOSS: joined(values[:, None, None], sample.ids[rows], sample.units[rows])}


def _one_position(outputs: Tensor, width: int) -> Tensor:
    """Return the outputs [passages, d] of a network that gives one vector a passage."""
    if outputs.shape[1] != 1 or outputs.shape[2] != width:
        positions = f" at {outputs.shape[1]} positions" if outputs.shape[1] != 1 else ""
        raise ShapeError(f"the network gives {outputs.shape[2]} outputs{positions}, and targets ask for {width}", HELP)
    return outputs[:, 0]


def _hash(kind: str, targets: Tensor) -> str:
    return kind + hashlib.sha256(targets.contiguous().numpy().tobytes()).hexdigest()
