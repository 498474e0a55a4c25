"""Couplings of real networks and data, predicted at layers, widths, steps and scales held out, beside the baselines.

python benchmarks/predictions.py minilm | smollm2 | width | training | images FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from blockspin.config import RunConfig
from blockspin.run import run

# --- runs ------------------------------------------------------------------------------------------------------------


def whole(**given) -> None:
    """Carry out a run and print what its report says of couplings, null flows apart."""
    with tempfile.TemporaryDirectory() as folder:
        place = run(RunConfig().with_options({"executor": "serial", "out": f"{folder}/run", **given}))
        found = json.loads((place / "couplings.json").read_text(encoding="utf-8"))
    for table in (table for table in found["tables"] if not table["null_of"]):
        tell_table(f"{table['theory']} of {table['flow']}", table["rows"])
    for row in (row for row in found["predictions"] if not row["null_of"]):
        tell(f"{row['theory']} of {row['flow']}", row["scored"], row["reason"])
    for row in found["validity"]:
        print(f"{row['theory']} of {row['flow']}: {row['verdict']}. {row['statement']}")


# --- tables -----------------------------------------------------------------------------------------------------------


def tell_table(title: str, rows: Sequence[Mapping]) -> None:
    print(f"--- {title}")
    for row in rows:
        numbers = [f"{k} {m['value']:.4g} ± {m['error']:.2g}" for k, m in row["values"].items()]
        g = row["goodness"]
        p = "" if not g or g["p_value"] is None else f", p = {g['p_value']:.2g}"
        fit = f"fit {g['score']['value']:.4g}{p}" if g and g["score"]["value"] is not None else ""
        print(f"  {row['label']:34s} {'; '.join([*numbers, fit, row['reason'][:90]])}")


def tell(title: str, scored: Mapping | None, reason: str) -> None:
    if scored is None:
        print(f"=== {title}: no score: {reason[:160]}")
        return
    print(f"=== {title}: {scored['verdict']}. {scored['statement']}")
    for row in scored["scores"]:
        if row["points"]:
            log_score = "" if row["log_score"] is None else f", log score {row['log_score']:.2f}"
            print(
                f"  {row['model']:18s} inside {row['inside']}/{row['points']}, squared miss {row['miss']:.3g}, "
                f"deviation {row['deviation']:.3g}{log_score} {row['verdict']}"
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "minilm":
        whole(model="builtin:minilm", data="builtin:kjv")
    elif what == "smollm2":
        blocks = ("layers.0:input", *(f"layers.{k}" for k in range(30)))
        quarter = {"name": "principal-modes", "b": 4}  # 200 passages do not hold half of 576 modes
        given = {"layers": blocks, "scheme": quarter, "samples": 500, "kernel_samples": 300, "max_tokens": 24}
        whole(model="builtin:smollm2", data="builtin:kjv", **given)
    elif what == "width":
        whole(model="builtin:char-transformer", family=("builtin",))
    elif what == "training":
        whole(model="builtin:char-transformer", checkpoints="builtin")
    elif what == "images" and len(sys.argv) == 3:
        names = [f"{sys.argv[2]}/train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        given = {"model": "off", "data": names[0], "targets": names[1], "representation": {"name": "raw", "margin": 2}}
        whole(**given, scheme={"name": "block-average", "b": 2}, samples=8000, kernel_samples=4000)
    else:
        sys.exit(__doc__)
