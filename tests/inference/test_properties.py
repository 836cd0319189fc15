from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.inference.properties import (
    PROPERTIES,
    after_capital,
    in_brackets,
    in_quotes,
    indentation,
    place_in_line,
    place_in_word,
)


@pytest.mark.parametrize(
    ("follow", "text", "values"),
    [
        (in_quotes, 'a "b" c', "0011000"),
        (in_quotes, 'a "b\nc', "001111"),
        (in_quotes, 'a "b\n\nc "d"', "00111000110"),
        (in_quotes, "“a „b” c", "11111000"),
        (in_quotes, "«a» 「b」", "1100110"),
        (in_brackets, "a(b[c])d", "01122100"),
        (in_brackets, ":) (a", "00011"),
        (in_brackets, "(a\n\n(", "11101"),
        (place_in_line, "ab\ncde", "120123"),
        (place_in_word, "ab, c1é", "1200123"),
        (indentation, "  a b\n\tc\nd", "1222201100"),
        (after_capital, "aBÉ1", "0110"),
    ],
)
def test_a_property_after_each_character(
    follow: Callable[[str], Iterator[int]], text: str, values: str
) -> None:
    assert "".join(map(str, follow(text))) == values


@given(st.text('ab1 \n\t"“”([)]A'))
def test_every_property_is_a_number_a_character_and_known_while_reading(text: str) -> None:
    for follow in PROPERTIES.values():
        found = list(follow(text))
        assert len(found) == len(text)
        assert all(number >= 0 for number in found)
        assert list(follow(text + '"x'))[: len(text)] == found
