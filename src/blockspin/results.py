"""Results: the last part of every run: what of its flows is Gaussian, and all that was found written to its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blockspin import gallery
from blockspin.answer import Answer
from blockspin.controls import COPY, gaussian_copy
from blockspin.errors import BlockspinError
from blockspin.flow import Flow
from blockspin.registry import member
from blockspin.report.page import write_report
from blockspin.run_folder import manifest, write_flow, write_json
from blockspin.study import Study
from blockspin.summary import answers_file

GAUSSIAN = "gaussian-enough"


def gaussian_answer(study: Study, flow: Flow, controls: Mapping[str, Flow]) -> tuple[list[Answer], list[str]]:
    """Ask where the Gaussian theory is enough, of the numbers along a flow; or say why it was not asked.

    Args:
        study: The run under way.
        flow: Its scales carry samples and the numbers of single ensembles.
        controls: Flows that were measured alike, beside the Gaussian fields of equal covariance that are made here.
    """
    with study.steps.step("asking where the Gaussian theory is enough"):
        ruler, draws = study.ruler(), study.generator(7)
        copies = tuple(  # one at a time, so that one is in memory
            ruler.alone(gaussian_copy(scale, generator=draws), ("cumulants", "negentropy")) for scale in flow
        )
        try:
            question = member("questions", GAUSSIAN)()
            known = {**controls, COPY: Flow(COPY, flow.axis, copies)}
            return [question.ask(flow, controls=known, generator=study.generator(8))], []
        except BlockspinError as reason:
            return [], [f"Where the Gaussian theory is enough was not asked: {reason}"]


def data_about(study: Study, name: str) -> dict[str, Any]:
    """Return what the report says of the data."""
    sample, material = study.material.sample, study.material
    return {
        "name": name,
        "modality": material.modality,
        "records": sample.total,
        "drawn": len(sample),
        "measured": study.kernels,
    }


def write_results(
    study: Study,
    folder: Path,
    answers: Sequence[Answer],
    flows: Mapping[str, Flow],
    about: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """Write the flows, the answers, the levels, the manifest, and the report that is made of them.

    Args:
        study: The run under way.
        folder: Its folder.
        answers: To the questions that were asked.
        flows: By slug, "explicit" among them.
        about: What was read, and notes.
        provenance: For the manifest: "hashes" of what was read, and "parts", what was found when those of the passes
            were put together.
    """
    with study.steps.step("writing the run folder"):
        for slug, flow in flows.items():
            write_flow(folder, slug, flow)
        write_json(folder / "answers.json", answers_file(answers, flows, study.config.scheme, about))
        contents, modality = study.contents(), study.material.modality
        shown = gallery.levels(flows["explicit"], contents, modality, generator=study.generator(5))
        write_json(folder / "levels.json", shown)
        seconds, seed = study.steps.seconds, study.config.seed
        write_json(folder / "manifest.json", manifest(seed=seed, seconds=seconds, **provenance))
    with study.steps.step("writing the report"):
        write_report(folder)
