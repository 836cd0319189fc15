"""Texts coloured by their surprise, as an HTML page or an SVG picture.

Both are self-contained. Text is escaped, and characters that HTML or XML forbid are spelled out.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from charrnn.inference.surprise import Place, Step, Surprise
from charrnn.inference.units import bits
from charrnn.render.display import visible
from charrnn.render.shading import (
    BEFORE,
    SHADES,
    Glyph,
    Group,
    Row,
    columns,
    figure,
    grouped,
    lines_of_glyphs,
    name,
    with_probabilities,
    worst_rows,
)
from charrnn.storage.files import MARK

_NO_CHARACTERS = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}  # not allowed in XML
_WIDTH = 80  # columns of a picture
_COLUMN, _LINE, _MARGIN = 9, 24, 16  # pixels
_MIDDLE = 8 + BEFORE  # column of a listed place, after the text before it

_COLOURS = "\n".join(
    f".s{number} {{ background: {shade.background}; color: {shade.foreground}; }}"
    for number, shade in enumerate(SHADES)
    if shade.background
)
_PAGE_STYLE = f"""
:root {{ color-scheme: light dark; }}
body {{
  font: 16px/1.6 system-ui, sans-serif; margin: 2em auto; max-width: 50em; padding: 0 1em 8em;
}}
td {{ white-space: pre-wrap; }}
.where {{ text-align: right; }}
.text, td {{ font-family: ui-monospace, monospace; }}
.text {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 1em 0 0; }}
.text span:hover {{ outline: 2px solid; }}
.text span:hover::after {{
  content: attr(data-tip); position: fixed; left: 0; right: 0; bottom: 0; padding: .5em 1em;
  white-space: pre-wrap; color: CanvasText; background: Canvas; border-top: 1px solid;
}}
.newline::before {{ content: "↵"; }}
.tab::before {{ content: "⇥"; }}
.legend span {{ padding: .1em .5em; border: 1px solid; }}
.figure {{ margin: 0; opacity: .8; }}
td, th {{ text-align: left; padding-right: 2em; }}
{_COLOURS}
"""
_PICTURE_STYLE = (
    "svg { color-scheme: light dark; }\n"
    "text { font: 15px ui-monospace, monospace; fill: #222222; white-space: pre; }\n"
    ".back { fill: #ffffff; }\n"
    "@media (prefers-color-scheme: dark) { text { fill: #dddddd; } .back { fill: #181818; } }\n"
    + "\n".join(
        f".s{number} rect {{ fill: {shade.background}; }} "
        f".s{number} text {{ fill: {shade.foreground}; }}"
        for number, shade in enumerate(SHADES)
        if shade.background
    )
    + "\n.s0 rect { fill: none; pointer-events: all; }\n"
)


def describe(group: Group) -> str:
    """Describe the predictions of a place, one line each, with the most probable tokens."""
    lines = []
    for place in group.places:
        if len(place.steps) > 1:
            lines.append(f"{name(place.text)}  {place.bits:.2f} bits, of")
        for step in place.steps:
            lines.append(_describe(step))
    return "\n".join(lines)


def _describe(step: Step) -> str:
    unknown = "" if step.known else " (outside the vocabulary)"
    figures = f"P {math.exp(step.log_prob):.3g}  {bits(-step.log_prob):.2f} bits  rank {step.rank}"
    likeliest = with_probabilities(step.likeliest)
    return f"{name(step.token)}{unknown}  {figures}  expected: {likeliest}"


def html_page(surprises: Sequence[Surprise], worst: Sequence[tuple[str, Place]]) -> Iterator[str]:
    """Yield a page in pieces: the texts, with a tip for each character, and the worst places.

    Args:
        worst: (text before, place) of the most surprising places, in order.
    """
    title = _plain(visible(surprises[0].score.text[:60])) if surprises else ""
    yield (
        "<!doctype html>\n<html>\n<head>\n<meta charset='utf-8'>\n"
        "<meta http-equiv='Content-Security-Policy' "
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"{MARK}\n<meta name='viewport' content='width=device-width'>\n"
        f"<title>Surprise: {title}</title>\n<style>{_PAGE_STYLE}</style>\n</head>\n<body>\n"
    )
    legend = " ".join(
        f"<span class='s{number}'>{shade.name}</span>" for number, shade in enumerate(SHADES)
    )
    yield f"<p class='legend'>bits: {legend}</p>\n"
    for surprise in surprises:
        yield "<p class='text' dir='auto'>"
        yield from map(_span, grouped(surprise.places()))
        yield f"</p>\n<p class='figure'>{figure(surprise)}</p>\n"
    yield from _table(worst)
    yield "</body>\n</html>\n"


def _span(group: Group) -> str:
    text = group.text
    kind = {"\n": " newline", "\t": " tab"}.get(text[-1:], "")
    tip = _plain(describe(group)).replace("\n", "&#10;")
    return f"<span class='s{group.shade}{kind}' data-tip='{tip}'>{_plain(visible(text))}</span>"


def _table(worst: Sequence[tuple[str, Place]]) -> Iterator[str]:
    if not worst:
        return
    yield "<table>\n<tr><th>bits</th><th>where</th><th>expected</th></tr>\n"
    for row in worst_rows(worst):
        came = f"<span class='s{row.shade}'>{_plain(row.came)}</span>"
        where = f"<td class='where'>{_plain(row.before)}{came}</td>"
        yield f"<tr><td>{row.bits}</td>{where}<td>{_plain(row.likelier)}</td></tr>\n"
    yield "</table>\n"


def svg_picture(surprises: Sequence[Surprise], worst: Sequence[tuple[str, Place]]) -> Iterator[str]:
    """A picture in pieces: every text, and the worst places. Viewers that can show the tips."""
    lines: list[list[str]] = [[*_legend()], []]
    for surprise in surprises:
        lines += [[*_shapes(line)] for line in lines_of_glyphs(grouped(surprise.places()), _WIDTH)]
        lines += [[_words(0, figure(surprise))], []]
    if worst:
        middle = _MIDDLE - len("where")
        heads = (0, "bits"), (middle, "where"), (_MIDDLE + 8, "expected")
        lines.append([_words(place, head) for place, head in heads])
    lines += map(_shapes_of_row, worst_rows(worst))
    width, height = 2 * _MARGIN + _COLUMN * (_WIDTH + 1), 2 * _MARGIN + _LINE * len(lines)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n{MARK}\n'
        f"<style>\n{_PICTURE_STYLE}</style>\n"
        f'<rect class="back" width="{width}" height="{height}"/>\n'
    )
    for number, shapes in enumerate(lines):
        yield f'<g transform="translate({_MARGIN} {_MARGIN + _LINE * number})">'
        yield "".join(shapes) + "</g>\n"
    yield "</svg>\n"


def _legend() -> Iterator[str]:
    yield _words(0, "bits")
    place = 6
    for number, shade in enumerate(SHADES):
        size = len(shade.name) + 2
        yield _shape(number, place, size, [_words(place + 1, shade.name)])
        place += size


def _shapes_of_row(row: Row) -> list[str]:
    size = columns(row.came)
    before = _words(_MIDDLE, row.before, "end")
    came = _shape(row.shade, _MIDDLE, size, [_words(_MIDDLE, row.came)])
    return [_words(0, row.bits), before, came, _words(_MIDDLE + max(size + 2, 8), row.likelier)]


def _shapes(line: Sequence[Glyph]) -> Iterator[str]:
    place = 0
    for _, glyphs in groupby(line, key=lambda glyph: id(glyph.group)):
        run = [*glyphs]
        start, words = place, []
        for glyph in run:
            if glyph.text != " ":
                words.append(_words(place, glyph.text))
            place += columns(glyph.text)
        group = run[0].group
        yield _shape(group.shade, start, place - start, words, describe(group))


def _shape(shade: int, start: int, size: int, words: Sequence[str], tip: str = "") -> str:
    title = f"<title>{_plain(tip)}</title>" if tip else ""
    rect = f'<rect x="{_COLUMN * start}" width="{_COLUMN * size}" height="{_LINE - 2}"/>'
    return f'<g class="s{shade}">{title}{rect}{"".join(words)}</g>'


def _words(column: int, text: str, anchor: str = "start") -> str:
    place = f'x="{_COLUMN * column}" y="{_LINE - 8}" text-anchor="{anchor}"'
    return f"<text {place}>{_plain(text)}</text>"


def _plain(text: str) -> str:
    """Escape text for a page or a picture."""
    return escape(text.translate(_NO_CHARACTERS))
