"""Masks against all texts there are."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import pytest

from charrnn.config import VocabularyConfig
from charrnn.ids import EOS, UNK
from charrnn.inference.matching import Match, Matcher
from charrnn.inference.patterns import compiled
from charrnn.inference.spelling import Spelling
from charrnn.text.vocabulary import UNK_CHARACTER, Vocabulary
from tests.conftest import CHARACTERS, JAMO, WORDS


def matcher(
    tokens: Sequence[str], kind: VocabularyConfig, pattern: str, *, allow_unk: bool = False
) -> Matcher:
    spelling = Spelling(Vocabulary(tokens, kind), allow_unk=allow_unk)
    return Matcher(spelling, compiled(pattern, spelling.alphabet))


PATTERNS = [
    "", "a", "ab|ba", "(ab)+", "a{2,4}", "[^a]*", "b?a+", "(a|bb)*", "abab|b", ".*", "aaaa?", "c",
    "a*b", "(ab|a)(b|ba)?", "x*a",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("tokens", "kind"), [("ab", CHARACTERS), (["a", "ab", "bb"], WORDS), (["aa", "b"], WORDS)]
)
def test_a_token_may_come_where_a_match_that_fits_begins_so(
    tokens: Sequence[str], kind: VocabularyConfig, pattern: str
) -> None:
    length, found = 4, matcher(tokens, kind, pattern)
    matches = re.compile(pattern).fullmatch

    @cache
    def can_match(text: str) -> bool:
        if len(text) > length:
            return False
        return bool(matches(text)) or any(can_match(text + token) for token in tokens)

    def check(text: str, drawn: tuple[str, ...]) -> None:
        match = Match(found, "")
        for token in drawn:
            match.push(token)
        allowed = match.allowed(length - len(text))
        assert allowed[EOS] == bool(matches(text))
        assert not allowed[UNK]
        for id, token in enumerate(tokens, start=2):
            is_on_the_way = can_match(text + token)
            only_ends = matches(text) and len(text + token) > length
            assert is_on_the_way <= allowed[id] <= bool(is_on_the_way or only_ends)
            if is_on_the_way and len(text + token) < length:
                check(text + token, (*drawn, token))

    check("", ())


JAMO_TOKENS = "ᄀᄂ\u1161\u11a8a"


@pytest.mark.parametrize("prompt", ["", "나"])
@pytest.mark.parametrize(
    "pattern",
    ["[가-힣]{2}", "가각", ".*", "a?각", "[^가]*", "(나|가a)+", "ᄀ", "[가-힣]*a", "각|가나"],
)
def test_a_decomposed_character_may_come_where_a_match_that_fits_begins_so(
    pattern: str, prompt: str
) -> None:
    length, found = 2, matcher(JAMO_TOKENS, JAMO, pattern)
    matches = re.compile(pattern).fullmatch
    start = unicodedata.normalize("NFD", prompt)

    def written(drawn: str) -> str:
        return unicodedata.normalize("NFC", start + drawn)[len(prompt) :]

    @cache
    def can_match(drawn: str) -> bool:
        if len(written(drawn)) > length or len(drawn) > 6:
            return False
        whole = bool(matches(written(drawn)))
        return whole or any(can_match(drawn + token) for token in JAMO_TOKENS)

    def check(drawn: str) -> None:
        match = Match(found, start)
        for token in drawn:
            match.push(token)
        settled = Spelling(Vocabulary(JAMO_TOKENS, JAMO), allow_unk=False)
        size, held = 0, start
        for token in drawn:
            out, held = settled.push(held, token)
            size += len(out)
        allowed = match.allowed(len(prompt) + length - size)
        assert allowed[EOS] == bool(matches(written(drawn)))
        for id, token in enumerate(JAMO_TOKENS, start=2):
            is_on_the_way = can_match(drawn + token)
            begins_another = written(drawn + token)[: len(written(drawn))] == written(drawn)
            only_ends = matches(written(drawn)) and begins_another
            assert is_on_the_way <= allowed[id] <= bool(is_on_the_way or only_ends)
            if is_on_the_way and len(drawn) < 3:
                check(drawn + token)

    check("")


def test_what_nothing_can_follow_is_over() -> None:
    match = Match(matcher(JAMO_TOKENS, JAMO, "가"), "")
    match.push("ᄀ")
    match.push("\u1161")
    ends = match.allowed(9)
    assert ends.tolist() == [True, False, True, True, True, False, True]  # no final: 각 is another
    assert not match.is_over
    match.push("ᄂ")
    assert match.is_over


def test_unk_is_a_character_where_it_may_be_drawn() -> None:
    for allow_unk in (False, True):
        match = Match(matcher("ab", CHARACTERS, f"[{UNK_CHARACTER}a]", allow_unk=allow_unk), "")
        assert match.allowed(1).tolist() == [False, allow_unk, True, False]


def test_rows_are_made_once() -> None:
    found = matcher("ab", CHARACTERS, "[ab]*")
    one, other = Match(found, ""), Match(found, "")
    one.push("a")
    one.push("b")
    other.push("b")
    one.allowed(3)
    assert one._matcher.row(one._state) is other._matcher.row(other._state)
