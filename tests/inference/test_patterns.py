"""Automata against `re.fullmatch`."""

import re
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn.errors import ConfigError
from charrnn.inference.patterns import compiled

ALPHABET = "ab1_ \n.]{}-가é\x00"


def matches(pattern: str, text: str, alphabet: str = ALPHABET) -> bool:
    automaton = compiled(pattern, alphabet)
    return automaton.accepts[automaton.walk(0, text)]


ATOMS = st.sampled_from(
    [
        *"ab1_ .가é", r"\.", r"\n", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\x61", r"\-",
        "[ab]", "[^a]", "[]a]", "[^]a]", "[a-c1]", r"[\d\s]", r"[^\w\n]", "[가-힣]", "()", "(?:)",
    ]
)  # fmt: skip
REPEATS = st.sampled_from(
    ["*", "+", "?", "{2}", "{0}", "{1,2}", "{,2}", "{2,}", "{,}", "*?", "+?", "??", "{1,3}?"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: f"({'|'.join(found)})"),
        st.builds("(?:{}){}".format, inner, REPEATS),
        st.builds("{}{}".format, ATOMS, REPEATS),
        st.builds("(?P<name_of_a_group>{}){}".format, ATOMS, REPEATS),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PATTERNS, st.lists(st.text(ALPHABET, max_size=6), min_size=4, max_size=8))
def test_an_automaton_accepts_what_fullmatch_does(pattern: str, texts: list[str]) -> None:
    try:
        wanted = re.compile(pattern)
    except re.error:  # the same name twice
        with pytest.raises(ConfigError, match="no regular expression"):
            compiled(pattern, ALPHABET)
        return
    automaton = compiled(pattern, ALPHABET)
    for text in texts:
        found = automaton.accepts[automaton.walk(0, text)]
        assert found == bool(wanted.fullmatch(text)), (pattern, text)


@pytest.mark.parametrize(
    "pattern",
    [
        "", "a|", "|a", "a||b", "()", "(a)(b)", "(a|(b|))*", "((a{2}){2})?", "a{", "a{}", "a{b}",
        "a{1", "a{,}", "a{1,b}", "{a}", "}", "]", "-", "[]]", "[^]]", "[]-]", r"[\]a]", r"[^\]]",
        "[a-b-]", "[.]", "[{}]", r"\]", r"\{", r"\x61", r"\u0061", r"\U00000061", r"\N{DIGIT ONE}",
        r"\141", r"\0", r"\061", r"\00", "[\\b]", r"\t|\n", "a**"[:2], ".", "(?:.|\n)*", "a{3}b?",
        r"[\w-]+", r"[^\d\s]+", "é", "[가-힣]", "(?P<x>a)|b",
    ],
)  # fmt: skip
def test_syntax_is_read_as_python_does(pattern: str) -> None:
    automaton, wanted = compiled(pattern, ALPHABET), re.compile(pattern)
    for size in range(4):
        for text in map("".join, product(ALPHABET, repeat=size)):
            assert automaton.accepts[automaton.walk(0, text)] == bool(wanted.fullmatch(text)), text


def test_characters_outside_the_alphabet_match_nothing() -> None:
    assert matches("c", "c", "abc")
    assert not matches("c", "c", "ab")
    assert not matches(".*", "acb", "ab")


def test_states_are_as_few_as_the_pattern_needs() -> None:
    assert len(compiled(r"[\s\S]*", ALPHABET).moves) == 2
    assert len(compiled(".{0,500}", ALPHABET).moves) == 501
    assert len(compiled("(?:ab){30,40}", ALPHABET).moves) == 81


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", r"cannot have backreferences: '\1'"),
        ("(?P<x>a)(?P=x)", "cannot have backreferences"),
        ("(?=a)", "cannot have look-around"),
        ("(?!a)b", "cannot have look-around"),
        ("(?<=a)b", "cannot have look-around"),
        ("(?<!a)b", "cannot have look-around"),
        ("(a)?(?(1)b|c)", "cannot have conditions"),
        ("(?>a)", "cannot have atomic groups"),
        ("a++", "cannot have possessive repeats"),
        ("a{2}+", "cannot have possessive repeats"),
        ("(?i)a", "cannot have flags or comments"),
        ("(?i:a)", "cannot have flags or comments"),
        ("(?#a)", "cannot have flags or comments"),
        ("^a", "cannot have anchors; the whole continuation always matches: '^'"),
        ("a$", "cannot have anchors"),
        (r"\ba", "cannot have anchors"),
        (r"a\Z", "cannot have anchors"),
        ("(a", "is no regular expression: missing )"),
        ("[a", "is no regular expression: unterminated character set"),
        ("*a", "is no regular expression: nothing to repeat"),
        ("a**", "is no regular expression: multiple repeat"),
        ("a{3,2}", "is no regular expression: min repeat greater than max repeat"),
        ("a{99999999999}", "is no regular expression"),
        ("a{6000}", "needs more than 5,000 states"),
        ("(?:){4000000000}", "needs more than 5,000 states"),
        ("(((){99}){99}){99}", "needs more than 5,000 states"),
        ("(a|b)*a(a|b){13}", "needs more than 5,000 states"),
        ("(" * 5000 + ")" * 5000, "nested too deep"),
    ],
)
def test_what_a_pattern_cannot_be_is_named(pattern: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as error:
        compiled(pattern, ALPHABET)
    assert str(error.value).startswith("regex ")
    assert "\n" not in str(error.value)
