"""A self-contained HTML page on what units do while the model reads a text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from charrnn.inference.neurons import LEVELS, Finding, shades, signed
from charrnn.render.display import visible
from charrnn.storage.files import MARK, PAGE, atomic_write, check

# Transparent colours keep letters legible on light and dark backgrounds.
_BELOW, _ABOVE = "30 110 220", "230 100 20"
_STYLE = """
:root { color-scheme: light dark }
body { max-width: 60em; margin: 2em auto; padding: 0 1em; font-family: sans-serif }
pre { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5 }
td, th { padding: 0.1em 1em 0.1em 0; text-align: right }
td:first-child, th:first-child { text-align: left }
"""


@dataclass(frozen=True)
class Passage:
    """A text coloured by the activation of a unit."""

    heading: str
    pieces: Sequence[tuple[str, float]]  # (text, activation)
    largest: float  # absolute activation, for the strongest colour


def write_page(
    path: Path, title: str, note: str, passages: Sequence[Passage], table: str = ""
) -> None:
    """Write a page.

    Args:
        path: ends in .html.
        note: explains the colours.
        table: HTML before the passages.

    Raises:
        ConfigError: the name ends in something else.
        CheckpointError: the file cannot be written or replaced.
    """
    check(path, PAGE)
    head = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{MARK}'
        f"<title>{_shown(title)}</title><style>{_STYLE}{''.join(_colours())}</style></head>"
    )
    with atomic_write(path, PAGE) as file:
        file.write(f"{head}<body><h1>{_shown(title)}</h1><p>{_shown(note)}</p>{table}".encode())
        for passage in passages:
            heading = f"<h2>{_shown(passage.heading)}</h2>" if passage.heading else ""
            file.write(f"{heading}<pre>{''.join(_spans(passage))}</pre>\n".encode())
        file.write(b"</body></html>\n")


def findings_table(findings: Sequence[tuple[Finding, str]]) -> str:
    """Return an HTML table of the unit that tracks each property, with its correlations."""
    head = "<th>property<th>unit<th>1st half, where it was chosen<th>2nd half"
    rows = (
        f"<td>{_shown(found.property)}<td>{_shown(name)}"
        f"<td>{signed(found.chosen)}<td>{signed(found.held_out)}"
        for found, name in findings
    )
    return f"<table><tr>{'<tr>'.join([head, *rows])}</table>"


def _colours() -> Iterator[str]:
    """Yield a CSS class for each shade: b1, b2, ... below zero, a1, a2, ... above."""
    for name, colour in (("b", _BELOW), ("a", _ABOVE)):
        for shade in range(1, LEVELS + 1):
            yield f".{name}{shade} {{ background: rgb({colour} / {0.6 * shade / LEVELS:.2f}) }}\n"


def _spans(passage: Passage) -> Iterator[str]:
    """Yield the text with one element around each run of one shade."""
    for shade, text in shades(passage.pieces, passage.largest):
        name = f"{'a' if shade > 0 else 'b'}{abs(shade)}"
        yield f'<span class="{name}">{_shown(text)}</span>' if shade else _shown(text)


def _shown(text: str) -> str:
    return escape(visible(text))
