"""Surprising text on lines of so many columns."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.inference.surprise import Place, Step
from charrnn.render.shading import (
    SHADES,
    Group,
    columns,
    grouped,
    lines_of_glyphs,
    name,
    shade_of,
    worst_rows,
)


def place(text: str, bits: float = 0.0) -> Place:
    likeliest = [("a", -0.5), (text, -1.0)]
    return Place(text, [Step(text, True, -bits * math.log(2), 1.0, 2, lambda: likeliest)])


def lines(text: str, width: int) -> list[str]:
    groups = grouped(map(place, text))
    return ["".join(glyph.text for glyph in line) for line in lines_of_glyphs(groups, width)]


@pytest.mark.parametrize(
    ("bits", "name"),
    [(-0.0, "below 1"), (0.99, "below 1"), (1, "1 to 3"), (7.9, "5 to 8"), (1e9, "12 or more")],
)
def test_shades(bits: float, name: str) -> None:
    assert SHADES[shade_of(bits)].name == name


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("한국", 4),
        ("e\u0323\u0301", 1),
        ("\u1112\u1161\u11ab", 2),
        ("ｱＡ", 3),
        ("😀", 2),
    ],
)
def test_columns(text: str, width: int) -> None:
    assert columns(text) == width


def test_a_line_ends_at_a_newline_or_at_the_last_space_that_fits() -> None:
    assert lines("one two three", 8) == ["one two ", "three"]
    assert lines("a\n\nb", 8) == ["a\\n", "\\n", "b"]
    assert lines("abcdefgh", 3) == ["abc", "def", "gh"]
    assert lines("한국어 말", 5) == ["한국", "어 말"]
    assert lines("", 5) == []


def test_a_character_keeps_the_marks_on_it_and_takes_the_darkest_shade() -> None:
    (group, other) = grouped([place("q", 2), place("\u0301", 20), place("r", 2)])
    assert (group.text, group.shade, other.text) == ("q\u0301", len(SHADES) - 1, "r")


def test_a_mark_after_a_newline_stands_on_the_next_line() -> None:
    assert lines("a\n\u0301b", 9) == ["a\\n", "\u0301b"]


@given(st.text(), st.integers(4, 100))
def test_no_line_is_too_wide_and_nothing_is_lost(text: str, width: int) -> None:
    from charrnn.render.display import spelled_out, visible

    found = lines(text, width)
    assert "".join(found) == "".join(visible(spelled_out(group)) for group in groups_of(text))
    assert all(columns(line) <= width for line in found)


def groups_of(text: str) -> list[str]:
    return [group.text for group in grouped(map(place, text))]


def test_a_million_marks_are_one_group() -> None:
    assert len([*grouped(map(place, "a" + "\u0301" * 10_000))]) == 1
    assert isinstance(next(grouped([place("a")])), Group)


def test_a_token_among_others_is_on_one_line_and_not_too_long() -> None:
    assert name(" a\n") == "␣a\\n"
    assert len(name("x" * 1000)) < 40


def test_the_rows_of_the_worst_places() -> None:
    (row,) = worst_rows([("x" * 100 + "한\n", place("z", 6))])
    assert row.bits == "6.00"
    assert row.before.endswith("x한\\n")
    assert columns(row.before) <= 24
    assert (row.came, row.likelier, SHADES[row.shade].name) == ("z", "a 0.61", "5 to 8")
