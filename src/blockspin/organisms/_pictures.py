"""Pictures: Fashion-MNIST where its files are, scikit-learn's digits, as tensors."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from blockspin.errors import MissingDependencyError
from blockspin.readers.base import items

FASHION = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
"""The files that are read, of xiao2017."""


def fashion_folder() -> Path:
    """Return where the files of Fashion-MNIST are looked for.

    The environment variable FASHION_MNIST, else where Debian's package dataset-fashion-mnist puts them.
    """
    return Path(os.environ.get("FASHION_MNIST") or "/usr/share/datasets/fashion-mnist")


def has_fashion() -> bool:
    """Return whether the files of Fashion-MNIST are there."""
    return all((fashion_folder() / name).is_file() for name in FASHION)


def fashion(count: int) -> tuple[Tensor, Tensor]:
    """Return the first pictures float32 [count, 1, 28, 28], from 0 to 1, and the class of each.

    Raises:
        MissingDependencyError: If the files are not there.
    """
    if not has_fashion():
        raise MissingDependencyError(
            f"{fashion_folder()} does not hold {' and '.join(FASHION)}",
            "Install Debian's dataset-fashion-mnist, or put the folder of the files into FASHION_MNIST.",
        )
    pictures, label = (_first(fashion_folder() / name, count) for name in FASHION)
    return torch.from_numpy(pictures)[:, None], torch.from_numpy(label).to(torch.int64)


def _first(path: Path, count: int) -> np.ndarray:
    return np.stack([item.content for item in islice(items(str(path)), count)])


def digits() -> tuple[Tensor, Tensor]:
    """Return 1,797 pictures float32 [1797, 1, 8, 8], from 0 to 1, and the digit of each.

    Raises:
        MissingDependencyError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependencyError("scikit-learn is not installed", "pip install scikit-learn") from None
    found = load_digits()
    return torch.tensor(found.images, dtype=torch.float32)[:, None] / 16, torch.tensor(found.target)
