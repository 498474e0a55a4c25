"""Network: the spectra of all weights of a network, with power-law exponents, and what was skipped by name."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blockspin.capture.matrices import Unread, WeightMatrix, state_matrices, weight_matrices
from blockspin.errors import BlockspinError
from blockspin.spectra.layer import LayerSpectrum, layer_spectrum, with_surrogates

Advance = Callable[[float, float], None]


@dataclass(frozen=True, eq=False)
class NetworkSpectra:
    """The spectra of a network.

    Args:
        layers: One a weight, in the order of the network.
        skipped: Weights that have no spectrum here, each with the reason.
    """

    layers: tuple[LayerSpectrum, ...]
    skipped: tuple[Unread, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: "layers" and "skipped"."""
        skipped = [{"name": item.name, "reason": item.reason} for item in self.skipped]
        return {"layers": [layer.to_dict() for layer in self.layers], "skipped": skipped}


def network_spectra(module: nn.Module, *, absent: Sequence[str] = (), workers: int | None = None) -> NetworkSpectra:
    """Return the spectrum and power-law fit of every weight of at least two axes of any torch module.

    The module is not touched. What has no spectrum (vectors, NaN, packed types) is named with the reason, never left
    out in silence.

    Args:
        module: Any network.
        absent: Parts whose weights are in no file (``Loaded.absent``): they have no spectrum.
        workers: Threads, each of which takes one matrix at a time; as many as processors, at most four, by default.

    Example:
        >>> found = network_spectra(nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32)))
        >>> [layer.name for layer in found.layers], [item.name for item in found.skipped]
        (['0.weight'], ['0.bias', '1.weight', '1.bias'])
    """
    parts = tuple(f"{part}." for part in absent)
    known = (
        Unread(item.name, "it is in no file of the network") if item.name.startswith(parts) else item
        for item in weight_matrices(module)
    )
    return _spectra(known, workers)


def state_spectra(state: Mapping[str, Tensor], *, workers: int | None = None) -> NetworkSpectra:
    """Return the spectrum and power-law fit of every matrix of a state dict, without the network that it belongs to.

    Args:
        state: Tensors by name.
        workers: As in ``network_spectra``.
    """
    return _spectra(state_matrices(state), workers)


def _spectra(items: Iterable[WeightMatrix | Unread], workers: int | None) -> NetworkSpectra:
    layers: list[LayerSpectrum] = []
    skipped: list[Unread] = []

    def spectrum(item: WeightMatrix | Unread) -> LayerSpectrum | Unread:
        if isinstance(item, Unread):
            return item
        try:
            return layer_spectrum(item.name, item.values)
        except BlockspinError as reason:
            return Unread(item.name, str(reason))

    for found in _mapped(spectrum, items, workers):
        if isinstance(found, Unread):
            skipped.append(found)
        else:
            layers.append(found)
    return NetworkSpectra(tuple(layers), tuple(skipped))


def with_p_values(
    spectra: NetworkSpectra,
    *,
    generator: torch.Generator,
    most: int = 99,
    workers: int | None = None,
    advance: Advance | None = None,
) -> NetworkSpectra:
    """Return the spectra with every tail tested against random matrices; see ``surrogate.surrogate_test``.

    The same generator gives the same numbers, whatever the number of workers. The cost of a layer is that of 48
    to 38 + ``most`` eigenvalue problems of its shorter side.

    Args:
        spectra: From ``network_spectra``.
        generator: Randomness of the surrogates.
        most: Most surrogates a layer; the smallest p-value is 1 / (most + 1).
        workers: Threads; as many as processors, at most four, by default.
        advance: Called with the work that is done and all of it, as layers are finished.
    """
    seeds = torch.randint(2**62, (len(spectra.layers),), generator=generator).tolist()
    work = [float(len(layer.eigenvalues)) ** 3 for layer in spectra.layers]

    def tested(job: tuple[LayerSpectrum, int]) -> LayerSpectrum:
        return with_surrogates(job[0], generator=torch.Generator().manual_seed(job[1]), most=most)

    layers: list[LayerSpectrum] = []
    for layer in _mapped(tested, zip(spectra.layers, seeds, strict=True), workers):
        layers.append(layer)
        if advance is not None:
            advance(sum(work[: len(layers)]), sum(work))
    return NetworkSpectra(tuple(layers), spectra.skipped)


def _mapped(function: Callable[[Any], Any], items: Iterable[Any], workers: int | None) -> Iterator[Any]:
    """Yield what the function gives, in order. Small matrices run best on a thread each.

    Few items are under way at a time, each of which may hold a copy of a weight; what is done may wait for its turn, so
    that a large matrix among small ones keeps one thread only.
    """
    count = workers or min(4, os.cpu_count() or 1)
    waiting: deque[Future] = deque()
    busy: set[Future] = set()
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            busy.add(waiting[-1])
            if len(busy) > 2 * count:
                busy = wait(busy, return_when=FIRST_COMPLETED).not_done
            while waiting and waiting[0].done():
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()
