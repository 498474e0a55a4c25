"""Pairing exponents: how variance, silence and spectrum of clusters of sites grow with their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._sums import covariance_of
from blockspin.couplings.base import Coupling, Goodness
from blockspin.ensemble import Batch
from blockspin.errors import ConfigError, ConstantUnitsError, ShapeError
from blockspin.measurement import Measurement
from blockspin.observables.base import PartMonoid, State, merged_moments, weights_of
from blockspin.registry import register

Clusters = tuple[tuple[int, ...], ...]
LEAST = 32
"""Sites that a cluster needs for mu: three ranks between the common mode and the spacing of sites."""


def nested_clusters(pairs: Sequence[Tensor]) -> Clusters:
    """Return the clusters of sites that repeated pairing leads to, each so ordered that halves are its two parts.

    Clusters that a site was left out of somewhere on the way are dropped: all have 2 ** len(pairs) sites.

    Args:
        pairs: Of each step in turn int64 [coarse sites, 2], as the maps of the pairing schemes hold them.

    Raises:
        ConfigError: If no full cluster is left.
    """
    members: dict[int, tuple[int, ...]] = {}
    for step, found in enumerate(pairs):
        rows = [(a, b) for a, b in found.tolist()]
        if step == 0:
            members = {site: (site,) for row in rows for site in row}
        joined = {k: (*members.get(a, ()), *members.get(b, ())) for k, (a, b) in enumerate(rows) if a != b}
        members = {k: sites for k, sites in joined.items() if len(sites) == 2 ** (step + 1)}
    if not members:
        raise ConfigError("pairs", len(pairs), "fewer steps: no cluster without a site left over remains.")
    return tuple(members.values())


@dataclass(frozen=True)
class ClusterMoments(PartMonoid):
    """Second moments within clusters of sites, and how often their parts are silent.

    State: "weight" [], "squares" [], "mean" [clusters, K], "scatter" [clusters, K, K] (centred, merged by the formula
    of Chan, Golub and LeVeque), "silent" [levels]: the weight at which a part of 2 ** level sites is zero everywhere,
    averaged over parts; all float64.

    Args:
        clusters: Sites of each cluster, all of one size K, a power of two.
    """

    clusters: Clusters

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        field, members = batch.values, torch.tensor(self.clusters)
        if field.shape[2] != 1 or field.shape[1] <= int(members.max()):
            raise ShapeError(
                f"a field of {field.shape[1]} sites and {field.shape[2]} components does not hold clusters"
            )
        x, w = field[:, members, 0].to(torch.float64), batch.weights
        mean = torch.einsum("n,nck->ck", w, x) / w.sum()
        d = (x - mean).permute(1, 0, 2)
        quiet, silent = x == 0, []
        for _ in range(members.shape[1].bit_length()):
            silent.append(w @ quiet.to(torch.float64).mean(dim=(1, 2)))
            quiet = quiet[:, :, 0::2] & quiet[:, :, 1::2] if quiet.shape[2] > 1 else quiet
        part = {**weights_of(batch), "mean": mean, "silent": torch.stack(silent)}
        return {**part, "scatter": (d * w[None, :, None]).transpose(1, 2) @ d}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return {**merged_moments(first, second), "silent": first["silent"] + second["silent"]}


@register
@dataclass(frozen=True)
class PairingExponents(Coupling):
    r"""Power laws in the size K of clusters that correlation pairing (or any nested pairing) has made.

    With M_2 the variance of the sum over a cluster and P_0 the probability that all of its sites are zero, each
    averaged over the clusters, and lambda the eigenvalues of the covariance within the largest clusters by rank r,

    .. math:: M_2 \propto K^\alpha, \qquad -\ln P_0 \propto K^\beta, \qquad \lambda_r \propto (K / r)^\mu .

    Quantities: "alpha", the slope over all sizes from ``smallest`` on; "slopes", the local slopes from each size to the
    next; "curvature", the change of the local slope per doubling; "beta"; "mu", over ranks 2 to K/8 of the largest
    clusters; and "mu_spread", how far mu ranges over windows that end at K/4, K/8 and K/16. Rank 1 is left out because
    it is the common mode of a cluster, which has no wavelength (with it mu of the critical square lattice is 1.44
    rather than 0.83); the end at K/8, waves of five spacings in two dimensions, was chosen on samples of that lattice,
    after it was seen that mu depends little on it. meshulam2019 gives no such rule, and "mu_spread" is an error that
    the stated one does not hold. A power law has curvature zero, so that the curvature, not the value of a fit, tells
    scaling from crossover; and neither tells what makes it: latent drivers give power laws without any interaction, and
    greedy pairing adds a bias. Compare with random pairs and with shuffled data. beta is absent where a size is never
    or always silent, mu where clusters are small; ``absent(state)`` says so.

    Independent sites have alpha = beta = 1 and mu = 0, identical ones alpha = 2 and beta = 0; a scale-invariant field
    in d dimensions has alpha = 1 + (2 - eta) / d and mu = (2 - eta) / d.

    Args:
        clusters: Sites of each cluster, see ``nested_clusters``; chosen on other samples (the fit half).
        smallest: Smallest size that alpha, beta and the curvature are fitted from, a power of two.

    Raises:
        ConfigError: If clusters are not of one size that is a power of two, of at least four times ``smallest``.

    Do not trust when:
        Clusters were chosen on the samples that are measured: chance correlations then count as growth. Or sizes span
        less than two decades.

    Source:
        meshulam2019.
    """

    name = "pairing-exponents"
    source = "meshulam2019"
    units: ClassVar[Mapping[str, str]] = dict.fromkeys(("alpha", "beta", "mu", "mu_spread", "slopes", "curvature"), "1")
    left_out: ClassVar[tuple[str, ...]] = ("crossover between power laws", "latent drivers", "finite size")
    given: ClassVar[tuple[str, ...]] = ("clusters",)
    noted: ClassVar[tuple[str, ...]] = ("slopes", "curvature", "mu_spread")
    clusters: Clusters = ((0, 1, 2, 3),)
    smallest: int = 1

    def __post_init__(self):
        object.__setattr__(self, "clusters", tuple(tuple(map(int, cluster)) for cluster in self.clusters))
        sizes = {len(cluster) for cluster in self.clusters}
        size = max(sizes, default=0)
        if len(sizes) != 1 or size & (size - 1):
            raise ConfigError("clusters", sorted(sizes), "clusters of one size, a power of two.")
        if self.smallest < 1 or self.smallest & (self.smallest - 1) or size < 4 * self.smallest:
            raise ConfigError("smallest", self.smallest, f"a power of two of at most a quarter of {size}.")

    @property
    def monoid(self) -> ClusterMoments:
        """Moments within clusters."""
        return ClusterMoments(self.clusters)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the exponents that exist.

        Raises:
            ConstantUnitsError: If a site does not vary.
        """
        C, _ = covariance_of(state)
        if float(C.diagonal(dim1=1, dim2=2).min()) <= 0:
            raise ConstantUnitsError("a site of the clusters does not vary", "Leave it out.")
        first = self.smallest.bit_length() - 1
        y = mean_variances(C).log()
        found = {"alpha": _slope(y[first:]), "slopes": y.diff() / _LN2}
        found["curvature"] = _slope(found["slopes"][first:]) * _LN2
        missing = self.absent(state)
        if "beta" not in missing:
            found["beta"] = _slope((-(state["silent"][first:] / state["weight"]).log()).log())
        if "mu" not in missing:
            spectrum, size = _spectrum(C), C.shape[1]
            found["mu"] = _fall(spectrum[: size // 8])
            others = [_fall(spectrum[: size // part]) for part in (4, 8, 16) if size >= 4 * part]
            found["mu_spread"] = torch.stack(others).max() - torch.stack(others).min()
        return found

    def absent(self, state: State) -> dict[str, str]:
        """Return the quantities that do not exist here, each with the reason."""
        missing = {}
        P0 = state["silent"][self.smallest.bit_length() - 1 :] / state["weight"]
        for word, hit in (("never", P0 <= 0), ("always", P0 >= 1)):
            if bool(hit.any()):
                size = self.smallest * 2 ** int(hit.nonzero()[0])
                missing["beta"] = f"clusters of {size} sites are {word} silent in these samples"
        size = len(self.clusters[0])
        if size < LEAST:
            missing["mu"] = f"clusters of {size} sites are too small for a slope of their spectrum, which needs {LEAST}"
        elif float(_spectrum(covariance_of(state)[0])[size // 4 - 1]) <= 0:
            missing["mu"] = f"fewer than {size // 4} directions vary within a cluster"
        return missing

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return how far held-out ln variances scatter about the power law of the fitted ones."""
        first = self.smallest.bit_length() - 1
        y, other = (mean_variances(covariance_of(state)[0]).log()[first:] for state in (fitted, held_out))
        x = _LN2 * torch.arange(len(y), dtype=torch.float64)
        law = y.mean() + _slope(y) * (x - x.mean())
        scatter = float((other - law).square().mean().sqrt())
        score = Measurement(scatter, scatter / (2 * len(x)) ** 0.5, how="scatter over sizes, taken as independent")
        return Goodness("scatter of held-out ln variances about the fitted law", score)


def _spectrum(covariance: Tensor) -> Tensor:
    """Return the eigenvalues of ranks 1 to K/4 in descending order, averaged over clusters."""
    found = torch.linalg.eigvalsh(covariance).flip(1)[:, : covariance.shape[1] // 4]
    return torch.where(found > 1e-12 * found[:, :1], found, 0.0).mean(0)


def _fall(eigenvalues: Tensor) -> Tensor:
    """Return less the slope of ln eigenvalue against ln rank from rank 2 on, every octave of ranks counting alike."""
    rank = torch.arange(2, len(eigenvalues) + 1, dtype=torch.float64)
    w, x = 1 / rank, rank.log()
    x = x - (w @ x) / w.sum()
    return -(w * x) @ eigenvalues[1:].log() / ((w * x) @ x)


_LN2 = float(torch.log(torch.tensor(2.0, dtype=torch.float64)))


def mean_variances(covariance: Tensor) -> Tensor:
    """Return the variance of sums over parts of 1, 2, 4, ... sites, averaged over parts, from [clusters, K, K]."""
    rows = []
    while True:
        rows.append(covariance.diagonal(dim1=1, dim2=2).mean())
        if covariance.shape[1] == 1:
            return torch.stack(rows)
        covariance = covariance[:, 0::2] + covariance[:, 1::2]
        covariance = covariance[:, :, 0::2] + covariance[:, :, 1::2]


def _slope(y: Tensor) -> Tensor:
    """Return the least-squares slope of y against ln K, K doubling from entry to entry."""
    x = _LN2 * torch.arange(len(y), dtype=torch.float64)
    x = x - x.mean()
    return x @ y / (x @ x)
