"""Features: directions of an activation that are read, and along which it is shifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import ShapeError, TooFewSamplesError, check_whole

SUPPORT = 1e-6
"""Directions with less than this share of the largest variance do not vary."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of the activation at one place: numbers that are read off it, and what a shift of each adds to it.

    Args:
        names: One a feature.
        read: float64 [k, d]; a feature is ``read @ activation + offset``.
        write: float64 [k, d]; what is added to the activation for a shift of a feature by one.
        offset: float64 [k].
        rectified: Whether what is below zero reads as zero, as in a sparse autoencoder.
    """

    names: tuple[str, ...]
    read: Tensor
    write: Tensor
    offset: Tensor
    rectified: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def readings(self, rows: Tensor) -> Tensor:
        """Return the features of activations: float64 [n, k] of [n, d]."""
        values = rows.to(torch.float64) @ self.read.T + self.offset
        return values.clamp(min=0) if self.rectified else values

    def require_width(self, width: int, layer: str) -> None:
        """Refuse features that are not of a layer.

        Raises:
            ShapeError: If the layer's activation has another number of entries.
        """
        if width != self.read.shape[1]:
            raise ShapeError(
                f"features of {self.read.shape[1]} entries each do not fit {layer!r}, whose activation has {width}",
                f"Give a matrix [features, {width}], or name layers whose activations have {self.read.shape[1]}.",
            )


def directions(vectors: Tensor, names: tuple[str, ...]) -> Features:
    """Return the features that are components along given directions [k, d], which need not be of unit length.

    Raises:
        ShapeError: If they are no matrix of finite rows other than zero, one name each.
    """
    vectors = torch.as_tensor(vectors, dtype=torch.float64)
    norm = vectors.norm(dim=-1, keepdim=True) if vectors.ndim == 2 else torch.zeros(1)
    if vectors.ndim != 2 or len(vectors) != len(names) or not bool((norm > 0).all() and norm.isfinite().all()):
        raise ShapeError(
            f"directions of shape {tuple(vectors.shape)} are not a matrix [features, entries] of rows other than zero",
            "Give one finite row a feature.",
        )
    unit = vectors / norm
    return Features(names, unit, unit, torch.zeros(len(unit), dtype=torch.float64))


def autoencoder(state: Mapping[str, Tensor], numbers: tuple[int, ...]) -> Features:
    """Return some latents of a sparse autoencoder: read by its encoder with a ReLU, written by its decoder.

    Args:
        state: "W_enc" [d, latents], "W_dec" [latents, d], "b_enc" [latents] and, where there is one, "b_dec" [d], which
            is taken off before encoding.
        numbers: Which latents.

    Raises:
        ShapeError: If the tensors do not belong together, or a latent does not exist.
    """
    encoder, decoder, bias = (state[key].to(torch.float64) for key in ("W_enc", "W_dec", "b_enc"))
    centre = state["b_dec"].to(torch.float64) if "b_dec" in state else torch.zeros(len(encoder), dtype=torch.float64)
    if encoder.T.shape != decoder.shape or len(bias) != len(decoder) or len(centre) != len(encoder):
        shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in state.items())
        raise ShapeError(f"an autoencoder of {shapes}", "Give W_enc [d, latents], W_dec [latents, d], b_enc [latents].")
    if min(numbers) < 0 or max(numbers) >= len(decoder):
        raise ShapeError(f"latents {numbers} of {len(decoder)}", f"Name latents from 0 to {len(decoder) - 1}.")
    index = torch.tensor(numbers)
    read = encoder[:, index].T
    names = tuple(f"latent {number}" for number in numbers)
    return Features(names, read, decoder[index], bias[index] - read @ centre, rectified=True)


def principal(covariance: Tensor, count: int) -> Features:
    """Return the directions of largest variance.

    Raises:
        TooFewSamplesError: If fewer directions than asked for vary.
    """
    check_whole("features", count, 1)
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    vary = int((eigenvalues > SUPPORT * eigenvalues[-1]).sum())
    if vary < count:
        raise TooFewSamplesError(f"{vary} directions vary, of {count} asked for", "Ask for fewer features.")
    leading = vectors.flip(1)[:, :count].T
    sign = leading.gather(1, leading.abs().argmax(1, keepdim=True)).sign()
    return directions(sign * leading, tuple(f"pc {k}" for k in range(count)))


def neurons(covariance: Tensor, count: int) -> Features:
    """Return the entries of largest variance.

    Raises:
        ShapeError: If there are fewer entries than asked for.
    """
    check_whole("features", count, 1)
    if count > len(covariance):
        raise ShapeError(f"{count} neurons of an activation of {len(covariance)}", "Ask for fewer features.")
    index = covariance.diagonal().topk(count).indices
    names = tuple(f"neuron {number}" for number in index.tolist())
    return directions(torch.eye(len(covariance), dtype=torch.float64)[index], names)


def heads(covariance: Tensor, count: int) -> Features:
    """Return one feature a head: the direction of largest variance within its share of the activation.

    Raises:
        ShapeError: If heads do not share the activation evenly.
    """
    check_whole("heads", count, 1)
    width, rest = divmod(len(covariance), count)
    if rest:
        raise ShapeError(f"{len(covariance)} entries, which {count} heads do not share evenly", "Name another layer.")
    rows = torch.zeros(count, len(covariance), dtype=torch.float64)
    for head in range(count):
        share = slice(head * width, (head + 1) * width)
        rows[head, share] = principal(covariance[share, share], 1).read[0]
    return directions(rows, tuple(f"head {head}" for head in range(count)))


def parents(covariance: Tensor, features: Features, count: int) -> Tensor:
    """Return an orthonormal basis [r, d] of what the features' shifts span and of the directions of largest variance.

    Args:
        covariance: [d, d].
        features: Whose shifts are in the span, so that their effect can be told.
        count: How many directions of largest variance are added, at most.
    """
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    vary = int((eigenvalues > SUPPORT * eigenvalues[-1]).sum())
    leading = vectors.flip(1)[:, : min(count, vary)]
    both = torch.cat([features.write.T / features.write.norm(dim=1), leading], dim=1)
    U, s, _ = torch.linalg.svd(both, full_matrices=False)
    return U[:, s > SUPPORT].T
