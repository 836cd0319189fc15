"""Guess the encoding of a text that is not valid UTF-8.

Each candidate decodes the text, and the one with the fewest characters out of place is likeliest.
Out of place are signs between letters, letters of two scripts side by side, capitals after small
letters, accented Latin letters in a row, rare ideographs and syllables, and ideographs after a
space. In scripts with few letters, too few of the frequent letters count against a candidate too.
"""

import codecs
import contextlib
import unicodedata
from functools import cache

_LOOKED_AT = 4000  # characters to look at
_MOST_WRONG = 0.2  # of the characters that are not ASCII
_AS_GOOD = 0.05  # difference in the share of wrong characters that may be chance
_MOST_NAMED = 3
_BEFORE, _SHOWN = 8, 20  # characters of an excerpt: before the first strange one, and in all
# Scripts of each encoding, and the first bytes of its frequent ideographs or syllables (level 1
# of its standard). Among equally good encodings, the first one is likelier.
_CANDIDATES: dict[str, tuple[set[str], range]] = {
    "cp949": ({"HANGUL"}, range(0xB0, 0xC9)),
    "euc_jp": ({"HIRAGANA", "KATAKANA", "CJK"}, range(0xB0, 0xD0)),
    "cp932": ({"HIRAGANA", "KATAKANA", "CJK"}, range(0x88, 0x99)),
    "gb18030": ({"CJK"}, range(0xB0, 0xD8)),
    "big5": ({"CJK"}, range(0xA4, 0xC7)),
    "cp1252": ({"LATIN"}, range(0)),
    "cp1250": ({"LATIN"}, range(0)),
    "cp1254": ({"LATIN"}, range(0)),
    "iso8859-2": ({"LATIN"}, range(0)),
    "cp1255": ({"HEBREW"}, range(0)),
    "cp1251": ({"CYRILLIC"}, range(0)),
    "koi8-r": ({"CYRILLIC"}, range(0)),
    "cp866": ({"CYRILLIC"}, range(0)),
    "iso8859-5": ({"CYRILLIC"}, range(0)),
    "cp1253": ({"GREEK"}, range(0)),
    "iso8859-7": ({"GREEK"}, range(0)),
    "cp1256": ({"ARABIC"}, range(0)),
    "cp874": ({"THAI"}, range(0)),
}
# Frequent letters of a script, and their least share of all its letters.
_FREQUENT = {
    "CYRILLIC": ("аеиоуыінт", 0.42),
    "GREEK": ("αεηιουωτσνάέήίόύώ", 0.5),
    "HEBREW": ("יוהלארתשמ", 0.4),
    "ARABIC": ("اليمنورتبه", 0.33),
    "THAI": ("านรอกเงม", 0.3),
}
_ISO_2022 = {"\x1b$B": "iso2022_jp", "\x1b$@": "iso2022_jp", "\x1b$)C": "iso2022_kr"}
_HEBREW_ENDS = "ךםןףץ"  # at the end of a word only
_TOGETHER = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}  # written side by side
_AMID_LETTERS = "’·‐‑–—…"
_SIGNS = {"Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Zs"}


def likely_encodings(data: bytes) -> dict[str, str]:
    """Return the encodings that read these bytes as text, likeliest first, with an excerpt each.

    Args:
        data: begins at a character; the last one may be cut off.
    """
    wrong: dict[str, float] = {}
    loud: dict[str, bool] = {}
    texts: dict[str, str] = {}
    for name in _CANDIDATES:
        try:
            text = _with_first(codecs.getincrementaldecoder(name)().decode(data))
        except UnicodeError:
            continue
        share = _share_of_wrong(text, name) + _lack_of_frequent(text, name)
        if text and share <= _MOST_WRONG and text not in texts.values():
            wrong[name], texts[name] = share, text
            loud[name] = sum(map(str.isupper, text)) > len(text) / 2
    best = min(wrong.values(), default=0.0)
    named = [name for name in wrong if wrong[name] <= best + _AS_GOOD]
    named.sort(key=lambda name: (loud[name], wrong[name]))
    return _excerpts({name: texts[name] for name in named[:_MOST_NAMED]})


