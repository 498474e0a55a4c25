"""Bibliography: the sources of the methods, read from references.bib."""

from __future__ import annotations

import re
from pathlib import Path

ENTRY = re.compile(r"^@\w+\{([^,\s]+),.*?^\}", re.MULTILINE | re.DOTALL)


def entries() -> dict[str, str]:
    """Return the BibTeX entry of every source, by key: from the installed package, or from the checkout's root."""
    here = Path(__file__).parent
    place = next(path for path in (here / "references.bib", here.parents[1] / "references.bib") if path.is_file())
    return {match[1]: match[0] for match in ENTRY.finditer(place.read_text(encoding="utf-8"))}
