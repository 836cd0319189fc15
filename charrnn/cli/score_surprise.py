"""`charrnn score --per-char` and `--per-word`: colours, columns, JSON and pictures."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from charrnn.cli.options import printable
from charrnn.config import VocabularyConfig
from charrnn.render.display import spelled_out

if TYPE_CHECKING:
    from charrnn.inference.surprise import Place, Surprise
    from charrnn.render.shading import Glyph, Shade

    Worst = list[tuple[str, Place]]

_WORST = 8  # most surprising places to list
_CHARS_OF_WORD = 4  # a word has the shade of a character with a quarter of its bits


def fields_of_each(
    surprise: "Surprise", unit: str, tokens: VocabularyConfig
) -> dict[str, list[dict[str, Any]]]:
    """Return the fields that JSON gets: `per_word`, or `per_char` and `per_token`."""
    if unit == "word":
        return {"per_word": [*map(_word, surprise.words())]}
    fields = {}
    if tokens.tokens == "char":
        fields["per_char"] = [_object("char", place) for place in surprise.places()]
    if tokens.unit != "character":
        fields["per_token"] = [_object("token", place) for place in surprise.tokens()]
    return fields


def _word(place: "Place") -> dict[str, Any]:
    return _object("word", replace(place, text=_name("word", place)))


def _object(unit: str, place: "Place") -> dict[str, Any]:
    """Return the figures of a place, marked if it is unknown."""
    fields = {unit: place.text, "log_prob": place.log_prob, "bits": place.bits}
    fields |= {"entropy": place.entropy, "rank": place.rank}
    return fields if place.known else fields | {"unk": True}


def _name(unit: str, place: "Place") -> str:
    """Return the text of a place, without the spaces before a word."""
    return (place.text.strip() if unit == "word" else "") or place.text


def _places(surprise: "Surprise", unit: str) -> Iterator["Place"]:
    return surprise.words() if unit == "word" else surprise.places()


def header_of_each(unit: str) -> str:
    """Return the header of `rows_of_each`."""
    return "\t".join(["text_id", unit, "log_prob", "bits", "entropy", "rank", "unk"])


def rows_of_each(number: int, surprise: "Surprise", unit: str) -> Iterator[str]:
    """Yield tab-separated columns for each character or word, the number of the text first."""
    for place in _places(surprise, unit):
        name = printable(spelled_out(_name(unit, place)))
        figures = f"{place.log_prob:.6f}\t{place.bits:.6g}\t{place.entropy:.6g}\t{place.rank}"
        yield f"{number}\t{name}\t{figures}\t{int(not place.known)}"


def lines_of_each(surprise: "Surprise", unit: str) -> Iterator[str]:
    """Yield one line per character or word, then an empty line."""
    for place in _places(surprise, unit):
        shown, mark = printable(spelled_out(_name(unit, place))), "\tunknown" * (not place.known)
        yield f"{shown}\t{place.log_prob:.6f}\t{place.bits:.3f}{mark}"
    yield ""


def show_words(surprises: Iterable["Surprise"]) -> None:
    """Print the words of each text as a table, coloured by their surprise."""
    from charrnn.render import display
    from charrnn.render.shading import SHADES, figure, shade_of

    console = display.console()
    for number, surprise in enumerate(surprises):
        if number:
            _print(console, Text())
        table = Table(box=None, pad_edge=False)
        for column in ("bits", "entropy", "rank"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("word", overflow="fold")
        for place in surprise.words():
            name = display.visible(spelled_out(_name("word", place)))
            style = _style(console, SHADES[shade_of(place.bits / _CHARS_OF_WORD)])
            figures = f"{place.bits:.2f}", f"{place.entropy:.2f}", f"{place.rank:,}"
            table.add_row(*figures, Text(name, style))
        display.print_table(table)
        _print(console, Text(figure(surprise)))


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
