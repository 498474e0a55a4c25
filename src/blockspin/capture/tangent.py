"""Tangent: a pass over gradients of a network's outputs by its parameters, sketched to a fixed number of sites."""

from __future__ import annotations

import abc
import fnmatch
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from blockspin.capture.base import Layout, Network, rows_of
from blockspin.capture.hooks import first_tensor
from blockspin.capture.reading import ActivationPass
from blockspin.engine.base import Pass, Shard
from blockspin.ensemble import Batch, check_finite, content_hash, mix
from blockspin.errors import MissingModelError, ShapeError, UnknownLayerError, check_whole
from blockspin.representations.base import counted, joined

TANGENT, NORM = "tangent", "norm"
"""Names of the fields: the sketched gradients, and the squared norm of each whole gradient."""


class Functional(abc.ABC):
    """From a network's outputs to one number a passage, whose gradient is read. Members are frozen dataclasses."""

    @abc.abstractmethod
    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return a number a passage [passages].

        Args:
            outputs: [passages, positions, d].
            inputs: The encoded inputs.
            mask: bool [passages, positions]; which positions count.
        """


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the positions that count, [passages]."""
    return torch.where(mask, values, 0).sum(1) / mask.sum(1).clamp(min=1)


@dataclass(frozen=True)
class Coordinate(Functional):
    """One output, averaged over the positions that count.

    Args:
        index: Its number along the last axis.
    """

    index: int = 0

    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Pick it.

        Raises:
            ShapeError: If there is no such output.
        """
        if not -outputs.shape[-1] <= self.index < outputs.shape[-1]:
            raise ShapeError(f"there is no output {self.index} among {outputs.shape[-1]}", "Choose another.")
        return _mean(outputs[..., self.index], mask)


@dataclass(frozen=True)
class Projection(Functional):
    """The outputs along one fixed direction with entries of plus and minus one, averaged over the positions that count.

    Over the choice of direction, the kernel of its gradients has the mean sum over outputs of the kernels of each.

    Args:
        seed: Of the direction.
    """

    seed: int = 0

    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Project."""
        generator = torch.Generator().manual_seed(self.seed)
        signs = torch.randint(2, (outputs.shape[-1],), generator=generator) * 2 - 1
        return _mean(outputs @ signs.to(outputs.device, outputs.dtype), mask)


