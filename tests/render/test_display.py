"""What a terminal shows, and what it must never be shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.inference.scores import Score
from charrnn.render import display


@given(st.text())
def test_visible_text_cannot_drive_a_terminal(text: str) -> None:
    shown = display.visible(text)
    assert not any(
        ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown if char not in "\n\t"
    )
    assert display.visible(shown) == shown


def test_only_a_terminal_of_colours_shows_a_faint_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert display.dim("hello") == "hello"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert display.dim("hello") == "\x1b[2mhello\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert display.dim("hello") == "hello"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert display.dim("hello") == "hello"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb", r"a\rb"),
        ("\u202eabc", r"\u202eabc"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("\ufeff", r"\ufeff"),
        ("\U000e0001", r"\U000e0001"),
        ("co\u00adop \u05d0\u200f! \u0600\u0661 🏴\U000e0067\U000e0062\U000e007f ❤\ufe0f", None),
        ("\udcff", r"\udcff"),
        ("한국어 é 👩\u200d👩\u200d👧 می\u200cخواهم\u3000\n\t", None),
    ],
)
def test_visible_spells_out_controls_only(text: str, shown: str | None) -> None:
    assert display.visible(text) == (text if shown is None else shown)


@given(st.text())
def test_a_text_spelled_out_is_one_line_and_can_be_read_back(text: str) -> None:
    shown = display.spelled_out(text)
    assert not set("\n\r\t") & set(shown)
    names = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
    characters = iter(shown)
    assert "".join(names[next(characters)] if c == "\\" else c for c in characters) == text


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    display.error("this\nis\x1b wrong\n")
    assert capsys.readouterr() == ("", "error: this\\nis\\x1b wrong\n")


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 lines"), (1, "1 line"), (1234, "1,234 lines")]
)
def test_count(number: int, words: str) -> None:
    assert display.quantity(number, "line") == words


def scored(text: str, *log_probs: float) -> tuple[str, Score]:
    return text, Score(text, text, np.array(log_probs), unk=0, eos=False)


def test_the_table_begins_with_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    display.score_table([scored("ab", -3.0, -2.0), scored("cd", -1.0, -2.0), scored("")])
    out, err = capsys.readouterr()
    heads, *rows = [line.split() for line in out.splitlines()]
    assert heads == ["log", "P", "bits/char", "of", "the", "best", "text"]
    assert rows == [
        ["0.00", "-", "1"],
        ["-3.00", "2.164", "0.0498", "cd"],
        ["-5.00", "3.607", "0.00674", "ab"],
    ]
    assert err == ""
    assert "\x1b" not in out


def test_the_table_takes_no_text_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    display.score_table([scored("[bold]a[/bold]", -1.0), scored(":smile:", -2.0)])
    out = capsys.readouterr().out
    assert "[bold]a[/bold]" in out
    assert ":smile:" in out


def test_details_of_one_score(capsys: pytest.CaptureFixture[str]) -> None:
    display.score_details(*scored("a\x1b", -1.0, -1.0))
    out = capsys.readouterr().out
    assert r"a\x1b" in out
    assert "-2.0000 nats" in out
    assert "0.1353" in out
    display.score_details(*scored(""))
    assert "bits per character  -\n" in capsys.readouterr().out


LONG = "▁▁▂▂▂▃▃▄▄▄▅▅▅▆▆▇▇▇██"


@pytest.mark.parametrize(
    ("values", "bars"),
    [([1.0], "▁"), ([2, 2], "▁▁"), ([0, 7], "▁█"), ([3, 1, 2], "█▁▅"), ([*range(1000)], LONG)],
)
def test_a_sparkline_spans_its_values(values: list[float], bars: str) -> None:
    assert display.sparkline(values) == bars
