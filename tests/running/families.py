"""Families of couplings whose running is known, drawn from samples: Gaussian mass, Ising rings, ridges of kernels."""

import numpy as np
import torch
from scipy.special import zeta

from blockspin.flow import Axis, Direction
from blockspin.running.base import Running
from blockspin.running.curves import Stated
from blockspin.running.prediction import Places

GROUPS = 20
WAVES = 2 * np.pi * np.arange(1, 257) / 512


def running_of_means(means, function, log_lengths, labels, axis="scheme") -> Running:
    """Return couplings that are a function of the means of groups [groups, scales], with their jackknife covariance."""
    whole, groups = function(means.mean(0)), len(means)
    replicas = np.array([function(np.delete(means, g, 0).mean(0)) for g in range(groups)])
    covariance = np.cov(replicas.T) * (groups - 1) ** 2 / groups
    lengths = torch.tensor(log_lengths)
    return Running(
        Axis(axis, "steps", Direction.COARSENING),
        tuple(labels),
        torch.arange(len(whole), dtype=torch.float64),
        lengths,
        ("g",),
        ("1",),
        torch.tensor(whole)[:, None],
        torch.tensor(covariance),
        groups - 1,
        (None,) * len(whole),
        (),
        "jackknife",
    )


def gaussian_mass(seed: int, samples: int = 400, steps: int = 6, mass: float = 0.02) -> Running:
    """Mass of a field of spectrum 1 / (k^2 + r) after shells of b = 2, read off its uniform mode: r' = b^2 r.

    At each scale the mass is measured on the modes of that cut-off: 1 / S(k) - k^2, weighted by (k^2 + r)^-2.
    """
    rng = np.random.default_rng(seed)
    k = WAVES
    power = rng.exponential(size=(GROUPS, samples // GROUPS, len(k))).mean(1) / (k**2 + mass)
    cuts = [len(k) >> s for s in range(steps)]

    def masses(S):
        found = []
        for s, cut in enumerate(cuts):
            w = (k[:cut] ** 2 + mass) ** -2
            found.append(4.0**s * (w @ (1 / S[:cut] - k[:cut] ** 2)) / w.sum())
        return np.array(found)

    labels = [f"{cut} modes" for cut in cuts]
    return running_of_means(power, masses, np.log(2.0) * np.arange(steps), labels, "momentum-shell")


def gaussian_field(seed: int, samples: int = 400, steps: int = 6, mass: float = 0.002) -> Running:
    """Coupling 1 / <x^2> of the same field at every cut-off, in units in which the coefficient of k^2 stays 1."""
    rng = np.random.default_rng(seed)
    power = rng.exponential(size=(GROUPS, samples // GROUPS, len(WAVES))).mean(1) / (WAVES**2 + mass)
    cuts = [len(WAVES) >> s for s in range(steps)]
    labels = [f"{cut} modes" for cut in cuts]

    def couplings(S):
        return np.array([4.0**s / S[:cut].mean() for s, cut in enumerate(cuts)])

    return running_of_means(power, couplings, np.log(2.0) * np.arange(steps), labels, "momentum-shell")


def _field(x, theta):
    cuts = np.round(len(WAVES) * np.exp(-x)).astype(int)
    return np.array(
        [np.exp(2 * t) / (1 / (WAVES[:cut] ** 2 + np.exp(theta[0]))).mean() for t, cut in zip(x, cuts, strict=True)]
    )


FIELD = Stated(_field, (-4.0,), "Gaussian field of mass r")
MASS = Stated(lambda x, theta: theta[0] * np.exp(2 * x), (0.1,), "r' = b^2 r")


def ising_ring(seed: int, samples: int = 400, sites: int = 256, coupling: float = 1.2, steps: int = 6) -> Running:
    """Coupling of rings decimated by 2 again and again, from the correlation of neighbours."""
    rng = np.random.default_rng(seed)
    flip = rng.random((samples, sites)) > (1 + np.tanh(coupling)) / 2
    spins = (1 - 2 * rng.integers(0, 2, (samples, 1))) * np.cumprod(np.where(flip, -1, 1), 1)  # an open chain
    pairs = np.stack([(spins[:, : -(1 << s) : 1 << s] * spins[:, 1 << s :: 1 << s]).mean(1) for s in range(steps)], 1)
    means = pairs.reshape(GROUPS, -1, steps).mean(1)
    labels = [f"{sites >> s} sites" for s in range(steps)]
    return running_of_means(means, np.arctanh, np.log(2.0) * np.arange(steps), labels, "decimation")


DECIMATION = Stated(
    lambda x, theta: np.arctanh(np.exp(-np.exp(np.clip(x - theta[0], -30, 6)))), (1.0,), "tanh K' = (tanh K)^b"
)


def kernel_ridge(seed: int, samples: int = 400, exponent: float = 0.6, ridge: float = 0.05) -> Running:
    """Ridge left by integrating out the modes beyond a cut, lambda_k = k^-(1 + a): sigma^2 + sum of their variances."""
    rng = np.random.default_rng(seed)
    cuts = 2 ** np.arange(2, 10)
    k = np.arange(1, 4097)
    modes = rng.normal(size=(GROUPS, samples // GROUPS, 1)) ** 2  # one noise a sample, and one a mode below
    power = rng.gamma(samples / GROUPS / 2, size=(GROUPS, len(k))) * 2 / (samples / GROUPS) * k ** -(1.0 + exponent)
    tail = np.cumsum(power[:, ::-1], 1)[:, ::-1][:, cuts]
    rest = float(zeta(1 + exponent, len(k) + 1))
    means = ridge * modes.mean(1) + tail + rest
    labels = [f"cut {cut}" for cut in cuts]
    return running_of_means(means, lambda m: m, np.log(cuts), labels, "kernel-modes")


RIDGE = Stated(
    lambda x, theta: theta[1] ** 2 + zeta(1 + np.clip(theta[0], 0.05, 5), np.exp(x) + 1),
    (0.8, 0.2),
    "ridge of a power-law kernel",
)


def split(running: Running, held: list[int]) -> tuple[Running, Places]:
    """Return the accessible scales, and the others as places to predict at."""
    accessible = [s for s in range(len(running)) if s not in held]
    return running.select(scales=accessible), Places.of(running.select(scales=held))
