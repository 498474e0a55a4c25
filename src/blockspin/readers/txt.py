"""Plain text: one passage a line, or one a paragraph where blank lines part them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blockspin.errors import UnreadableRecordError
from blockspin.readers._limits import TEXT, refuse_beyond
from blockspin.readers._streams import lines
from blockspin.readers.base import Item, refuse_unit


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield each line, or each paragraph if the file has blank lines between lines of text.

    Raises:
        UnreadableRecordError: If a line is not UTF-8, or a passage is too long.
    """
    refuse_unit(unit, "plain text has no fields.")
    paragraphs = _has_paragraphs(path)
    held: list[str] = []
    begun = length = 0
    for number, line in _texts(path):
        text = line.strip()
        if not paragraphs and text:
            yield Item(text, f"{path.name}, line {number}")
        elif paragraphs and text:
            begun, length = (begun, length + len(text)) if held else (number, len(text))
            refuse_beyond(f"{path.name}, line {begun}", "its paragraph's number of characters", length, TEXT)
            held.append(text)
        elif held:
            yield Item(" ".join(held), f"{path.name}, line {begun}")
            held = []
    if held:
        yield Item(" ".join(held), f"{path.name}, line {begun}")


def _has_paragraphs(path: Path) -> bool:
    """Whether the file parts several lines by blank lines, judged by its first thousand lines."""
    run = longest = blanks = 0
    for number, line in _texts(path):
        run = run + 1 if line.strip() else 0
        blanks += not line.strip()
        longest = max(longest, run)
        if number >= 1000:
            break
    return blanks > 0 and longest > 1


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    for number, raw in lines(path):
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as reason:
            raise UnreadableRecordError(
                f"{path.name}, line {number} is not UTF-8 ({reason.reason} at byte {reason.start})",
                "Convert the file to UTF-8, or remove that line.",
            ) from None
