"""blockspin reads neural networks with the renormalization group.

Data, a network's activations and any interpretation of them are ensembles; coarse-graining them gives flows. Names are
imported on first use, so that the command line starts at once.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "Answer": "answer",
    "Axis": "flow",
    "Batch": "ensemble",
    "BlockspinError": "errors",
    "Chain": "geometry",
    "Claims": "claims",
    "Diamond": "diamond",
    "Ensemble": "ensemble",
    "EnumeratedLaw": "law",
    "Flow": "flow",
    "GaussianLaw": "law",
    "Graph": "geometry",
    "Grid": "geometry",
    "Measurement": "measurement",
    "Scale": "flow",
    "Semigroup": "claims",
    "Tree": "geometry",
    "Unordered": "geometry",
    "Verdict": "answer",
    "iterate": "flows.iterate",
    "member": "registry",
    "members": "registry",
    "register": "registry",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"blockspin.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
