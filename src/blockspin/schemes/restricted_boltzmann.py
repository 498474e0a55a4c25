"""Restricted Boltzmann machine: replace binary sites by fewer hidden units that explain their correlations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from blockspin.claims import Claims, Semigroup
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, MissingDependencyError, NothingFoundError, StepNotPossibleError, check_whole
from blockspin.geometry import Geometry, Unordered
from blockspin.law import GaussianLaw, Source
from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.schemes._held_out import held_out, mean_of_units, samples_of
from blockspin.schemes.base import Map, Scheme, require_ratio

BATCH = 20
"""Samples a step of the training, and chains of its sampler."""


@dataclass(frozen=True, eq=False)
class RestrictedBoltzmannMap(Map):
    """Whether each hidden unit of a machine is driven more than usual; energy -h W v - h b - v c, units being 0 or 1.

    Args:
        weights: float64 [hidden, visible]; W.
        hidden_bias: float64 [hidden]; b.
        visible_bias: float64 [visible]; c.
        usual: float64 [hidden]; the drive W v + b of each hidden unit beyond which it counts as up.
        low: The lower of the two values of a site, in the field and in what the map gives.
        high: The higher one.
        components: Components a site.
        pseudo_likelihood: Mean of ln p(v_i | all other sites) a site, on units that were held out, in nats.
        gain: The same less that of independent sites, sample by sample; what the machine knows of correlations.
    """

    weights: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor
    usual: Tensor
    low: float
    high: float = 1.0
    components: int = 1
    pseudo_likelihood: Measurement | None = None
    gain: Measurement | None = None
    linear = False

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(len(self.visible_bias) / self.components / len(self.hidden_bias))

    def values(self, values: Tensor) -> Tensor:
        """Return the hidden state [samples, hidden, 1], in the field's own two values."""
        return self._spread((self.drive(values) > self.usual.to(values.dtype)).to(values.dtype))

    def hidden_mean(self, values: Tensor) -> Tensor:
        """Return the mean of each hidden unit given the field, [samples, hidden, 1], between the two values."""
        return self._spread(torch.sigmoid(self.drive(values)))

    def visible_mean(self, values: Tensor) -> Tensor:
        """Return the mean of the fine field [samples, sites, components] given a hidden state.

        This is no ``lift``: the hidden state of the mean field need not be the state that it came from.
        """
        drive = self._binary(values) @ self.weights.to(values.dtype) + self.visible_bias.to(values.dtype)
        return self._spread(torch.sigmoid(drive)).reshape(len(values), -1, self.components)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return as many unordered sites as there are hidden units."""
        return Unordered(len(self.hidden_bias), geometry.spacing * geometry.sites / len(self.hidden_bias))

    def log_conditionals(self, values: Tensor) -> Tensor:
        """Return ln p(v_i | all other sites) of the machine, float64 [samples, visible]."""
        v = self._binary(values.to(torch.float64))
        drive = v @ self.weights.T + self.hidden_bias
        free = softplus(drive).sum(1)
        rows = []
        for i, bias in enumerate(self.visible_bias):
            turn = 1 - 2 * v[:, i]
            turned = softplus(drive + turn[:, None] * self.weights[:, i]).sum(1)
            rows.append(logsigmoid(free - turned - turn * bias))
        return torch.stack(rows, dim=1)

    def drive(self, values: Tensor) -> Tensor:
        """Return W v + b [samples, hidden], the log-odds of each hidden unit given the field."""
        return self._binary(values) @ self.weights.to(values.dtype).T + self.hidden_bias.to(values.dtype)

    def _binary(self, values: Tensor) -> Tensor:
        return (values.flatten(1) - self.low) / (self.high - self.low)

    def _spread(self, binary: Tensor) -> Tensor:
        return (self.low + (self.high - self.low) * binary)[:, :, None]


@register
@dataclass(frozen=True)
class RestrictedBoltzmann(Scheme):
    r"""Replace binary sites by fewer hidden units that explain their correlations.

    One layer of a stack of restricted Boltzmann machines, read as a step of the variational renormalization group: with
    energy E(v, h) = -h W v - h b - v c, trained so that its visible units have the law of the field, the coupling of
    block spins to spins is

    .. math:: T(v, h) = -E(v, h) + H(v), \qquad e^{-H'(h)} = \sum_v e^{T(v, h) - H(v)},

    and the step is exact where sum_h e^T = 1 for every v. A hidden unit counts as up where its log-odds W v + b are
    above their mean on the fit half, so that the next machine again sees binary sites, all of which vary; a unit that
    is seldom up has a most probable state that never varies. Training is by persistent contrastive divergence, as
    scikit-learn does it, without the L1 penalty by which mehta2014 sparsify weights. Layers of 400, 100 and 25 units
    (b = 4, rate = 0.01, 8,000 samples) on 40 x 40 spins near criticality become local all the same, though the machine
    knows no lattice: a disk of 5 % of the sites holds 19.1(2), 26.0(7) and 19.6(9) % of a unit's squared weight on
    average, and of every unit more than of any where sites are shuffled (7 % on average).

    A fifth of the units is held out; the map's ``gain`` says how much better the machine predicts a site from the
    others there than independent sites do, and without such a gain the step is refused.

    Args:
        b: Ratio of the number of sites before to that after a step, an integer of at least 2. Dimensionless.
        epochs: Passes of the training over the fit half, at least 1.
        rate: Learning rate, positive.

    Shapes:
        in:  [samples, sites, components], of two values, such as -1 and +1 or 0 and 1
        out: [samples, floor(sites * components / b), 1], the same two values

    Raises:
        ConfigError: If an option cannot be used.
        MissingDependencyError: If scikit-learn is not installed.
        StepNotPossibleError: If the field is not binary, no hidden unit would be left, or samples are too few.
        NothingFoundError: If held-out sites are predicted no better than independent ones.

    Do not trust when:
        What is kept is called relevant: a machine is trained to have the law of the data, which does not make it keep
        what long distances depend on. The machine is trained approximately and started at random, so that another
        generator gives other hidden units; compare several.

    Tether:
        theory.restricted_boltzmann: the ring is a machine whose hidden spins have the decimated coupling, exactly.

    Source:
        mehta2014; the training is that of tieleman2008.

    Example:
        >>> from blockspin import Ensemble
        >>> s = torch.randint(2, (200, 2, 1), generator=torch.Generator().manual_seed(0)).repeat(1, 2, 1).float()
        >>> scheme = RestrictedBoltzmann(b=2)
        >>> coarse = scheme.fit(Ensemble.of(s, units=torch.arange(200)), generator=torch.Generator().manual_seed(0))
        >>> coarse.values(s).shape, bool(coarse.gain.value > 0.1)
        (torch.Size([200, 2, 1]), True)
    """

    name = "restricted-boltzmann"
    source = "mehta2014"
    claims = Claims(semigroup=Semigroup.NONE, linear=False, symmetries=())
    b: int = 2
    epochs: int = 100
    rate: float = 0.2

    def __post_init__(self):
        require_ratio(self.b)
        check_whole("epochs", self.epochs, 1)
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 < self.rate < float("inf"):
            raise ConfigError("rate", self.rate, "a positive number.")

    def fit(self, source: Source, *, generator: torch.Generator) -> RestrictedBoltzmannMap:
        """Train one machine on four fifths of the units, and score it on the others."""
        if isinstance(source, GaussianLaw):
            raise _not_binary()
        ensemble = samples_of(source, generator)
        low, high = _two_values(ensemble)
        size = ensemble.values[0].numel()
        if size < self.b:
            raise StepNotPossibleError(f"fewer than {self.b} units are left ({size}), of which a step would keep none")
        held = held_out(ensemble)
        v = (ensemble.values.flatten(1).to(torch.float64) - low) / (high - low)
        weights, hidden_bias, visible_bias = self._trained(v[~held], generator)
        usual = (v[~held] @ weights.T + hidden_bias).mean(0)
        components = ensemble.values.shape[2]
        machine = RestrictedBoltzmannMap(weights, hidden_bias, visible_bias, usual, low, high, components)
        pseudo_likelihood, gain = _scores(machine, v, ensemble, held)
        return replace(machine, pseudo_likelihood=pseudo_likelihood, gain=gain)

    def _trained(self, binary: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        machine = _trainer()(
            n_components=binary.shape[1] // self.b,
            learning_rate=self.rate,
            batch_size=min(BATCH, len(binary)),
            n_iter=self.epochs,
            random_state=seed,
        )
        machine.fit(binary.numpy())
        found = machine.components_, machine.intercept_hidden_, machine.intercept_visible_
        return tuple(torch.from_numpy(x) for x in found)

    @classmethod
    def examples(cls) -> tuple[RestrictedBoltzmann, ...]:
        """Return short trainings of two ratios."""
        return cls(b=2, epochs=5, rate=0.1), cls(b=3, epochs=5, rate=0.1)


def _trainer() -> Any:
    """Return the class that trains, of scikit-learn."""
    try:
        from sklearn.neural_network import BernoulliRBM
    except ImportError:
        raise MissingDependencyError(
            "the scheme restricted-boltzmann needs scikit-learn, which is not installed", "pip install 'blockspin[rbm]'"
        ) from None
    return BernoulliRBM


def _two_values(ensemble: Ensemble) -> tuple[float, float]:
    """Return the two values that a binary field has; renormalised fields have others than -1 and +1."""
    low, high = float(ensemble.values.min()), float(ensemble.values.max())
    if low == high or not bool(((ensemble.values == low) | (ensemble.values == high)).all()):
        raise _not_binary()
    return low, high


def _not_binary() -> StepNotPossibleError:
    return StepNotPossibleError(
        "a restricted Boltzmann machine needs sites of two values, such as -1 and +1",
        "Take the sign of the field, or compare it with its median, first; principal-modes needs no such thing.",
    )


def _scores(
    machine: RestrictedBoltzmannMap, v: Tensor, ensemble: Ensemble, held: Tensor
) -> tuple[Measurement, Measurement]:
    """Return the score of a machine on the units held out, and how much better it is than independent sites.

    Raises:
        NothingFoundError: If it is not better by two standard errors.
    """
    trained, weight = v[~held], ensemble.weights[~held][:, None]
    up = ((weight * trained).sum(0) + 0.5) / (weight.sum() + 1)  # Laplace's rule: a site that never varied is no wonder
    alone = (v * up.log() + (1 - v) * (1 - up).log())[held].mean(1)
    together = machine.log_conditionals(ensemble.values[held]).mean(1)
    units, weights = ensemble.units[held], ensemble.weights[held]
    gain = mean_of_units(together - alone, units, weights)
    if gain.value <= 2 * gain.error:
        raise NothingFoundError(
            f"the machine predicts held-out sites by {gain.value:.2g} ± {gain.error:.1g} nats a site better than "
            "independent ones, which is nothing",
            "Give more samples or epochs; there may be no correlation to find.",
        )
    return mean_of_units(together, units, weights), gain
