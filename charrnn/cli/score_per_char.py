"""`charrnn score --per-char`: every character in colours, lines, JSON or a picture."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from charrnn.cli.options import printable
from charrnn.config import VocabularyConfig
from charrnn.inference.units import bits

if TYPE_CHECKING:
    from charrnn.inference.scores import Score
    from charrnn.inference.surprise import Place, Surprise
    from charrnn.render.shading import Glyph, Shade

    Worst = list[tuple[str, Place]]

_WORST = 8  # most surprising places to list


def fields_of_each(score: "Score", tokens: VocabularyConfig) -> dict[str, Any]:
    """Return the fields that --per-char adds: `per_char`, and `per_token` for other tokens."""
    fields: dict[str, Any] = {}
    if tokens.tokens == "char":
        fields["per_char"] = _objects("char", score.per_char, score.unknown_chars)
    if tokens.unit != "character":
        fields["per_token"] = _objects("token", score.per_token, score.unknown_tokens)
    return fields


def _objects(
    unit: str, pairs: Iterable[tuple[str, float]], unknown: Iterable[bool]
) -> list[dict[str, Any]]:
    """Return one object per character or token, marked if it is unknown."""
    return [
        {unit: name, "log_prob": log_prob} | ({"unk": True} if is_unknown else {})
        for (name, log_prob), is_unknown in zip(pairs, unknown, strict=True)
    ]


def lines_of_each(score: "Score", tokens: VocabularyConfig) -> Iterator[str]:
    """Yield one line per character or word, then an empty line."""
    from charrnn.render.display import spelled_out

    if tokens.tokens == "char":
        pairs, unknown = score.per_char, score.unknown_chars
    else:
        pairs, unknown = score.per_token, score.unknown_tokens
    for (name, log_prob), is_unknown in zip(pairs, unknown, strict=True):
        shown, mark = printable(spelled_out(name)), "\tunknown" * is_unknown
        yield f"{shown}\t{log_prob:.6f}\t{bits(-log_prob):.3f}{mark}"
    yield ""


def show_surprise(surprises: Iterable["Surprise"]) -> None:
    """Print texts coloured by their surprise, then the most surprising places.

    On a terminal without colours, marks below the text replace them.
    """
    from charrnn.render import display
    from charrnn.render.shading import figure, grouped, lines_of_glyphs

    console = display.console()
    _print(console, _legend(console))
    worst: Worst = []
    for surprise in surprises:
        _print(console, Text())
        for line in lines_of_glyphs(grouped(surprise.places()), console.width):
            _print_shaded(console, line)
        if not len(surprise):
            _print(console, Text())
        _print(console, Text(figure(surprise)))
        worst = _worst([worst, surprise.worst(_WORST)])
    _print_worst(console, worst)


def write_pictures(surprises: Sequence["Surprise"], html: Path | None, svg: Path | None) -> None:
    """Write the page and the picture, if asked for."""
    from charrnn.render.pictures import html_page, svg_picture
    from charrnn.storage.files import PAGE, SVG, atomic_write

    worst = _worst([surprise.worst(_WORST) for surprise in surprises])
    for path, kind, render in ((html, PAGE, html_page), (svg, SVG, svg_picture)):
        if path is not None:
            with atomic_write(path, kind) as file:
                for piece in render(surprises, worst):
                    file.write(piece.encode("utf-8", "backslashreplace"))


def _worst(found: Iterable["Worst"]) -> "Worst":
    places = (pair for worst in found for pair in worst)
    return heapq.nlargest(_WORST, places, key=lambda pair: pair[1].bits)


def _legend(console: Console) -> Text:
    from charrnn.render.shading import SHADES

    text = Text("bits ")
    for shade in SHADES:
        mark = "" if console.color_system and not console.no_color else f"{shade.mark} "
        text.append(f" {mark}{shade.name} ", _style(console, shade))
    return text


def _style(console: Console, shade: "Shade") -> str:
    return shade.style(console.color_system)


def _print_shaded(console: Console, line: Sequence["Glyph"]) -> None:
    """Print a line of glyphs and, without colours, the marks below it."""
    from charrnn.render.shading import SHADES, columns

    text, marks = Text(), ""
    for number, glyphs in groupby(line, key=lambda glyph: glyph.group.shade):
        run = "".join(glyph.text for glyph in glyphs)
        text.append(run, _style(console, SHADES[number]))
        marks += SHADES[number].mark * columns(run)
    _print(console, text)
    if console.no_color or not console.color_system:
        _print(console, Text(marks.rstrip()))


def _print_worst(console: Console, worst: "Worst") -> None:
    """Print the most surprising places, and what the model expected there."""
    from charrnn.render.shading import SHADES, columns, worst_rows

    if not worst:
        return
    rows = worst_rows(worst)
    before = max(columns(row.before) for row in rows)
    came = max(columns(row.came) for row in rows)
    _print(console, Text(f"\n bits  {'where':>{before + 1}}{'expected':>{came + 9}}"))
    for row in rows:
        text = Text(f"{row.bits:>5}  {' ' * (before - columns(row.before))}{row.before}")
        text.append(row.came, _style(console, SHADES[row.shade]))
        _print(console, text.append(f"{' ' * (came - columns(row.came))}  {row.likelier}"))


def _print(console: Console, text: Text) -> None:
    """Print a text unfolded: the terminal wraps it."""
    console.print(text, soft_wrap=True)
