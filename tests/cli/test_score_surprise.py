"""What `charrnn score` shows of every character or word: colours, marks, columns, pictures."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from charrnn.render.shading import columns
from tests.commands import Run, assert_one_line, call, on_a_terminal, posix
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

WIDE = "한국어 문장은 두 칸씩 차지한다 " * 5 + "and\na second line, e\u0323\u0301 too"
COLOUR = re.compile(r"\x1b\[[\d;]*m")


@posix
@pytest.mark.parametrize("term", ["xterm-256color", "xterm"])
@pytest.mark.slow
def test_a_terminal_gets_colours_a_legend_and_the_worst_places(trained: Path, term: str) -> None:
    shown = on_a_terminal("score", WIDE, "-c", trained, "--per-char", TERM=term, NO_COLOR="")
    plain = COLOUR.sub("", shown).replace("\r", "").split("\n")
    assert "\x1b" not in "".join(plain)
    legend = "bits  below 1  1 to 3  3 to 5  5 to 8  8 to 12  12 or more "
    assert plain[0] == legend
    text = plain[2 : plain.index("a second line, ẹ\u0301 too<EOS>") + 1]
    assert "".join(text) == WIDE.replace("\n", "\\n").replace("e\u0323", "ẹ") + "<EOS>"
    assert text[-2].endswith("and\\n")
    assert 70 < max(map(columns, text)) <= 80
    assert max(map(columns, plain)) <= 80
    assert re.fullmatch(r"\d+\.\d{3} bits per character, \d+ unknown", plain[len(text) + 2])
    rows = plain[len(text) + 5 :]
    assert re.fullmatch(r" *\d+\.\d\d  .*\S  +\S+ 0?\.\S+.*", rows[0])
    # Wherever a background is set so is the colour of the text, whatever the terminal's own is.
    assert all(
        ("48;5;" in code and "38;5;" in code) or code == "\x1b[0m" or term == "xterm"
        for code in COLOUR.findall(shown)
    )


@posix
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.slow
def test_without_colours_marks_stand_below_the_text(
    trained: Path, environment: dict[str, Any]
) -> None:
    text = "한 hello"
    shown = on_a_terminal("score", text, "-c", trained, "--per-char", **environment)
    assert "\x1b" not in shown
    lines = shown.replace("\r", "").split("\n")
    assert lines[2] == text + "<EOS>"
    bits = call("score", text, "-c", trained, "--per-char").splitlines()
    assert 0 < columns(lines[3]) <= columns(lines[2])
    first = float(bits[0].split("\t")[2])
    mark = max(
        (low, sign)
        for low, sign in ((0, " "), (1, "."), (3, ":"), (5, "+"), (8, "*"), (12, "#"))
        if low <= first
    )[1]
    assert lines[3].startswith(mark * 2)  # a wide character has two


TEXTS = ("The well, 한국 고양이", "", "he held")
WORDS = [["The", "well", ",", "한국", "고양이", "<EOS>"], ["<EOS>"], ["he", "held", "<EOS>"]]


def test_words_have_their_figures(run: Run, trained: Path) -> None:
    command = ("score", *TEXTS, "-c", trained)
    found = run(*command, "--per-word", "--json").objects()
    by_char = run(*command, "--per-char", "--json").objects()
    assert [[word["word"] for word in each["per_word"]] for each in found] == WORDS
    for each, other in zip(found, by_char, strict=True):
        assert "per_char" not in each
        assert "per_word" not in other
        words, characters = each["per_word"], other["per_char"]
        for name in ("log_prob", "bits", "entropy"):
            whole = math.fsum(word[name] for word in words)
            assert whole == pytest.approx(math.fsum(char[name] for char in characters))
        assert math.fsum(word["log_prob"] for word in words) == pytest.approx(each["log_prob"])
        assert max(word["rank"] for word in words) == max(char["rank"] for char in characters)
    unknown = [word["word"] for word in found[0]["per_word"] if "unk" in word]
    assert unknown == ["The", ",", "한국", "고양이"]


@pytest.mark.parametrize("unit", ["char", "word"])
def test_columns_of_characters_and_words_are_those_of_json(
    run: Run, trained: Path, unit: str
) -> None:
    command = ("score", *TEXTS, "a\tb\n", "-c", trained, f"--per-{unit}")
    header, *rows = run(*command, "--tsv").out.splitlines()
    names = header.split("\t")
    assert names == ["text_id", unit, "log_prob", "bits", "entropy", "rank", "unk"]
    found = [dict(zip(names, row.split("\t"), strict=True)) for row in rows]
    expected = [
        (number, place)
        for number, each in enumerate(run(*command, "--json").objects(), 1)
        for place in each[f"per_{unit}"]
    ]
    for fields, (number, place) in zip(found, expected, strict=True):
        assert fields["text_id"] == str(number)
        assert fields[unit] == place[unit].replace("\n", "\\n").replace("\t", "\\t")
        assert int(fields["rank"]) == place["rank"]
        assert int(fields["unk"]) == place.get("unk", 0)
        for name in ("log_prob", "bits", "entropy"):
            assert float(fields[name]) == pytest.approx(place[name], abs=1e-3)
    lines = run(*command).out.splitlines()
    assert [line.split("\t")[0] for line in lines if line] == [each[unit] for each in found]
    empty = run("score", "", "--no-eos", "-c", trained, f"--per-{unit}", "--tsv")
    assert empty.out == header + "\n"


@posix
@pytest.mark.slow
def test_a_terminal_gets_a_table_of_words_in_colours(trained: Path) -> None:
    command = ("score", TEXTS[0], "h\x1b[2J", "-c", trained, "--per-word")
    shown = on_a_terminal(*command, TERM="xterm-256color", NO_COLOR="")
    assert "48;5;" in shown
    plain = COLOUR.sub("", shown).replace("\r", "")
    assert r"\x1b[2J" not in plain  # signs are words
    assert "\x1b" not in plain
    rows = [line.split() for line in plain.splitlines()]
    assert rows[0] == ["bits", "entropy", "rank", "word"]
    assert [row[3] for row in rows[1:7]] == WORDS[0]
    without = on_a_terminal(*command, NO_COLOR="1")
    assert "48;5;" not in without
    assert plain == COLOUR.sub("", without).replace("\r", "")


def test_pictures_are_written_beside_the_usual_output(run: Run, trained: Path) -> None:
    command = ("score", "hello", "the old well", "-c", trained)
    plain = run(*command, "--json")
    found = run(*command, "--json", "--html", "a.html", "--svg", "a.svg")
    assert (found.code, found.err) == (0, "")
    for alone, beside in zip(found.objects(), plain.objects(), strict=True):
        tolerance = log_prob_tolerance(alone["chars"], terms=len("\n dehlortw") + 2 + 1 + 8)
        assert alone["log_prob"] == pytest.approx(beside["log_prob"], abs=tolerance)
        figures = {"log_prob", "prob", "bits_per_char", "perplexity", "token_log_prob"}
        assert {name: alone[name] for name in alone.keys() - figures} == {
            name: beside[name] for name in beside.keys() - figures
        }
    assert "data-tip=" in Path("a.html").read_text(encoding="utf-8")
    assert Path("a.svg").read_text(encoding="utf-8").startswith("<svg ")
    per_char = run(*command, "--per-char", "--json")
    assert run(*command, "--per-char", "--json", "--html", "a.html").out.count('"per_char"') == 2
    assert per_char.out.count('"per_char"') == 2


def test_a_picture_of_too_much_or_nowhere_is_one_line(run: Run, trained: Path) -> None:
    Path("long.txt").write_text("a" * 200_001)
    command = ("score", "-c", trained, "-f", "long.txt", "--html", "x.html")
    assert_one_line(run(*command), 2, "at most 200,000 characters")
    result = run("score", "hello", "-c", trained, "--svg", "long.txt/x.svg")
    assert_one_line(result, 1, "cannot write long.txt/x.svg: Not a directory")
