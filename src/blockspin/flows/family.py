"""Family: networks along one axis (checkpoints of a training, widths of an architecture, contexts), and their flows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from blockspin.errors import CheckpointError, ConfigError
from blockspin.flow import Axis, Flow, Scale
from blockspin.measurement import Measurement

TAKEN = ("network", "untrained", "explicit", "exchanged", "training", "context", "data")
"""Words that flows of a run are called by already."""
Numbers = Mapping[str, Mapping[str, Measurement]]
"""What was measured at one network: {layer: {"observable/quantity": measurement}}."""


@dataclass(frozen=True)
class Kinship:
    """What tells the networks of a family apart.

    Args:
        axis: What they lie along.
        word: What one of them is named after: "step", "width".
    """

    axis: Axis
    word: str

    @classmethod
    def along(cls, word: str) -> Kinship:
        """Return the kinship of networks that differ in anything that a number says, by a word for it.

        Args:
            word: As depth, records (that they were trained on), sparsity.

        Raises:
            ConfigError: If it is no word of small letters, or stands for another flow of a run.
        """
        if not (word.isascii() and word.isalpha() and word.islower()) or word in TAKEN:
            raise ConfigError("along", word, f"one word of small letters, as records, and none of {', '.join(TAKEN)}.")
        return cls(Axis(word), word)

    def label(self, position: int) -> str:
        """Return the name of a network, for a person and for the folder of its states."""
        return f"{self.word} {position}"

    def flow(self, name: str, numbers: Mapping[int, Mapping[str, Measurement]]) -> Flow:
        """Return the implicit flow of one layer, or of a network as a whole.

        Its direction is not known beforehand and it has no length.

        Args:
            name: What flows: the path of a layer.
            numbers: What was measured at each position, {position: {"observable/quantity": measurement}}.
        """
        scales = (Scale(float(at), self.label(at), measurements=dict(numbers[at])) for at in sorted(numbers))
        return Flow(name, self.axis, tuple(scales))

    def by_layer(self, rows: Mapping[int, Numbers]) -> dict[str, Flow]:
        """Return the flow of every layer, from what was measured over depth at every network.

        Args:
            rows: {position: {layer: numbers}}; a layer is left out of the networks that have no numbers of it.
        """
        layers = dict.fromkeys(layer for row in rows.values() for layer in row)
        return {
            layer: self.flow(layer, {at: row[layer] for at, row in rows.items() if layer in row}) for layer in layers
        }

    def joined(self, name: str, flows: Mapping[str, Flow]) -> Flow:
        """Return the flows of all layers as one, each number named after its layer: "cka/with_last of net.0".

        Args:
            name: What flows: the network as a whole.
            flows: Flows along this axis, by layer.
        """
        rows: dict[int, dict[str, Measurement]] = {}
        for layer, flow in flows.items():
            for scale in flow:
                named = {f"{key} of {layer}": number for key, number in scale.measurements.items()}
                rows.setdefault(int(scale.position), {}).update(named)
        return self.flow(name, rows)


def number_in(name: str, of_what: str, example: str) -> int:
    """Return the last number in a name.

    Args:
        name: Of a file, a folder or a factory, without an ending.
        of_what: What it counts, for the message: "steps".
        example: A name that would do.

    Raises:
        CheckpointError: If there is none.
    """
    numbers = re.findall(r"\d+", name)
    if not numbers:
        raise CheckpointError(f"{name} has no number of {of_what} in its name", f"Name it as {example}.")
    return int(numbers[-1])
