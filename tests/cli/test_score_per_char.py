"""What `charrnn score` shows of every character: colours, marks below the text, pictures."""

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
