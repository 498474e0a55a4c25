"""What a level looks like to a person: clusters with their nearest passages, images read back, profiles of arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.flow import Flow, Scale

CLUSTERS, NEAREST, PICTURES, LETTERS = 8, 4, 6, 240


def levels(flow: Flow, contents: Mapping[int, Any], modality: str, *, generator: torch.Generator) -> dict[str, Any]:
    """Return what the report's slider shows: one entry a level of an explicit flow.

    Args:
        flow: A computed flow whose scales carry ensembles.
        contents: The input of each sample, by id: a string, or an array [..] of any shape.
        modality: "text", "image" or "array".
        generator: Randomness of the first cluster centres.
    """
    draw = {"text": _passages, "image": _images, "array": _profiles}[modality]
    rows = []
    for scale in flow:
        common = {
            "label": scale.label,
            "sites": scale.ensemble.geometry.sites,
            "position": scale.position,
            "log_length": scale.log_length,
        }
        rows.append({**common, **draw(scale, flow[0], contents, generator)})
    return {"modality": modality, "levels": rows}


def _passages(scale: Scale, first: Scale, contents: Mapping[int, Any], generator: torch.Generator) -> dict[str, Any]:
    field = _flat(scale.ensemble)
    label, centre = clusters(field, min(CLUSTERS, max(2, field.shape[1] + 1)), generator=generator)
    found = []
    for k in range(len(centre)):
        inside = (label == k).nonzero()[:, 0]
        if not len(inside):
            continue
        distance = (field[inside] - centre[k]).norm(dim=1)
        order = torch.argsort(distance, stable=True)[:NEAREST]
        nearest = [
            {"text": _cut(str(contents[int(scale.ensemble.ids[inside[i]])])), "distance": round(float(distance[i]), 6)}
            for i in order
        ]
        found.append({"share": round(len(inside) / len(field), 6), "nearest": nearest})
    return {"clusters": sorted(found, key=lambda cluster: -cluster["share"])}


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: text.rfind(" ", 0, LETTERS)] + " …"


def _images(scale: Scale, first: Scale, contents: Mapping[int, Any], generator: torch.Generator) -> dict[str, Any]:
    """Read the input images back from the level by ridge regression, fitted on the fit half, shown on the other."""
    shown = range(min(PICTURES, len(scale.ensemble)))
    read = _read_back(scale, contents)
    shape = torch.as_tensor(contents[int(scale.ensemble.ids[0])]).shape[:2]
    pictures = []
    for i in shown:
        image = read[i].reshape(*shape, -1).mean(-1)
        pictures.append({"label": f"sample {i + 1}", "rows": _rounded(image)})
    return {"images": pictures}


def _profiles(scale: Scale, first: Scale, contents: Mapping[int, Any], generator: torch.Generator) -> dict[str, Any]:
    """Read the input arrays back from the level and show the mean profile of each cluster."""
    read = _read_back(scale, contents)
    field = _flat(scale.ensemble)
    label, centre = clusters(field, min(CLUSTERS, max(2, field.shape[1] + 1)), generator=generator)
    means = [read[label == k].mean(0)[:256] for k in range(len(centre)) if bool((label == k).any())]
    return {"profiles": _rounded(torch.stack(means))}


def _read_back(scale: Scale, contents: Mapping[int, Any]) -> Tensor:
    fit, shown = _flat(scale.fit_half), _flat(scale.ensemble)
    target = torch.stack([torch.as_tensor(contents[int(i)]).reshape(-1).to(torch.float64) for i in scale.fit_half.ids])
    mean_x, mean_y = fit.mean(0), target.mean(0)
    gram = (fit - mean_x).T @ (fit - mean_x)
    ridge = 1e-2 * gram.diagonal().mean().clamp(min=1e-12)
    weights = torch.linalg.solve(
        gram + ridge * torch.eye(len(gram), dtype=gram.dtype), (fit - mean_x).T @ (target - mean_y)
    )
    return (shown - mean_x) @ weights + mean_y


def clusters(points: Tensor, count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return (label [n], centre [count, d]) of k-means with k-means++ centres; a picture, not a measurement."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty cluster is left out of the picture
        centre, label = kmeans2(points.numpy(), count, minit="++", seed=seed)
    return torch.from_numpy(label).to(torch.int64), torch.from_numpy(centre)


def _flat(ensemble: Ensemble) -> Tensor:
    return ensemble.values.flatten(1).to(torch.float64)


def _rounded(rows: Tensor) -> Sequence[Sequence[float]]:
    return [[float(f"{x:.4g}") for x in row] for row in rows.tolist()]
