"""What a unit of a network may keep track of in a text: one number after each character.

Quotes and brackets that nobody closes end at a blank line.
"""

from collections.abc import Callable, Iterator

_OPENING, _CLOSING = "([{", ")]}"
_QUOTE, _QUOTES = '"', {"“": "”", "«": "»", "„": "“", "「": "」", "『": "』"}


def in_quotes(text: str) -> Iterator[int]:
    """1 from a quotation mark on until before the one that closes it."""
    closing, last = "", ""
    for char in text:
        if closing:
            closing = "" if char == closing or char == last == "\n" else closing
        elif char == _QUOTE or char in _QUOTES:
            closing = _QUOTES.get(char, _QUOTE)
        last = char
        yield int(bool(closing))


def in_brackets(text: str) -> Iterator[int]:
    """How many brackets are open."""
    depth, last = 0, ""
    for char in text:
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth = max(0, depth - 1)
        elif char == last == "\n":
            depth = 0
        last = char
        yield depth


def place_in_line(text: str) -> Iterator[int]:
    """How many characters of the line there are so far."""
    place = 0
    for char in text:
        place = 0 if char == "\n" else place + 1
        yield place


def place_in_word(text: str) -> Iterator[int]:
    """How many letters and digits of the word there are so far."""
    place = 0
    for char in text:
        place = place + 1 if char.isalnum() else 0
        yield place


def indentation(text: str) -> Iterator[int]:
    """How many spaces and tabs the line begins with, as far as it is read."""
    width, at_start = 0, True
    for char in text:
        if char == "\n":
            width, at_start = 0, True
        else:
            at_start = at_start and char in " \t"
            width += at_start
        yield width


def after_capital(text: str) -> Iterator[int]:
    """Whether the character is a capital, 0 or 1."""
    return (int(char.isupper()) for char in text)


PROPERTIES: dict[str, Callable[[str], Iterator[int]]] = {
    "inside quotes": in_quotes,
    "inside brackets": in_brackets,
    "place in the line": place_in_line,
    "place in the word": place_in_word,
    "indentation": indentation,
    "after a capital": after_capital,
}