def utf16_without_mark(data: bytes) -> dict[str, str]:
    """Return the UTF-16 variant that reads these bytes, with an excerpt; empty if neither does.

    In UTF-16, ASCII characters such as spaces have a NUL each; few others do.
    """
    places = {"utf-16-be": data[::2].count(0), "utf-16-le": data[1::2].count(0)}
    for name in sorted(places, key=places.__getitem__, reverse=True):
        text = codecs.getincrementaldecoder(name)("replace").decode(data[:_LOOKED_AT])
        ascii_pairs = data.isascii() and max(text, default="") >= "\u0800"  # read as ideographs
        printable = all(char.isprintable() or char.isspace() for char in text)
        if text and printable and not ascii_pairs and "\ufffd" not in text:
            return {name: excerpt_of(text)}
    return {}


def seven_bit(text: str) -> dict[str, str]:
    """Return the ISO 2022 variant of the escape sequences in an ASCII text, with an excerpt."""
    if text.isascii():
        for start, name in _ISO_2022.items():
            with contextlib.suppress(UnicodeError):
                if start in text:
                    decoder = codecs.getincrementaldecoder(name)()
                    return {name: excerpt_of(decoder.decode(text[:_LOOKED_AT].encode()))}
    return {}


def _excerpts(texts: dict[str, str]) -> dict[str, str]:
    """Return an excerpt of each text where they differ most; equal excerpts only once."""
    variety = [len({*chars}) for chars in zip(*texts.values(), strict=False)]
    place = variety.index(max(variety)) if len(texts) > 1 else _BEFORE
    found: dict[str, str] = {}
    for name, text in texts.items():
        excerpt = _on_one_line(text[max(0, place - _BEFORE) :])
        if excerpt not in found.values():
            found[name] = excerpt
    return found


def excerpt_of(text: str) -> str:
    """Return an excerpt around the first non-ASCII character, on one line."""
    return _on_one_line(_with_first(text))


def _on_one_line(text: str) -> str:
    return " ".join(text[:_SHOWN].split())


def _with_first(text: str) -> str:
    """Return the text from just before the first non-ASCII character."""
    first = next((place for place, char in enumerate(text) if char > "\x7f"), 0)
    return text[max(0, first - _BEFORE) :][:_LOOKED_AT]


def _share_of_wrong(text: str, encoding: str) -> float:
    """Return the share of non-ASCII characters that are out of place, 0 to 1."""
    kana = {"HIRAGANA", "KATAKANA"} & _CANDIDATES[encoding][0]
    if kana and kana.isdisjoint(map(_script, text)):
        return 1.0
    places = zip("\n" + text, text, text[1:] + "\n", strict=False)
    found = [_is_wrong(*place, encoding) for place in places if place[1] > "\x7f"]
    return sum(found) / max(1, len(found))


def _lack_of_frequent(text: str, encoding: str) -> float:
    """Return how far the share of frequent letters is below that of any language in the script."""
    (script, *_) = _CANDIDATES[encoding][0]
    frequent, least = _FREQUENT.get(script, ("", 0.0))
    letters = [char for char in text.lower() if char > "\x7f" and char.isalpha()]
    return max(0.0, least - sum(char in frequent for char in letters) / max(1, len(letters)))


@cache
def _is_wrong(before: str, char: str, after: str, encoding: str) -> bool:
    """Return whether a non-ASCII character is out of place between two others."""
    scripts, frequent = _CANDIDATES[encoding]
    if not _is_letter(char):
        amid_letters = char not in _AMID_LETTERS and _is_letter(before) and _is_letter(after)
        return unicodedata.category(char) not in _SIGNS or amid_letters
    script = _script(char)
    if script not in scripts:
        return True
    if script in ("CJK", "HANGUL") and char.encode(encoding)[0] not in frequent:
        return True
    if not _is_letter(before):
        return script == "CJK" and before == " "
    both_accented = script == "LATIN" and before > "\x7f"
    other_script = _TOGETHER.get(script, script) != _TOGETHER.get(_script(before), _script(before))
    if before in _HEBREW_ENDS and char.isalpha():
        return True
    capital_inside = char.isupper() and (before.islower() or after.islower())
    return both_accented or capital_inside or other_script


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"


@cache
def _script(char: str) -> str:
    """Return the first word of a character's name, the script of nearly all letters."""
    name = unicodedata.name(char, "")
    if name.startswith(("KATAKANA-HIRAGANA", "IDEOGRAPHIC")):
        return "KATAKANA"
    return "" if "COMPATIBILITY" in name or name.startswith("HANGUL LETTER") else name.split(" ")[0]
