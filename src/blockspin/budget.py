"""Budget: how much memory a run will take, by cause, and how it keeps within what it is given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from blockspin.capture.reading import Estimate
from blockspin.couplings_nulls import chosen_nulls
from blockspin.engine.measure import HELD
from blockspin.errors import MemoryBudgetError
from blockspin.memory import resident
from blockspin.network_study import NetworkStudy
from blockspin.questions.base import BLOCK

DATA_COPIES = 5 * 4
"""Bytes an entry while n-grams are counted, weighed and normalised: float32 once, float64 twice."""
KERNELS = 14 * 8
"""Bytes a pair of samples while two fields are regressed on each other: kernels, their centred parts, modes."""
LEVELS = 8
"""Levels of an explicit flow, all together about as wide as the last layer."""
HASHES = 9
"""Bytes a parameter of the hashes that gradients are sketched by."""
COPIES = 5
"""The levels of an explicit flow, those with the parts exchanged, and those of its three controls."""
NULLS = 4
"""Last layers that the levels of a null flow of the couplings take together, both parts of the records."""


@dataclass(frozen=True)
class Need:
    """Bytes of memory that a run takes.

    Args:
        base: What this process holds after the network was opened and read once.
        network: The untrained copy.
        data: The data as an ensemble of their own, while it is made.
        samples: The samples that are kept for kernels.
        states: The states of a group while a pass is under way, and of all groups while numbers are evaluated.
        question: Kernels and fields while the question is asked, or the levels of null flows after that.
        family: Networks and samples of two more networks of a family, its last layers, the gradients of a checkpoint.
        workers: Worker processes; 0 where this process carries out the passes itself.
    """

    base: int
    network: int
    data: int
    samples: int
    states: int
    question: int
    workers: int
    family: int = 0

    @property
    def driver(self) -> int:
        """The most that this process takes."""
        held = self.base + self.network + self.samples
        return held + max(self.data, self.states, self.question, self.family)

    @property
    def worker(self) -> int:
        """The most that one worker takes: it opens one network at a time, and sends its states away."""
        return self.base + self.states

    @property
    def total(self) -> int:
        """The most that all processes take together, counting what they share once each."""
        held = self.base + self.network + self.samples
        reading = held + max(self.states, self.family) + self.workers * self.worker
        return max(self.driver, reading)

    def __str__(self) -> str:
        causes = {
            "packages, network and one batch": self.base,
            "the untrained copy": self.network,
            "the data as an ensemble": self.data,
            "samples for kernels": self.samples,
            "states": self.states,
            "kernels of the question": self.question,
            "other networks of the family": self.family,
        }
        parts = ", ".join(f"{size / 1e6:.0f} MB {cause}" for cause, size in causes.items() if size)
        workers = f"; {self.workers} worker(s) of {self.worker / 1e6:.0f} MB" if self.workers else ""
        return f"{self.total / 1e9:.2f} GB ({parts}{workers})"


def memory_needed(study: NetworkStudy, cost: Estimate) -> Need:
    """Return what a run will take, given its open network."""
    widths = [shape.numel() for shape in study.shapes.values()]
    n, last, records = study.kernels, widths[-1], len(study.material.sample)
    kept = 4 * (n * sum(widths) + records * last)
    moments = [_moments(width) for width in widths]
    largest = max(moments)
    states = 4 * sum(moments) + 2 * kept // study.config.groups + min(HELD, study.config.groups * largest) + 8 * largest
    data = study.data_width()
    entries = 2 * (sum(widths) + data) + COPIES * last
    fields = 2 * 4 * n * sum(widths) + 4 * records * last  # of the checkpoint before, and of one while it is split
    gradients = cost.parameter_bytes + HASHES * cost.parameters
    nulls = 4 * NULLS * len(chosen_nulls(study.config)) * records * last
    family = study.material.family
    members = len(family.members) if family else 1
    other = 2 * cost.parameter_bytes + fields + max(states, gradients)  # a state dict beside its network
    kernels = min(BLOCK, 4 * n**2 * (2 * (len(widths) + 1) + COPIES * LEVELS))
    return Need(
        base=resident(),
        network=cost.parameter_bytes,
        data=DATA_COPIES * records * data,
        samples=2 * kept + 4 * n * data,
        states=states,
        question=max(8 * n * entries + max(2 * kernels, KERNELS * n**2), nulls),
        workers=study.config.workers if "workers" in vars(study.executor()) else 0,
        family=other + members * 4 * n * last if family else 0,
    )


def disk_needed(study: NetworkStudy, cost: Estimate) -> int:
    """Return the bytes that states, and activations where they are kept, take while the run is under way."""
    config, widths = study.config, [shape.numel() for shape in study.shapes.values()]
    records = len(study.material.sample)
    rows = 4 * records * sum(widths)
    family = study.material.family
    networks = 1 + (len(family.members) if family else 1)  # the last of a family is the network itself
    kept = networks * cost.batch_bytes * records // config.batch_size if config.activations else 0
    moments = config.groups * sum(map(_moments, widths))
    return networks * (moments + rows) + (kept // 2 if config.activations == "bfloat16" else kept)


def within(need: Need, limit: int | None) -> Need:
    """Return the need with as many workers as a budget allows, which changes no byte of the results.

    Args:
        need: What the run would take.
        limit: The budget in bytes; None for no budget.

    Raises:
        MemoryBudgetError: If not even one worker fits: the numbers, and which options lower them.
    """
    found = need
    while limit is not None and found.total > limit and found.workers > 1:
        found = replace(found, workers=found.workers - 1)
    if limit is not None and found.total > limit:
        raise MemoryBudgetError(
            f"the run needs {found}, and memory is {limit / 1e9:.2f} GB",
            "Take fewer kernel_samples, layers or samples, a smaller batch_size, executor = serial, or more memory.",
        )
    return found


def _moments(width: int) -> int:
    """Return the bytes of one group's second moments of one layer: beside them its other states are small."""
    return 8 * width**2
