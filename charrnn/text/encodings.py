"""Which encodings a text may be in that is not valid UTF-8, told by what they would read.

Each candidate decodes the text. What it then reads is as likely as few of its characters are out of
place: signs amid letters, letters of two scripts side by side, capitals after small letters,
accented Latin letters in a row, rare ideographs and syllables, ideographs after a space. Of scripts
that have few letters, the frequent ones are missed where there are too few of them.
"""

import codecs
import contextlib
import unicodedata
from functools import cache

_LOOKED_AT = 4000  # characters
_MOST_WRONG = 0.2  # of the characters that are not ASCII
_AS_GOOD = 0.05  # a share of wrong characters so much larger may be chance
_MOST_NAMED = 3
_BEFORE, _SHOWN = 8, 20  # characters of an excerpt, those before the strange one and all
# The scripts that each encoding is for, and the first bytes of its frequent ideographs or
# syllables, the first level of a standard. Of those that read a text equally well, the first one is
# likelier.
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
# Frequent letters of a script and the share of its letters that they make up at least.
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
    """The encodings that would read these bytes as text, the likeliest first, and what they read.

    Args:
        data: from the place on where a character begins; the last one may be cut off.
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
    """The UTF-16 that would read these bytes, if one does, and what it reads.

    Its ASCII characters, such as spaces, have a NUL each, which few others have.
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
    """The ISO 2022 that would read an ASCII text, if its escape sequences are of one."""
    if text.isascii():
        for start, name in _ISO_2022.items():
            with contextlib.suppress(UnicodeError):
                if start in text:
                    decoder = codecs.getincrementaldecoder(name)()
                    return {name: excerpt_of(decoder.decode(text[:_LOOKED_AT].encode()))}
    return {}


def _excerpts(texts: dict[str, str]) -> dict[str, str]:
    """A few characters of each text, from where they differ most; of those that agree, one."""
    variety = [len({*chars}) for chars in zip(*texts.values(), strict=False)]
    place = variety.index(max(variety)) if len(texts) > 1 else _BEFORE
    found: dict[str, str] = {}
    for name, text in texts.items():
        excerpt = _on_one_line(text[max(0, place - _BEFORE) :])
        if excerpt not in found.values():
            found[name] = excerpt
    return found


def excerpt_of(text: str) -> str:
    """A few characters around the first one that is not ASCII, on one line."""
    return _on_one_line(_with_first(text))


def _on_one_line(text: str) -> str:
    return " ".join(text[:_SHOWN].split())


def _with_first(text: str) -> str:
    """The text from a little before the first character that is not ASCII."""
    first = next((place for place, char in enumerate(text) if char > "\x7f"), 0)
    return text[max(0, first - _BEFORE) :][:_LOOKED_AT]


def _share_of_wrong(text: str, encoding: str) -> float:
    """How many of the characters that are not ASCII are out of place, 0 to 1."""
    kana = {"HIRAGANA", "KATAKANA"} & _CANDIDATES[encoding][0]
    if kana and kana.isdisjoint(map(_script, text)):
        return 1.0
    places = zip("\n" + text, text, text[1:] + "\n", strict=False)
    found = [_is_wrong(*place, encoding) for place in places if place[1] > "\x7f"]
    return sum(found) / max(1, len(found))


def _lack_of_frequent(text: str, encoding: str) -> float:
    """How much smaller the share of the frequent letters is than in any language of the script."""
    (script, *_) = _CANDIDATES[encoding][0]
    frequent, least = _FREQUENT.get(script, ("", 0.0))
    letters = [char for char in text.lower() if char > "\x7f" and char.isalpha()]
    return max(0.0, least - sum(char in frequent for char in letters) / max(1, len(letters)))


@cache
def _is_wrong(before: str, char: str, after: str, encoding: str) -> bool:
    """Whether a character that is not ASCII is out of place between two others."""
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
    """The first word of the character's name, which is its script for nearly all letters."""
    name = unicodedata.name(char, "")
    if name.startswith(("KATAKANA-HIRAGANA", "IDEOGRAPHIC")):
        return "KATAKANA"
    return "" if "COMPATIBILITY" in name or name.startswith("HANGUL LETTER") else name.split(" ")[0]
