"""Which encodings a text may be in that is not valid UTF-8, told by what they would read.

Each candidate decodes the text. What it then reads is as likely as few of its characters are out of
place: signs amid letters, letters of two scripts side by side, capitals after small letters,
accented Latin letters in a row, rare ideographs and syllables, ideographs after a space.
"""

import codecs
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
    "cp1251": ({"CYRILLIC"}, range(0)),
    "koi8-r": ({"CYRILLIC"}, range(0)),
    "cp866": ({"CYRILLIC"}, range(0)),
    "cp1253": ({"GREEK"}, range(0)),
    "cp1255": ({"HEBREW"}, range(0)),
    "cp1256": ({"ARABIC"}, range(0)),
    "cp874": ({"THAI"}, range(0)),
}
_TOGETHER = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}  # written side by side
_SIGNS = {"Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Zs"}


def likely_encodings(data: bytes) -> dict[str, str]:
    """The encodings that would read these bytes as text, the likeliest first, and what they read.

    Args:
        data: from the place on where a character begins; the last one may be cut off.
    """
    wrong: dict[str, float] = {}
    loud: dict[str, bool] = {}
    shown: dict[str, str] = {}
    for name in _CANDIDATES:
        try:
            text = _with_first(codecs.getincrementaldecoder(name)().decode(data))
        except UnicodeError:
            continue
        share, excerpt = _share_of_wrong(text, name), excerpt_of(text)
        if share <= _MOST_WRONG and excerpt not in shown.values():
            wrong[name], shown[name] = share, excerpt
            loud[name] = sum(map(str.isupper, text)) > len(text) / 2
    best = min(wrong.values(), default=0.0)
    named = [name for name in wrong if wrong[name] <= best + _AS_GOOD]
    return {name: shown[name] for name in sorted(named, key=loud.__getitem__)[:_MOST_NAMED]}


def excerpt_of(text: str) -> str:
    """A few characters around the first one that is not ASCII, on one line."""
    return " ".join(_with_first(text)[:_SHOWN].split())


def _with_first(text: str) -> str:
    """The text from a little before the first character that is not ASCII."""
    first = next((place for place, char in enumerate(text) if char > "\x7f"), 0)
    return text[max(0, first - _BEFORE) :][:_LOOKED_AT]


def _share_of_wrong(text: str, encoding: str) -> float:
    """How many of the characters that are not ASCII are out of place, 0 to 1."""
    kana = {"HIRAGANA", "KATAKANA"} & _CANDIDATES[encoding][0]
    if kana and kana.isdisjoint(map(_script, text)):
        return 1.0
    pairs = zip("\n" + text, text, strict=False)
    found = [_is_wrong(before, char, encoding) for before, char in pairs if char > "\x7f"]
    return sum(found) / max(1, len(found))


@cache
def _is_wrong(before: str, char: str, encoding: str) -> bool:
    """Whether a character that is not ASCII is out of place after another one."""
    scripts, frequent = _CANDIDATES[encoding]
    if not _is_letter(char):
        return unicodedata.category(char) not in _SIGNS
    script = _script(char)
    if script not in scripts:
        return True
    if script in ("CJK", "HANGUL") and char.encode(encoding)[0] not in frequent:
        return True
    if not _is_letter(before):
        return script == "CJK" and before == " "
    both_accented = script == "LATIN" and before > "\x7f"
    other_script = _TOGETHER.get(script, script) != _TOGETHER.get(_script(before), _script(before))
    after_small = char.isupper() and before.islower()
    return both_accented or after_small or other_script


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"


@cache
def _script(char: str) -> str:
    """The first word of the character's name, which is its script for nearly all letters."""
    name = unicodedata.name(char, "")
    if name.startswith(("KATAKANA-HIRAGANA", "IDEOGRAPHIC")):
        return "KATAKANA"
    return "" if "COMPATIBILITY" in name or name.startswith("HANGUL LETTER") else name.split(" ")[0]
