"""Lay out text shaded by its surprise, on lines of a given width."""

import math
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from charrnn.render.display import spelled_out, unknown, visible

if TYPE_CHECKING:
    from charrnn.inference.surprise import Place, Surprise

_JOINER = "\u200d"
_MEDIALS = ("\u1160", "\u11ff")  # Hangul vowels and finals, drawn into the syllable before them
BEFORE = 24  # columns of text before a listed place
_SHOWN = 3  # expected tokens in a line
_LONGEST = 30  # characters of a token before it is cut


@dataclass(frozen=True)
class Shade:
    """The style of characters in a range of bits; legible on any background."""

    bits: float  # lower end of the range
    name: str
    background: str = ""
    foreground: str = ""
    plain: str = ""  # style on a terminal with 16 colours
    mark: str = " "  # below the character on a terminal without colours

    def style(self, color_system: str | None) -> str:
        """What Rich calls this look on a terminal with such colours."""
        if color_system == "standard":
            return self.plain
        return f"{self.foreground} on {self.background}" if self.background else ""


# Each darker than the one before, so that hues need not be told apart. All are among the 256
# colours of terminals.
SHADES = (
    Shade(0, "below 1"),
    Shade(1, "1 to 3", "#ffffaf", "#000000", "black on bright_yellow", "."),
    Shade(3, "3 to 5", "#ffd75f", "#000000", "black on yellow", ":"),
    Shade(5, "5 to 8", "#ff875f", "#000000", "black on bright_red", "+"),
    Shade(8, "8 to 12", "#d70000", "#ffffff", "bright_white on red", "*"),
    Shade(12, "12 or more", "#87005f", "#ffffff", "bright_white on magenta", "#"),
)


def shade_of(bits: float) -> int:
    """Return the index of the shade for this many bits."""
    return max(sum(bits >= shade.bits for shade in SHADES) - 1, 0)


def columns(text: str) -> int:
    """Count the columns of a text on a terminal: two for wide characters, none for marks."""
    return sum(map(_columns, text))


@cache
def _columns(char: str) -> int:
    joined = unicodedata.category(char) in ("Mn", "Me", "Cf") and char != "\u00ad"
    if joined or _MEDIALS[0] <= char <= _MEDIALS[1]:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@dataclass(frozen=True)
class Group:
    """Places that share a cell: a character with its marks."""

    places: list["Place"]

    @property
    def text(self) -> str:
        """The characters of the group."""
        return "".join(place.text for place in self.places)

    @property
    def shade(self) -> int:
        """Index of the shade of the most surprising place."""
        return shade_of(max(place.bits for place in self.places))


def grouped(places: Iterable["Place"]) -> Iterator[Group]:
    """Yield the places of a text, those without a column joined to the one before."""
    found: list[Place] = []
    for place in places:
        last = found[-1].text if found else "\n"
        joins = not columns(visible(place.text)) or last.endswith(_JOINER)
        if found and not (joins and not last.endswith("\n")):
            yield Group(found)
            found = []
        found.append(place)
    if found:
        yield Group(found)


@dataclass
class Glyph:
    """The content of one column, or of the two of a wide character."""

    group: Group
    parts: list[str] = field(default_factory=list)  # a character and its marks

    @property
    def text(self) -> str:
        """The character with its marks."""
        return "".join(self.parts)


def lines_of_glyphs(groups: Iterable[Group], width: int) -> Iterator[list[Glyph]]:
    """Lay out a text on lines of `width` columns, with line ends and controls spelled out.

    A line ends after a newline of the text, else after the last space that fits, if there is one.
    """
    line: list[Glyph] = []
    used = 0
    for group in groups:
        for glyph in _glyphs(group):
            size = columns(glyph.parts[0])
            if line and used + size > width:
                stop = _break(line)
                yield line[:stop]
                line = line[stop:]
                used = sum(columns(each.parts[0]) for each in line)
            line.append(glyph)
            used += size
        if group.text.endswith("\n"):
            yield line
            line, used = [], 0
    if line:
        yield line


def _break(line: list[Glyph]) -> int:
    spaces = (place for place in range(len(line), 0, -1) if line[place - 1].text == " ")
    return next(spaces, len(line))


def _glyphs(group: Group) -> Iterator[Glyph]:
    glyph = Glyph(group)
    for char in visible(spelled_out(group.text)):
        if glyph.parts and columns(char):
            yield glyph
            glyph = Glyph(group)
        glyph.parts.append(char)
    yield glyph


def name(token: str) -> str:
    """Return a token as shown in a list: on one line, cut if long, with visible spaces."""
    cut = token[:_LONGEST] + "…" * (len(token) > _LONGEST)
    return visible(spelled_out(cut)).replace(" ", "␣")


def with_probabilities(tokens: Iterable[tuple[str, float]]) -> str:
    """Format tokens with their probabilities, from pairs (token, log P in nats)."""
    return "  ".join(f"{name(token)} {math.exp(log_prob):.2g}" for token, log_prob in tokens)


def _last_columns(text: str, width: int) -> str:
    """Return the end of a text on one line of at most `width` columns."""
    shown = visible(spelled_out(text))
    while columns(shown) > width:
        shown = shown[1:]
    return shown


class Row(NamedTuple):
    """A line in the list of the most surprising places."""

    bits: str
    before: str  # end of the text before the place
    came: str  # the token itself
    shade: int
    likelier: str  # more probable tokens, with probabilities


def worst_rows(worst: Iterable[tuple[str, "Place"]]) -> list[Row]:
    """Return the lines of a list of places, from pairs (text before, place)."""
    return [
        Row(
            f"{place.bits:.2f}",
            _last_columns(before, BEFORE),
            name(place.text),
            shade_of(place.bits),
            with_probabilities(place.hardest.likelier[:_SHOWN]),
        )
        for before, place in worst
    ]


def figure(surprise: "Surprise") -> str:
    """Describe a text by its bits per character and its number of unknown tokens."""
    bits = surprise.score.bits_per_char
    shown = "nothing to predict" if bits is None else f"{bits:.3f} bits per character"
    return ", ".join(filter(None, [shown, unknown(surprise.score.unk)]))
