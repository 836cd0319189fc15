"""Properties of a text that a unit of a network may track: one number after each character.

Quotes and brackets that are never closed end at a blank line.
"""

from collections.abc import Callable, Iterator

_OPENING, _CLOSING = "([{", ")]}"
_QUOTE, _QUOTES = '"', {"“": "”", "«": "»", "„": "“", "「": "」", "『": "』"}


def in_quotes(text: str) -> Iterator[int]:
    """Yield 1 from an opening quotation mark up to the character before the closing one, else 0."""
    closing, last = "", ""
    for char in text:
        if closing:
            closing = "" if char == closing or char == last == "\n" else closing
        elif char == _QUOTE or char in _QUOTES:
            closing = _QUOTES.get(char, _QUOTE)
        last = char
        yield int(bool(closing))


def in_brackets(text: str) -> Iterator[int]:
    """Yield the number of open brackets."""
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
    """Yield the number of characters of the line so far."""
    place = 0
    for char in text:
        place = 0 if char == "\n" else place + 1
        yield place


def place_in_word(text: str) -> Iterator[int]:
    """Yield the number of letters and digits of the word so far."""
    place = 0
    for char in text:
        place = place + 1 if char.isalnum() else 0
        yield place


def indentation(text: str) -> Iterator[int]:
    """Yield the number of spaces and tabs read so far at the start of the line."""
    width, at_start = 0, True
    for char in text:
        if char == "\n":
            width, at_start = 0, True
        else:
            at_start = at_start and char in " \t"
            width += at_start
        yield width


def after_capital(text: str) -> Iterator[int]:
    """Yield 1 after a capital letter, else 0."""
    return (int(char.isupper()) for char in text)


PROPERTIES: dict[str, Callable[[str], Iterator[int]]] = {
    "inside quotes": in_quotes,
    "inside brackets": in_brackets,
    "place in the line": place_in_line,
    "place in the word": place_in_word,
    "indentation": indentation,
    "after a capital": after_capital,
}
