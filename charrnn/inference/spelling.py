"""How tokens spell a text: at once, or composed where tokens are decomposed characters."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache

from charrnn.ids import EOS, UNK
from charrnn.text.unicode import Composer, normalize
from charrnn.text.vocabulary import Vocabulary

_HANGUL = range(0xAC00, 0xD7A4)
_COMPOSED = range(0xC0, 0x2FA1E)  # every other character that can be taken apart lies here
_HELD = 1 << 16  # pairs of what is held and the next token that are remembered


class Spelling:
    """What each token adds to a text.

    Of decomposed characters the last ones are held back, as the next token may change them. What is
    held is kept decomposed; elsewhere nothing ever is.
    """

    def __init__(self, vocabulary: Vocabulary, *, allow_unk: bool) -> None:
        self.tokens = ["", "", *vocabulary.tokens]
        if allow_unk:
            self.tokens[UNK] = vocabulary.token(UNK)
        self.composes = vocabulary.config.normalize == "nfd"
        self.is_plain = not self.composes and all(len(token) < 2 for token in self.tokens)
        self.push = lru_cache(_HELD)(self._push) if self.composes else self._spell

    def drawn(self) -> Iterator[tuple[int, str]]:
        """Every token that adds something, with its id."""
        return ((id, token) for id, token in enumerate(self.tokens) if id != EOS and token)

    @cached_property
    def alphabet(self) -> Sequence[str]:
        """The characters that a text may be written in."""
        characters = {*"".join(self.tokens)}
        if self.composes:
            found = (char for char in _decomposable() if {*_apart(char)} <= characters)
            characters |= {*found}
        return sorted(characters)

    def endings(self, held: str) -> Sequence[str]:
        """Return what the held text may become: itself first, then with tokens that change it."""
        if not held:
            return ("",)
        composed = normalize(held)
        others = self._begun.get(_apart(held), ())
        return (composed, *(char for char in others if char != composed))

    @cached_property
    def _begun(self) -> dict[str, list[str]]:
        """The characters of the alphabet that each decomposed one or part of it begins."""
        found = defaultdict(list)
        for char in self.alphabet:
            parts = _apart(char)
            for size in range(1, len(parts) + 1):
                found[parts[:size]].append(char)
        return found

    def _spell(self, held: str, token: str) -> tuple[str, str]:
        return token, held

    def _push(self, held: str, token: str) -> tuple[str, str]:
        composer = Composer()
        settled = []
        for part in held + token:
            settled = composer.push(part, 0.0)
        return "".join(char for char, _ in settled), token if settled else held + token


def _apart(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@cache
def _decomposable() -> list[str]:
    """The characters in NFC that are several in NFD."""
    others = (chr(code) for code in _COMPOSED if code not in _HANGUL)
    found = (char for char in others if unicodedata.decomposition(char)[:1] not in ("", "<"))
    return [*map(chr, _HANGUL), *(char for char in found if normalize(char) == char)]
