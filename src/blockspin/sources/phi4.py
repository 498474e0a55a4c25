"""Phi4: a real field with a quartic potential on a periodic lattice, from free field to Ising spins."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, check_whole
from blockspin.geometry import Grid
from blockspin.registry import register
from blockspin.sources._chains import chain_ensemble
from blockspin.sources._options import number
from blockspin.sources._random import numpy_generator
from blockspin.sources._torus import Torus
from blockspin.sources.base import Model


@register
@dataclass(frozen=True)
class Phi4(Model):
    r"""A lattice field with a quartic action.

    .. math:: S = -2 \kappa \sum_{\langle xy \rangle} \phi_x \phi_y
        + \sum_x \big[\phi_x^2 + \lambda (\phi_x^2 - 1)^2\big] .

    lambda = 0 is the free field of spectrum 1 / (2 - 4 kappa sum_a cos k_a); for large lambda the signs are Ising spins
    with K = 2 kappa. A sweep is two Metropolis passes over the field and a Swendsen-Wang update of its signs, whose
    bonds :math:`1 - e^{-4 \kappa \phi_x \phi_y}` beat the critical slowing down (brower1989).

    Args:
        shape: Sites along each axis, at least 3.
        hopping: kappa >= 0; for lambda = 0 below 1 / (2 dimensions).
        coupling: lambda >= 0.
        chains: Independent chains.
        burn_in: Sweeps thrown away; the free field starts in equilibrium and needs none.
        sweeps: Sweeps between samples that are kept.
        stretch: Samples a unit; at 0 a unit is a whole chain, so that errors are right whatever the autocorrelation
            time is. That (1 + 2 sum rho(t) of phi^2 and m^2) was at most 15 sweeps for lambda of 0.01 to 20 near the
            transition of 16 x 16 sites, and some 0.6 / (1 - 2 dimensions kappa) sweeps for the free field: to set a
            stretch, measure it (``engine.autocorrelation``) and take 50 of it.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        ``burn_in`` is short near the transition, or lambda beyond the range that was measured (0.01 to 20). kappa at
        which a transition lies depends on lambda and the dimension and is not given here.

    Source:
        brower1989.

    Example:
        >>> Phi4(shape=(4, 4), burn_in=5).sample(8, generator=torch.Generator().manual_seed(0)).values.shape
        torch.Size([8, 16, 1])
    """

    name = "phi4"
    source = "brower1989"
    shape: tuple[int, ...] = (16, 16)
    hopping: float = 0.25
    coupling: float = 0.5
    chains: int = 40
    burn_in: int = 200
    sweeps: int = 5
    stretch: int = 0

    def __post_init__(self):
        for side in self.shape or (0,):
            check_whole("shape", side, 3)
        number("hopping", self.hopping, 0.0)
        number("coupling", self.coupling, 0.0)
        if self.coupling == 0 and 2 * len(self.shape) * self.hopping >= 1:
            raise ConfigError("hopping", self.hopping, f"for a free field below {1 / (2 * len(self.shape)):.6g}.")
        for field, least in (("chains", 1), ("burn_in", 0), ("sweeps", 1), ("stretch", 0)):
            check_whole(field, getattr(self, field), least)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw samples of Markov chains; error bars must group neighbouring units together (``chain=True``)."""
        rng = numpy_generator(generator)
        torus = Torus(tuple(self.shape), self.chains)
        field = self._start(torus, rng)
        for _ in range(self.burn_in):
            field = self._sweep(field, torus, rng)
        kept = np.empty((self.chains, -(-samples // self.chains), torus.sites), dtype=np.float32)
        for t in range(kept.shape[1]):
            for _ in range(self.sweeps):
                field = self._sweep(field, torus, rng)
            kept[:, t] = field
        return chain_ensemble(torch.from_numpy(kept), Grid(torus.shape), samples, self.stretch or kept.shape[1])

    def _start(self, torus: Torus, rng: np.random.Generator) -> np.ndarray:
        """Return white noise; of the free field, whose slow modes would take long to fill, an exact sample."""
        noise = rng.standard_normal((self.chains, *torus.shape)) / sqrt(2)
        if self.coupling == 0:
            axes = tuple(range(1, noise.ndim))
            waves = np.meshgrid(*[np.cos(2 * np.pi * np.fft.fftfreq(n)) for n in torus.shape], indexing="ij")
            stiffness = 1 - 2 * self.hopping * sum(waves)
            noise = np.fft.ifftn(np.fft.fftn(noise, axes=axes) / np.sqrt(stiffness), axes=axes).real
        return noise.reshape(self.chains, -1)

    def _sweep(self, field: np.ndarray, torus: Torus, rng: np.random.Generator) -> np.ndarray:
        field = field.copy()
        width = 3 / sqrt(2 + 8 * self.coupling)  # three standard deviations of a well
        for part in (*torus.sublattices, *torus.sublattices):
            around = 2 * self.hopping * field[:, torus.neighbours[part]].sum(2)
            old = field[:, part]
            new = old + width * rng.uniform(-1, 1, old.shape)
            rise = self._potential(new) - self._potential(old) - around * (new - old)
            field[:, part] = np.where(rng.standard_exponential(old.shape) > rise, new, old)
        flat = field.reshape(-1)
        product = flat[:, None] * flat[torus.ahead]
        active = rng.standard_exponential(product.shape) < 4 * self.hopping * product
        count, cluster = torus.clusters(active)
        return field * (2 * rng.integers(0, 2, count, dtype=np.int8) - 1)[cluster]

    def _potential(self, field: np.ndarray) -> np.ndarray:
        square = field * field
        return square + self.coupling * (square - 1) ** 2
