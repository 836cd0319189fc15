"""`charrnn score` in pipes and on terminals: JSON Lines, TSV, thresholds, colours and pictures."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.shading import columns

from .test_cli import (
    Run,
    assert_one_line,
    finish,
    folder,
    on_a_terminal,
    posix,
    run,
    start,
    trained,
)

__all__ = ["folder", "run", "trained"]  # fixtures

TEXTS = ["hello world", "", "zzzz", "the old well", "he held\tthe \\ door"]
ONE_MODEL = ("--tsv", "--sort", "--fail-over=1", "--field=text", "--html=x", "--svg=x")


def as_jsonl(objects: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


# JSON Lines


def test_json_lines_pass_their_fields_through(run: Run, trained: Path) -> None:
    given = [{"id": n, "body": text, "more": {"a": [1.5, None]}} for n, text in enumerate(TEXTS)]
    result = run("score", "-c", trained, "--field", "body", stdin=as_jsonl(given))
    plain = run("score", *TEXTS, "-c", trained, "--json").objects()
    assert (result.code, result.err) == (0, "")
    for found, before, alone in zip(result.objects(), given, plain, strict=True):
        assert list(found)[:3] == ["id", "body", "more"]
        assert {name: found[name] for name in before} == before
        assert "text" not in found
        del alone["text"]
        assert found.items() >= alone.items()


def test_json_lines_can_be_scored_again(run: Run, trained: Path) -> None:
    first = run("score", *TEXTS, "-c", trained, "--json").out
    again = run("score", "-c", trained, "--field", "text", stdin=first.encode()).out
    assert again == first


def test_json_lines_are_left_as_they_are(run: Run, trained: Path) -> None:
    line = '{"n": 123456789012345678901, "t": "e\u0301", "text": "a\\nb\\u2028"}'
    result = run("score", "-c", trained, "--field", "text", stdin=f"\ufeff\n{line}\r\n".encode())
    (found,) = result.objects()
    assert (found["n"], found["t"]) == (123456789012345678901, "e\u0301")
    assert found["text"] == "a\nb\u2028"
    assert found["chars"] == len("a\nb\u2028") + 1


def test_json_lines_from_a_packed_file_and_with_other_outputs(
    run: Run, trained: Path, folder: Path
) -> None:
    (folder / "x.jsonl.gz").write_bytes(gzip.compress(as_jsonl([{"t": text} for text in TEXTS])))
    command = ("score", "-c", trained, "--field", "t", "--file", "x.jsonl.gz")
    plain = run("score", "-c", trained, "--tsv", *TEXTS).out
    assert run(*command, "--tsv").out == plain
    (total,) = run(*command, "--total").objects()
    assert total["texts"] == len(TEXTS)
    assert [len(each["per_char"]) for each in run(*command, "--per-char").objects()] == [
        len(text) + 1 for text in TEXTS
    ]
    assert len(run(*command, "--adapt").objects()) == len(TEXTS)
    assert len(run(*command, "--context", "1,2").objects()) == 2


GOOD = '{"text": "fine"}\n'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 3 of standard input is no JSON: Expecting property name"),
        ('{"text": "a"} x', "is no JSON: Extra data at column 15"),
        ('"text"', "is no JSON object"),
        ("[1]", "is no JSON object"),
        ('{"body": "a"}', "has no text in 'text'; --field names the field"),
        ('{"text": 1}', "has no text in 'text'"),
        ('{"text": "a", "x": NaN}', "NaN is no number of JSON"),
        ('{"text": "a", "x": 1' + "0" * 5000 + "}", "is no JSON"),
        ('{"text": "\\ud800"}', "half a surrogate pair in 'text'"),
        ('{"text": "a", "x": ' + "[" * 900 + "]" * 900 + "}", "is nested too deep"),
        ('{"text": "a", "x": ' + "[" * 100_000, "is nested too deep"),
        ("\x1b[2J", "is no JSON: Expecting value at column 1"),
    ],
)
def test_a_bad_line_is_one_line_of_error_after_the_results_before_it(
    run: Run, trained: Path, line: str, words: str
) -> None:
    stdin = f"{GOOD}\n{line}\n{GOOD}".encode()
    result = run("score", "-c", trained, "--field", "text", stdin=stdin)
    assert [found["text"] for found in result.objects()] == ["fine"]
    result.out = ""
    assert_one_line(result, 1, words)
    assert "line 3 of standard input" in result.err


def test_half_a_surrogate_pair_elsewhere_passes_through(run: Run, trained: Path) -> None:
    line = rb'{"text": "a", "x": "\ud800"}'
    result = run("score", "-c", trained, "--field", "text", stdin=line)
    assert result.objects()[0]["x"] == "\ud800"


# Columns, order, thresholds


def test_columns_under_a_header(run: Run, trained: Path) -> None:
    header, *rows = run("score", *TEXTS, "-c", trained, "--no-eos", "--tsv").out.splitlines()
    fields = run("score", *TEXTS, "-c", trained, "--no-eos", "--json").objects()
    names = header.split("\t")
    assert names == [
        "log_prob", "bits_per_char", "perplexity", "chars", "unk", "eos", "text",
    ]  # fmt: skip
    assert [row.split("\t")[:6] for row in rows][1] == ["0.000000", "", "", "0", "0", "0"]
    for row, found in zip(rows, fields, strict=True):
        values = dict(zip(names, row.split("\t"), strict=True))
        assert int(values["chars"]) == found["chars"]
        assert float(values["log_prob"]) == pytest.approx(found["log_prob"], abs=1e-6)
    assert rows[-1].endswith("\the held\\tthe \\\\ door")


def test_columns_of_no_text_are_a_header(run: Run, trained: Path) -> None:
    assert run("score", "-c", trained, "--tsv").out.count("\n") == 1


@pytest.mark.parametrize("output", ["", "--json", "--tsv"])
def test_sorting_begins_with_the_most_surprising(run: Run, trained: Path, output: str) -> None:
    command = ("score", *TEXTS, "hello world", "-c", trained, "--no-eos", *output.split())
    plain, found = run(*command).out.splitlines(), run(*command, "--sort").out.splitlines()
    assert sorted(found) == sorted(plain)
    assert found != plain
    objects = run(*command[:-1], "--json", "--sort").objects() if output else []
    bits = [each["bits_per_char"] for each in objects]
    assert bits[:-1] == sorted(bits[:-1], reverse=True)
    assert not objects or objects[-1]["text"] == ""  # in which nothing surprises


@pytest.mark.parametrize("options", ["", "--json", "--tsv", "--per-char", "--sort"])
def test_above_the_threshold_is_exit_code_3_after_all_is_printed(
    run: Run, trained: Path, options: str
) -> None:
    command = ("score", *TEXTS, "-c", trained, *options.split())
    plain = run(*command)
    bits = [
        each["bits_per_char"] for each in run("score", *TEXTS, "-c", trained, "--json").objects()
    ]
    for limit, code in ((max(bits), 0), (sorted(bits)[-2], 3), (0.0, 3)):
        found = run(*command, "--fail-over", repr(limit))
        assert (found.code, found.out) == (code, plain.out)
    assert found.err == "5 results above 0 bits per character\n"


def test_the_threshold_of_a_sum_is_for_the_sum(run: Run, trained: Path) -> None:
    command = ("score", *TEXTS, "-c", trained, "--json")
    (total,) = run(*command, "--total").objects()
    bits = total["bits_per_char"]
    assert max(each["bits_per_char"] for each in run(*command).objects()) > bits + 0.01
    assert run(*command, "--total", "--fail-over", str(bits + 0.01)).code == 0
    assert run(*command, "--total", "--fail-over", str(bits - 0.01)).code == 3
    assert run(*command, "--context", "1,2", "--fail-over", "0").code == 3
    assert run("score", "", "-c", trained, "--no-eos", "--fail-over", "0").code == 0


@pytest.mark.parametrize(
    "options",
    [
        "a --field text", "--field text --lines", "--field text --split-on ;", "a --tsv --json",
        "a --tsv --per-char", "a --sort --total", "a --fail-over 1 --adapt", "a --html x --total",
        "a --svg x --context 3", "a --fail-over -1", "a --fail-over nan", "a --fail-over inf",
        "a --adapt --context 3", "a --context 3 --reset 3", "--field text --html x",
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_wrong_usage(run: Run, trained: Path, options: str) -> None:
    assert_one_line(run("score", "-c", trained, *options.split()), 2)
    assert not Path("x").exists()


@pytest.mark.parametrize("option", ONE_MODEL)
def test_several_models_only_classify(run: Run, trained: Path, option: str) -> None:
    result = run("score", "a", "-c", trained, "-c", "everyday", option)
    assert_one_line(result, 2, "go with one model")


# Many lines


MEMORY = """
import resource, sys
from charrnn.cli import main
code = main()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak >> (10 if sys.platform == "darwin" else 0), file=sys.stderr)
sys.exit(code)
"""


@posix
@pytest.mark.parametrize("options", [(), ("--total",), ("--field", "text")])
def test_six_times_the_lines_take_no_more_memory(
    trained: Path, folder: Path, options: tuple[str, ...]
) -> None:
    line = '{"text": "hello"}\n' if "--field" in options else "hello\n"
    peaks = []
    for size in (10_000, 60_000):
        (folder / "many").write_text(line * size)
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, "score", "-c", trained, "-f", "many", *options],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "--total" in options or done.stdout.count("\n") == size
        peaks.append(int(done.stderr))
    assert peaks[1] - peaks[0] < 10_000  # KB; 50,000 scores that are held take 30,000


BAR = """
from charrnn.cli import main, progress
progress.DELAY = 0
main()
"""


@posix
def test_a_terminal_gets_a_bar_while_a_pipe_gets_the_scores(trained: Path, folder: Path) -> None:
    (folder / "many").write_text("hello\n" * 5000)
    options = ("score", "-c", trained, "-f", "many", "--threads", "1")
    shown = on_a_terminal("-c", BAR, *options, "--total", module=())
    assert re.search(r"\d+%\|.*30\.0k", shown)
    assert shown.rstrip().splitlines()[-1].startswith("perplexity")
    assert "%|" not in on_a_terminal("-c", BAR, *options, module=())
    done = finish(start("-c", BAR, *options, "--total", module=()))
    assert (done.code, done.err) == (0, "")


# Colours and pictures


WIDE = "한국어 문장은 두 칸씩 차지한다 " * 5 + "and\na second line, e\u0323\u0301 too"
COLOUR = re.compile(r"\x1b\[[\d;]*m")


@posix
@pytest.mark.parametrize("term", ["xterm-256color", "xterm"])
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
    assert re.fullmatch(r"\d\.\d{3} bits per character", plain[len(text) + 2])
    rows = plain[len(text) + 5 :]
    assert re.fullmatch(r" *\d+\.\d\d  .*\S  +\S+ 0?\.\S+.*", rows[0])
    # Wherever a background is set so is the colour of the text, whatever the terminal's own is.
    assert all(
        ("48;5;" in code and "38;5;" in code) or code == "\x1b[0m" or term == "xterm"
        for code in COLOUR.findall(shown)
    )


@posix
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_marks_stand_below_the_text(
    trained: Path, environment: dict[str, Any]
) -> None:
    text = "한 hello"
    shown = on_a_terminal("score", text, "-c", trained, "--per-char", **environment)
    assert "\x1b" not in shown
    lines = shown.replace("\r", "").split("\n")
    assert lines[2] == text + "<EOS>"
    bits = finish(start("score", text, "-c", trained, "--per-char")).out.splitlines()
    assert 0 < columns(lines[3]) <= columns(lines[2])
    first = float(bits[0].split("\t")[2])
    mark = max(
        (low, sign)
        for low, sign in ((0, " "), (1, "."), (3, ":"), (5, "+"), (8, "*"))
        if low <= first
    )[1]
    assert lines[3].startswith(mark * 2)  # a wide character has two


def test_pictures_are_written_beside_the_usual_output(run: Run, trained: Path) -> None:
    command = ("score", "hello", "the old well", "-c", trained)
    plain = run(*command)
    found = run(*command, "--html", "a.html", "--svg", "a.svg")
    assert (found.code, found.out, found.err) == (0, plain.out, "")
    assert "data-tip=" in Path("a.html").read_text(encoding="utf-8")
    assert Path("a.svg").read_text(encoding="utf-8").startswith("<svg ")
    per_char = run(*command, "--per-char", "--json")
    assert run(*command, "--per-char", "--json", "--html", "a.html").out.count('"per_char"') == 2
    assert per_char.out.count('"per_char"') == 2


def test_a_picture_of_too_much_or_nowhere_is_one_line(run: Run, trained: Path) -> None:
    Path("long.txt").write_text("a" * 200_001)
    command = ("score", "-c", trained, "-f", "long.txt", "--html", "x.html")
    assert_one_line(run(*command), 2, "at most 200,000 characters")
    result = run("score", "hello", "-c", trained, "--svg", "no/x.svg")
    assert_one_line(result, 1, "no/x.svg")
