import unicodedata
from itertools import product

from charrnn.ids import UNK
from charrnn.inference.spelling import Spelling
from charrnn.text.vocabulary import UNK_CHARACTER, Vocabulary
from tests.conftest import CHARACTERS, JAMO, WORDS


def test_characters_and_words_are_settled_at_once() -> None:
    for kind, tokens in ((CHARACTERS, "ab"), (WORDS, ["ab", " c"])):
        spelling = Spelling(Vocabulary(tokens, kind), allow_unk=False)
        assert [*spelling.drawn()] == [*enumerate(tokens, start=2)]
        assert spelling.push("", tokens[0]) == (tokens[0], "")
        assert spelling.endings("") == ("",)
        assert [*spelling.alphabet] == sorted({*"".join(tokens)})


def test_unk_is_spelled_where_it_may_be_drawn() -> None:
    spelling = Spelling(Vocabulary("ab"), allow_unk=True)
    assert (UNK, UNK_CHARACTER) in [*spelling.drawn()]
    assert UNK_CHARACTER in spelling.alphabet


def test_decomposed_characters_compose_to_the_text() -> None:
    tokens = "ᄀᄂ\u1161\u11a8ae\u0301\u0323"
    spelling = Spelling(Vocabulary(tokens, JAMO), allow_unk=False)
    for drawn in product(tokens, repeat=4):
        text, held = "", ""
        for token in drawn:
            settled, held = spelling.push(held, token)
            text += settled
        composed = spelling.endings(held)[0]
        assert text + composed == unicodedata.normalize("NFC", "".join(drawn))


def test_the_alphabet_of_decomposed_characters_is_what_they_compose_to() -> None:
    spelling = Spelling(Vocabulary("ᄀ\u1161\u11a8e\u0301", JAMO), allow_unk=False)
    assert {*spelling.alphabet} == {*"ᄀ\u1161\u11a8가각eé\u0301"}
    assert {*spelling.endings("ᄀ")} == {*"ᄀ가각"}
    assert spelling.endings("ᄀ\u1161")[0] == "가"
    assert {*spelling.endings("ᄀ\u1161")} == {*"가각"}
    assert {*spelling.endings("e")} == {*"eé"}
    assert {*spelling.endings("x")} == {*"x"}  # of a prompt that the model cannot read
