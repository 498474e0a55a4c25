"""Wavelet conditioning: how hard a field is to sample at once, and scale by scale given the coarser field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blockspin.errors import ConfigError, MissingDependencyError, ShapeError, TooFewSamplesError
from blockspin.geometry import Chain, Grid
from blockspin.observables.base import State, effective_samples
from blockspin.observables.covariance import OfMoments, estimated
from blockspin.registry import register


@register
@dataclass(frozen=True)
class WaveletConditioning(OfMoments):
    r"""Condition numbers of the covariance, and of the wavelet details at each scale given the coarser field.

    With (phi', d) one level of the orthogonal transform of a field on a periodic lattice,

    .. math:: \operatorname{Cov}(d \mid \phi') = C_{dd} - C_{d\phi'} C_{\phi'\phi'}^{-1} C_{\phi' d},

    scaled to unit diagonal. A sampler needs a number of steps of the order of the condition number: that of the whole
    grows with the lattice where the field is scale invariant, those of the details do not. Quantities: "full",
    "details" [levels] from fine to coarse, until an axis is odd or of one site.

    Args:
        geometry: The periodic lattice of the field, which has one component.
        wavelet: Name of an orthogonal wavelet of PyWavelets.

    Raises:
        ConfigError: If this is no periodic lattice of even sides, or the wavelet does not exist.

    Do not trust when:
        Samples are not many times as many as sites: the smallest eigenvalues are then noise, and condition numbers are
        too large.

    Source:
        marchand2022.
    """

    name = "wavelet-conditioning"
    source = "marchand2022"
    units = {"full": "1", "details": "1"}
    geometry: Grid = Chain(2)
    wavelet: str = "haar"

    def __post_init__(self):
        grid = self.geometry
        if not (isinstance(grid, Grid) and grid.periodic) or any(n % 2 for n in grid.shape):
            raise ConfigError("geometry", grid, "a periodic lattice of an even number of sites along each axis.")

    def value(self, state: State) -> dict[str, Tensor]:
        """Transform the covariance level by level.

        Raises:
            ShapeError: If the field does not lie on the lattice.
            TooFewSamplesError: If the covariance is singular.
            MissingDependencyError: If PyWavelets is not installed.
        """
        n = effective_samples(state)
        C = estimated(state).numpy()
        if len(C) != self.geometry.sites:
            raise ShapeError(f"a field of {len(C)} numbers does not lie on {self.geometry}", "Give its own lattice.")
        if n <= len(C):
            raise TooFewSamplesError(
                f"{n:g} samples of {len(C)} sites have a singular covariance", "Give more samples."
            )
        shape, rows, full = self.geometry.shape, [], _condition(C)
        while all(size % 2 == 0 for size in shape):
            coarse, detail = _transform(shape, self.wavelet)
            smooth, across = coarse @ C @ coarse.T, detail @ C @ coarse.T
            rows.append(_condition(detail @ C @ detail.T - across @ np.linalg.solve(smooth, across.T)))
            C, shape = smooth, tuple(size // 2 for size in shape)
        return {"full": torch.tensor(full, dtype=torch.float64), "details": torch.tensor(rows, dtype=torch.float64)}


def _condition(covariance: np.ndarray) -> float:
    """Return the condition number of a covariance scaled to unit diagonal."""
    root = np.sqrt(covariance.diagonal())
    eigenvalues = np.linalg.eigvalsh(covariance / root / root[:, None])
    return float(eigenvalues[-1] / eigenvalues[0])


def _transform(shape: tuple[int, ...], wavelet: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of one level of the transform: the coarse field's, and the details'."""
    try:
        import pywt
    except ImportError:
        raise MissingDependencyError(
            "wavelet conditioning needs PyWavelets, which is not installed", "pip install 'blockspin[wavelets]'"
        ) from None
    if wavelet not in pywt.wavelist(kind="discrete") or not pywt.Wavelet(wavelet).orthogonal:
        raise ConfigError("wavelet", wavelet, "the name of an orthogonal wavelet, such as haar or db2.")
    size = int(np.prod(shape))
    axes = range(1, len(shape) + 1)
    parts = pywt.dwtn(np.eye(size).reshape(size, *shape), wavelet, "periodization", axes=axes)
    flat = {key: part.reshape(size, -1).T for key, part in parts.items()}
    coarse = flat.pop("a" * len(shape))
    return coarse, np.concatenate([flat[key] for key in sorted(flat)])
