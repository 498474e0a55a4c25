"""Fisher directions: keep the stiff directions of parameter space and forget the sloppy ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, StepNotPossibleError
from blockspin.law import Source
from blockspin.observables.covariance import moments
from blockspin.registry import register
from blockspin.schemes._modes import ModesMap
from blockspin.schemes.base import Scheme, require_ratio
from blockspin.schemes.principal_modes import eigenmodes, require_modes

ROWS = ("gradients", "parameters")


@dataclass(frozen=True, eq=False)
class FisherDirectionsMap(ModesMap):
    """Coordinates along the stiff eigenvectors of a Fisher metric.

    Args:
        origin: float64 [sites, components]; where coordinates are counted from: zero for gradients, the mean for
            parameters.
        modes: float64 [sites * components, kept]; orthonormal columns, the stiffest first.
        metric: float64 [sites * components]; all eigenvalues of the metric, in descending order: in inverse squared
            units of a parameter.
    """

    metric: Tensor

    def relevant(self, data: float) -> int:
        """Return how many directions n data points tell apart: those of n times the metric beyond 1.

        Args:
            data: Number n of data points; 1 where the metric is already that of all the data, as of a posterior.
        """
        return int((data * self.metric > 1).sum())


@register
@dataclass(frozen=True)
class FisherDirections(Scheme):
    r"""Keep the stiff directions of parameter space and forget the sloppy ones.

    The sites are the parameters of a model. Its Fisher metric g says how far data tell parameters apart; its
    eigenvalues fall over many decades, and a step keeps the N / b stiffest of its eigenvectors,

    .. math:: \theta'_\mu = u_\mu \cdot (\theta - \theta_0), \qquad \mu \le N / b .

    The metric is read off the samples, in one of two ways. Where they are gradients of the log-likelihood (or rows of
    the Jacobian of the outputs, in units of their noise), one a data point, it is their second moment about zero,
    :math:`g = \langle \partial \ln p \; \partial \ln p^t \rangle`. Where they are parameters drawn from a posterior (a
    Langevin chain, an ensemble of fits), it is the inverse of their covariance: stiff is what varies least.

    Args:
        b: Ratio of the number of parameters before to that after a step, an integer of at least 2. Dimensionless.
        rows: What the samples are: gradients or parameters.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, floor(sites * components / b), 1]

    Raises:
        ConfigError: If an option cannot be used.
        StepNotPossibleError: If no direction would be left, more gradients would be kept than are independent, or
            parameters were drawn that do not vary in every direction.

    Do not trust when:
        Parameters are in different units: eigenvectors of a metric change with the units, logarithms do not; the count
        ``relevant`` of the map is then meaningless as well. Gradients with the observed labels, at a good fit, are not
        the Fisher metric: draw labels from the model. Checkpoints of one training run are no posterior. Singular
        models, as near w1 w2 = 0, have directions that only higher orders see.

    Tether:
        theory.sloppy: the hopping model, lambda_n / lambda_0 = 1 / (n (n + 1)) after two steps, and the shares of
        Fisher information that decimation keeps.

    Source:
        machta2013; the number of relevant directions at n data points is that of berman2023.

    Example:
        >>> from blockspin import GaussianLaw, Unordered
        >>> law = GaussianLaw.of(torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0])), Unordered(4))
        >>> gradients = FisherDirections(b=2).fit(law, generator=torch.Generator())
        >>> posterior = FisherDirections(b=2, rows="parameters").fit(law, generator=torch.Generator())
        >>> gradients.metric.tolist(), [round(x, 2) for x in posterior.metric.tolist()]
        ([4.0, 3.0, 2.0, 1.0], [1.0, 0.5, 0.33, 0.25])
    """

    name = "fisher-directions"
    source = "machta2013"
    claims = Claims(
        semigroup=Semigroup.EXACT,
        linear=True,
        symmetries=("sign", "scale", "permutation"),
        gauge="rotation",
        fixed_points=("white-noise",),
    )
    b: int = 2
    rows: str = "gradients"

    def __post_init__(self):
        require_ratio(self.b)
        if self.rows not in ROWS:
            raise ConfigError("rows", self.rows, "gradients or parameters.")

    def fit(self, source: Source, *, generator: torch.Generator) -> FisherDirectionsMap:
        """Return the projection on the stiff directions of the source's metric."""
        mean, covariance = moments(source)
        kept = len(mean) // self.b
        if kept < 1:
            raise StepNotPossibleError(
                f"fewer than {self.b} directions are left ({len(mean)}), of which a step would keep none"
            )
        resolution = torch.finfo(source.values.dtype if isinstance(source, Ensemble) else torch.float64).eps
        if self.rows == "gradients":
            origin = torch.zeros_like(mean)
            metric, directions = eigenmodes(covariance + torch.outer(mean, mean))
            require_modes(metric, kept, resolution)
        else:
            origin = mean
            variances, directions = (part.flip(-1) for part in eigenmodes(covariance))
            _require_sampled(variances, resolution)
            metric = 1 / variances
        return FisherDirectionsMap(origin.reshape(source.geometry.sites, -1), directions[:, :kept], metric)

    @classmethod
    def examples(cls) -> tuple[FisherDirections, ...]:
        """Return both readings of the samples."""
        return cls(b=2), cls(b=3, rows="parameters")


def _require_sampled(variances: Tensor, resolution: float) -> None:
    """Refuse what does not vary: such a direction may be infinitely stiff, or it was never sampled."""
    still = int((variances <= variances[-1] * len(variances) * resolution).sum())
    if still:
        raise StepNotPossibleError(
            f"{still} of {len(variances)} directions do not vary: stiff ones cannot be told from unsampled ones",
            "Draw more samples than there are parameters, leave fixed parameters out, or give gradients instead.",
        )