@dataclass(frozen=True)
class NextToken(Functional):
    """The mean log-probability (nats) that outputs, read as logits, give to the token that follows."""

    def __call__(self, outputs: Tensor, inputs: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Look up the next tokens.

        Raises:
            ShapeError: If the network reads no tokens, or outputs are not one a token.
        """
        tokens = inputs.get("input_ids")
        if tokens is None or outputs.shape[:2] != tokens.shape or outputs.shape[2] <= int(tokens.max()):
            raise ShapeError("these outputs are no logits of next tokens", "Use another functional, as Projection.")
        chances = outputs[:, :-1].log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
        return _mean(chances, mask[:, 1:])


class _Whole(nn.Module):
    """A network and how it is called as one module, so that its parameters can be replaced during a call."""

    def __init__(self, network: Network, functional: Functional):
        super().__init__()
        self.module, self.how = network.module, (network.encoder, functional)
        self.training = network.module.training

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        encoder, functional = self.how
        mask = encoder.mask(inputs)
        outputs = rows_of(first_tensor(encoder.call(self.module, inputs)), *mask.shape)
        return functional(outputs, inputs, counted(outputs, Layout.of(mask)))


@dataclass(frozen=True, eq=False)
class TangentPass(Pass):
    r"""A reading of the gradients :math:`\nabla_\theta f(x)` of one number f of a network's outputs, one a passage.

    Two fields: "tangent" [passages, sites, 1], a count sketch of the gradient, and "norm" [passages, 1, 1], the squared
    norm of the whole gradient. Products of sketches are the empirical tangent kernel, so that every observable of
    kernels and covariances applies to it, and nothing grows with the number of outputs or parameters but one gradient.

    .. math:: s_j = \sum_{p: h(p) = j} \sigma_p\, \partial_p f, \qquad
        \operatorname{E} [s \cdot s'] = g \cdot g', \quad
        \operatorname{Var} [s \cdot s'] \le \frac{2}{m} |g|^2 |g'|^2

    with h and sigma fixed hashes of the parameter's name and number: the same on every machine.

    Each passage is run alone, so that a gradient does not depend on its batch. The parameters are replaced during a
    call by tensors that share their memory: flags and ``.grad`` of the user's network are never touched.

    Args:
        reading: How to open the network and which records to read, in what shards; its layers are not read.
        functional: The number whose gradient is read.
        parameters: Globs of parameter names.
        sites: m, the length of the sketch.
        seed: Of the hashes.

    Raises:
        ConfigError: If there are fewer than two sites.

    Source:
        jacot2018 for the kernel, charikar2002 for the sketch.
    """

    reading: ActivationPass
    functional: Functional
    parameters: tuple[str, ...] = ("*",)
    sites: int = 1024
    seed: int = 0

    def __post_init__(self):
        check_whole("sites", self.sites, 2)

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self.reading.groups

    @property
    def fingerprint(self) -> str:
        """A hash of the reading and of what is made of it."""
        plan = (self.functional, self.parameters, self.sites, self.seed)
        return hashlib.sha256(f"{self.reading.fingerprint} {plan!r}".encode()).hexdigest()

    @property
    def relative_error(self) -> float:
        """The largest standard error of an entry of the kernel of sketches, as a share of the two gradients' norms."""
        return (2 / self.sites) ** 0.5

    def shards(self) -> Sequence[Shard]:
        """Return the shards."""
        return self.reading.shards()

    def batches(self, shard: Shard) -> Iterator[dict[str, Batch]]:
        """Yield the joint batches of one shard.

        Raises:
            NonFiniteError: If a gradient is NaN or infinite.
        """
        sample = self.reading.sample
        for rows in self.reading.rows(shard):
            gradients = [self.gradient(row) for row in rows.tolist()]
            ids, units = sample.ids[rows], sample.units[rows]
            sketches = torch.stack([self._sketch(gradient) for gradient in gradients])
            norms = torch.stack([_squared_norm(gradient) for gradient in gradients])
            check_finite(sketches, "the gradient", ids)
            yield {
                TANGENT: joined(sketches[:, :, None], ids, units),
                NORM: joined(norms[:, None, None], ids, units),
            }

    @cached_property
    def whole(self) -> nn.Module:
        """The network and the functional as one module, whose outputs are numbers [passages].

        Raises:
            TrainModeError: If its output is random.
        """
        self.reading.network.require_eval()
        return _Whole(self.reading.network, self.functional)

    def tensors(self) -> dict[str, Tensor]:
        """Return the chosen parameters by their name in ``whole``: they share memory, and flags are their own.

        Raises:
            UnknownLayerError: If a glob matches no parameter.
            MissingModelError: If a chosen parameter is kept away (offloaded) or no real number (quantised).
        """
        known = dict(self.whole.named_parameters())
        chosen: dict[str, Tensor] = {}
        for glob in self.parameters:
            found = fnmatch.filter((name.removeprefix("module.") for name in known), glob)
            if not found:
                raise UnknownLayerError(glob, [name.removeprefix("module.") for name in known])
            chosen |= {f"module.{name}": known[f"module.{name}"] for name in found}
        for name, value in chosen.items():
            if value.is_meta or not value.is_floating_point():
                kind = "kept away (offloaded)" if value.is_meta else f"quantised ({value.dtype})"
                raise MissingModelError(
                    f"the parameter {name.removeprefix('module.')} is {kind} and has no gradient",
                    "Load the network whole and unquantised, or choose other parameters.",
                )
        return {name: value.detach() for name, value in sorted(chosen.items())}

    def inputs(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the encoded inputs of some records."""
        contents = [self.reading.sample.records[row].content for row in rows]
        return self.reading.network.run(contents)[0]

    def gradient(self, row: int) -> dict[str, Tensor]:
        """Return the gradient of one record by the chosen parameters, each of its parameter's shape."""
        return self.pulled_back([row], torch.ones(1))

    def pulled_back(self, rows: Sequence[int], weights: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of the gradients of some records, from one backward pass."""
        leaves = {name: value.requires_grad_() for name, value in self.tensors().items()}
        with torch.enable_grad():
            numbers = torch.func.functional_call(self.whole, leaves, (self.inputs(rows),))
            total = numbers @ weights.to(numbers.device, numbers.dtype)
            found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        pairs = zip(leaves.items(), found, strict=True)
        return {name: torch.zeros_like(leaf) if part is None else part for (name, leaf), part in pairs}

    @cached_property
    def _hashes(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Bucket and sign of every entry of the chosen parameters."""
        hashes = {}
        for name, value in self.tensors().items():
            keys = torch.arange(value.numel()) + content_hash(f"{self.seed}/{name}".encode())
            bucket = mix(keys, salt=11).remainder(self.sites)
            hashes[name] = bucket, (mix(keys, salt=12) & 1).to(torch.int8) * 2 - 1
        return hashes

    def _sketch(self, gradient: Mapping[str, Tensor]) -> Tensor:
        sketch = torch.zeros(self.sites, dtype=torch.float64)
        for name, part in gradient.items():
            bucket, sign = self._hashes[name]
            signed = part.detach().cpu().flatten().to(torch.float64) * sign
            sketch += torch.bincount(bucket, weights=signed, minlength=self.sites)
        return sketch

    def __getstate__(self) -> dict:
        """Send the recipe to a worker, not what was opened from it."""
        kept = set(self.__dataclass_fields__)
        return {key: value for key, value in vars(self).items() if key in kept}


def _squared_norm(gradient: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([part.cpu().to(torch.float64).square().sum() for part in gradient.values()]).sum()
