"""Hidden Markov: windows of symbols that a hidden chain emits, with its states and the beliefs about them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, ShapeError, check_between, check_whole
from blockspin.geometry import Chain
from blockspin.law import MAX_CONFIGURATIONS, EnumeratedLaw
from blockspin.registry import register
from blockspin.sources._options import number, stochastic
from blockspin.sources.base import ExactModel, PlantedModel, Truth

Matrix = tuple[tuple[float, ...], ...]
GOLDEN_MEAN: tuple[Matrix, ...] = (((0.0, 0.5), (0.0, 0.0)), ((0.5, 0.0), (1.0, 0.0)))


@register
@dataclass(frozen=True)
class HiddenMarkov(PlantedModel, ExactModel):
    r"""Independent windows of a stationary process with hidden states; the field is the symbol's number, 0, 1, ...

    .. math:: P(x_1 \dots x_n) = \pi\, T^{(x_1)} \cdots T^{(x_n)} \mathbf 1, \qquad
        T^{(x)}_{ij} = P(\text{emit } x, \text{go to } j \mid i) .

    The belief about the state after some symbols is pi T^(x1) ... T^(xn), normalised. The truth holds "states", int64
    [samples, window + 1] (the first before any symbol), and "beliefs", float64 [samples, window + 1, states].

    Args:
        emissions: T of each symbol, [symbols][states][states]; their sum is a Markov chain with one stationary state.
            By default the golden mean process: no two zeros in a row.
        window: Symbols of a sample. The law needs symbols^window of at most 2^16.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        Beliefs are taken for those of the whole past: they are those of an observer of the window alone, stationary
        before its first symbol, so that a process that synchronises slowly looks less known than it is.

    Source:
        crutchfield1989.

    Example:
        >>> round(float(HiddenMarkov.even().law().weights.sum()), 12)
        1.0
    """

    name = "hidden-markov"
    source = "crutchfield1989"
    emissions: tuple[Matrix, ...] = GOLDEN_MEAN
    window: int = 8

    def __post_init__(self):
        check_whole("window", self.window, 1)
        states = len(self.emissions[0]) if self.emissions else 0
        if states < 1 or any(len(T) != states or any(len(row) != states for row in T) for T in self.emissions):
            raise ConfigError("emissions", self.emissions, "square matrices of one size, one a symbol.")
        stochastic(
            "emissions",
            [[p for T in self.emissions for p in T[i]] for i in range(states)],
            states * len(self.emissions),
        )
        unit = torch.linalg.eigvals(self.matrices.sum(0)).sub(1).abs() < 1e-9
        if int(unit.sum()) != 1:
            raise ConfigError("emissions", self.emissions, "a chain with one stationary state.")

    @classmethod
    def golden_mean(cls, window: int = 8) -> HiddenMarkov:
        """Return the process without two zeros in a row: after a zero a one, after a one either."""
        return cls(GOLDEN_MEAN, window)

    @classmethod
    def even(cls, window: int = 8) -> HiddenMarkov:
        """Return the process whose blocks of ones between zeros are of even length; no finite memory suffices."""
        return cls((((0.5, 0.0), (0.0, 0.0)), ((0.0, 0.5), (1.0, 0.0))), window)

    @classmethod
    def mess3(cls, move: float = 0.05, fidelity: float = 0.85, window: int = 8) -> HiddenMarkov:
        """Return three states that each show mostly their own symbol: its beliefs fill a fractal in a triangle.

        Args:
            move: Probability of going to each of the other states, below 1/2.
            fidelity: Probability of showing the state's own symbol; the others share the rest.
            window: Symbols of a sample.
        """
        number("move", move, 0.0)
        check_between("fidelity", fidelity, 0, 1)
        go = [[1 - 2 * move if i == j else move for j in range(3)] for i in range(3)]
        show = [[fidelity if x == j else (1 - fidelity) / 2 for j in range(3)] for x in range(3)]
        return cls(
            tuple(tuple(tuple(go[i][j] * show[x][j] for j in range(3)) for i in range(3)) for x in range(3)), window
        )

    @property
    def matrices(self) -> Tensor:
        """T, float64 [symbols, states, states]."""
        return torch.tensor(self.emissions, dtype=torch.float64)

    def stationary(self) -> Tensor:
        """Return pi, float64 [states]."""
        values, vectors = torch.linalg.eig(self.matrices.sum(0).T)
        pi = vectors[:, int((values - 1).abs().argmin())].real
        return pi / pi.sum()

    def law(self) -> EnumeratedLaw:
        """Return the exact law of a window; windows that cannot occur are left out.

        Raises:
            ShapeError: If there are more than 2^16 windows.
        """
        T = self.matrices
        if len(T) ** self.window > MAX_CONFIGURATIONS:
            raise ShapeError(f"{len(T)} symbols over {self.window} steps are too many to enumerate", "Shorten it.")
        ahead = self.stationary()[None]
        for _ in range(self.window):
            ahead = torch.einsum("ni,xij->nxj", ahead, T).reshape(-1, T.shape[1])
        weight = ahead.sum(1)
        words = torch.tensor(list(product(range(len(T)), repeat=self.window)), dtype=torch.float64)
        return EnumeratedLaw.of(words[weight > 0][:, :, None], weight[weight > 0], Chain(self.window, False))

    def beliefs(self, words: Tensor) -> Tensor:
        """Return the beliefs before and after each symbol, float64 [samples, window + 1, states].

        Args:
            words: int64 [samples, symbols].
        """
        belief = [self.stationary().expand(len(words), -1)]
        for t in range(words.shape[1]):
            ahead = torch.einsum("ni,nij->nj", belief[-1], self.matrices[words[:, t]])
            belief.append(ahead / ahead.sum(1, keepdim=True))
        return torch.stack(belief, 1)

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Draw independent windows, each begun in the stationary state."""
        T = self.matrices
        joint = T.permute(1, 0, 2).reshape(T.shape[1], -1)  # from a state to all (symbol, state) at once
        state = torch.multinomial(self.stationary(), samples, replacement=True, generator=generator)
        states, words = [state], []
        for _ in range(self.window):
            drawn = torch.multinomial(joint[states[-1]], 1, generator=generator)[:, 0]
            words.append(drawn // T.shape[1])
            states.append(drawn % T.shape[1])
        symbols = torch.stack(words, 1)
        ensemble = Ensemble.of(symbols.to(torch.float32), Chain(self.window, False), units=torch.arange(samples))
        return ensemble, Truth({"states": torch.stack(states, 1), "beliefs": self.beliefs(symbols)})
