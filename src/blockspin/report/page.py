"""Page: all sections of a run folder put into one self-contained HTML file."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from blockspin.engine._files import write_bytes
from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

HERE = Path(__file__).parent


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from the other files of a run folder and return its path.

    A pure function of those files: the same folder gives the same bytes, and neither network nor data are needed.

    Raises:
        RunFolderError: If the folder is not that of a finished run, or must not be written to.
    """
    run = RunFolder(folder)
    page = fill(
        (HERE / "page.html").read_text(encoding="utf-8"),
        title=run.answers["title"],
        sections=sections(run),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs().replace("</script", "<\\/script")),
    )
    place = folder / "report.html"
    write_bytes(place, page.encode())
    return place


def sections(run: RunFolder) -> list[Section]:
    """Return the sections that have something to show: one file of this folder each, by their declared order."""
    names = [info.name for info in pkgutil.iter_modules([str(HERE)]) if not info.name.startswith("_")]
    modules = [importlib.import_module(f"blockspin.report.{name}") for name in names if name != "page"]
    found = [module.section(run) for module in sorted(modules, key=lambda module: module.ORDER)]
    return [section for section in found if section is not None]
