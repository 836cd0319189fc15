"""`charrnn sample --interactive`, through a pipe and on a terminal."""

import os
import re
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Result, Run, assert_one_line, finish, posix, start

Talk = Callable[..., Result]


@pytest.fixture
def talk(run: Run, endless: Path) -> Talk:
    """A function that types lines into a session of texts of 8 characters."""

    def talk(*lines: str, options: tuple[str, ...] = ()) -> Result:
        typed = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        settings = ("--length", "8", "--seed", "5", *options)
        return run("sample", "-i", "-c", endless, *settings, stdin=typed)

    return talk


def texts(run: Run, model: Path, start: str, *seeds: int, **options: float) -> list[str]:
    """What `sample` draws without a session."""
    settings = {"length": 8, **options}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    return [run("sample", start, "-c", model, "--seed", seed, *words).out for seed in seeds]


def test_every_line_is_continued_and_an_empty_one_repeats(
    talk: Talk, run: Run, endless: Path
) -> None:
    done = talk("he", "", "", "we")
    assert (done.code, done.err) == (0, "")
    expected = texts(run, endless, "he", 5, 6, 7) + texts(run, endless, "we", 8)
    assert done.out == "".join(expected)
    assert len({*expected}) == 4


def test_a_prompt_is_continued_before_anything_is_typed(
    talk: Talk, run: Run, endless: Path
) -> None:
    done = talk("", options=("the",))
    assert done.out == "".join(texts(run, endless, "the", 5, 6))
    assert talk().out == ""
    assert talk("").out == "".join(texts(run, endless, "", 5))


def test_settings_hold_from_then_on(talk: Talk, run: Run, endless: Path) -> None:
    done = talk("/temp 0.5", "he", "/length 3", "", "/seed 40", "/top-k 2", "", "/top-k all", "")
    (first,) = texts(run, endless, "he", 5, temperature=0.5)
    (second,) = texts(run, endless, "he", 6, temperature=0.5, length=3)
    (third,) = texts(run, endless, "he", 40, temperature=0.5, length=3, top_k=2)
    (fourth,) = texts(run, endless, "he", 41, temperature=0.5, length=3)
    assert done.out == first + second + third + fourth
    assert done.err == ""


def test_several_temperatures_are_compared(talk: Talk, run: Run, endless: Path) -> None:
    command = ("sample", "he", "-c", endless, "--length", "8", "--seed", "5", "-t", "0.3,1")
    expected = run(*command).out
    assert talk("/temperature 0.3,1", "he").out == expected
    assert talk("he", options=("-t", "0.3,1")).out == expected


def test_a_stop_text_comes_and_goes(talk: Talk, run: Run, endless: Path) -> None:
    (whole,) = texts(run, endless, "he", 5)
    stop = whole[4:6]
    done = talk(f"/stop {stop}", "he", "/stop", "/seed 5", "")
    assert done.out == f"he{whole[2:].partition(stop)[0]}\n{whole}"


def test_several_stop_texts_come_and_go(talk: Talk, run: Run, endless: Path) -> None:
    (whole,) = texts(run, endless, "he", 5)
    one, two = whole[5:7], whole[4:6]
    done = talk(f"/stop {one}", f"/stop {two}", "he", "/stop", "/seed 5", "")
    cut = run("sample", "he", "-c", endless, "--seed", 5, "-n", 8, "--stop", one, "--stop", two).out
    assert done.out == cut + whole
    assert len(cut) < len(whole)


def test_what_is_typed_may_hold_escapes(talk: Talk, run: Run, endless: Path) -> None:
    done = talk(r"he\nwe\\n", "/start a\\tb", r"/stop \u0068", "")
    assert done.out.startswith("he\nwe\\n")
    assert done.out.splitlines()[2].startswith("a\tb")
    assert "h" not in done.out.splitlines()[3].removeprefix("a\tb")
    assert "unknown to the model: '\\n', '\\\\', 'n'\n" in done.err


def test_settings_do_the_same_in_any_order(talk: Talk) -> None:
    settings = ("/temperature 0.5", "/length 5", "/top-k 2", "/top-p 0.5", "/stop e", "/seed 7")
    shown = ("/help", "/temperature", "/length", "/top-k", "/top-p", "/seed")
    pairs = [*combinations(settings, 2), *product(settings, shown)]
    reset = ("/temperature 1", "/length 8", "/top-k all", "/top-p 1", "/stop", "/seed 5")

    both = talk(*(line for one in pairs for line in (*reset, *one, "he")))
    back = talk(*(line for one in pairs for line in (*reset, *reversed(one), "he")))
    assert both.out == back.out
    assert both.err.count("error") == 0


def test_any_text_may_be_a_start(talk: Talk, run: Run, endless: Path) -> None:
    done = talk("/start /help", " he ", "/start", "/next")
    expected = [
        texts(run, endless, start, seed) for start, seed in (("/help", 5), (" he ", 6), ("", 7))
    ]
    shown = run("sample", "", "--next", "-c", endless).out.splitlines()
    numbered = "".join(f"{row:>2}  {line}\n" for row, line in enumerate(shown, start=1))
    assert done.out == "".join(text for (text,) in expected) + numbered


def test_go_goes_on_from_the_last_text(talk: Talk, run: Run, endless: Path) -> None:
    done = talk("he", "/go", "/go")
    (first,) = texts(run, endless, "he", 5)
    (second,) = texts(run, endless, first.strip("\n"), 6)
    (third,) = texts(run, endless, second.strip("\n"), 7)
    assert done.out == first + second + third


def test_pick_takes_one_of_what_may_follow(talk: Talk, run: Run, endless: Path) -> None:
    (found,) = run("sample", "he", "-c", endless, "--next", "--json").objects()
    number = next(n for n, item in enumerate(found["next"], 1) if len(item["char"]) == 1)
    picked = found["next"][number - 1]["char"]
    done = talk("he", "/next", f"/pick {number}", "")
    shown = run("sample", "he", "-c", endless, "--next").out.splitlines()
    numbered = "".join(f"{row:>2}  {line}\n" for row, line in enumerate(shown, start=1))
    (first,) = texts(run, endless, "he", 5)
    assert done.out == first + numbered + "".join(texts(run, endless, "he" + picked, 6, 7))


def test_undo_goes_back_to_the_text_before(talk: Talk, run: Run, endless: Path) -> None:
    done = talk("he", "we", "/go", "/undo", "/undo", "", "/undo", "/go")
    (he,), (we,) = texts(run, endless, "he", 5), texts(run, endless, "we", 6)
    (went,) = texts(run, endless, we.strip("\n"), 7)
    (again,) = texts(run, endless, "he", 8)
    (last,) = texts(run, endless, he.strip("\n"), 9)
    assert done.out == he + we + went + we + he + again + he + last
    assert done.err == ""


def test_constraints_hold_from_then_on(talk: Talk, run: Run, endless: Path) -> None:
    done = talk("/regex l+o", "he", "/regex", "/ban el", "", "/ban", "/min-p 1", "")
    first, second, third = done.out.splitlines()
    assert re.fullmatch("hel+o", first)
    assert not {*second[2:]} & {*"el"}
    assert [third + "\n"] == texts(run, endless, "he", 7, min_p=1)
    both = talk("/stop e", "/regex l+")
    assert both.err == "error: regex and stop cannot be combined\n"


def test_colours_are_for_terminals(talk: Talk, run: Run, endless: Path) -> None:
    done = talk("/colour", "he", "/colour")
    assert done.out == "".join(texts(run, endless, "he", 5))
    assert done.err == "colour on\ncolour off\n"


def test_messages_go_to_stderr(talk: Talk) -> None:
    done = talk("/temp", "/len", "/top-k", "/top-p", "/seed", "/help")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("temperature 0.8\nlength 8\ntop-k all\ntop-p 1.0\nseed 5\n")
    for command in ("/start", "/next", "/temp", "/length", "/stop", "/quit", "Enter", "Ctrl-C"):
        assert command in done.err


def test_quit_ends(talk: Talk) -> None:
    for command in ("/quit", "/q"):
        done = talk(command, "he")
        assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/paint", "unknown command: /paint (type /help"),
        ("/", "unknown command: / (type /help"),
        ("/s", "unknown command: /s; did you mean '/start' or '/seed' or '/stop'? (type /help"),
        ("/no-repeat x", "no-repeat must be a number, not 'x'"),
        ("/top 1", "unknown command: /top; did you mean '/top-k' or '/top-p'? (type /help"),
        ("/lenght 1", "unknown command: /lenght; did you mean '/length'?"),
        ("/temp hot", "temperature must be a number, or several separated by commas, not 'hot'"),
        ("/temp -1", "temperature must be at least 0"),
        ("/length x", "length must be a number, not 'x'"),
        ("/length -1", "length must be"),
        ("/top-k 0", "top-k must be"),
        ("/top-p 0", "top-p must be above 0"),
        ("/seed -1", "seed must be"),
        ("/pick x", "pick must be a number, not 'x'"),
        ("/pick", "pick must be a number"),
        ("/pick 0", "pick must be a whole number from 1 to"),
        ("/pick 99", "pick must be a whole number from 1 to"),
        ("/undo", "there is no previous text"),
        ("/regex (?=a)", "regex cannot have look-around"),
        ("/regex [", "regex is no regular expression"),
        ("/min-p 2", "min-p must be at least 0 and at most 1"),
        ("/seed x", "seed must be a number, not 'x'"),
        ("/seed " + "9" * 30, "seed must be"),
        ("/seed " + "9" * 5000, "seed must be a number"),
        ("/length " + "9" * 5000, "length must be a number"),
        ("\udcff", "not valid Unicode"),
        ("/stop \udcff", "not valid Unicode"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    talk: Talk,
    run: Run,
    endless: Path,
    line: str,
    words: str,
) -> None:
    done = talk("he", line, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith("error: ")
    assert words in done.err
    assert done.out.splitlines()[0] == texts(run, endless, "he", 5)[0].strip("\n")
    assert [text[:2] for text in done.out.splitlines()] == ["he", "he"]


def test_no_stretch_is_written_twice_until_that_is_off(talk: Talk, run: Run, endless: Path) -> None:
    done = talk("/no-repeat 2", "/no-repeat", "he", "/regex h+", "/no off", "/no", "/seed 5", "")
    expected = texts(run, endless, "he", 5, no_repeat=2) + texts(run, endless, "he", 5)
    assert done.out == "".join(expected)
    assert expected[0] != expected[1]
    assert done.err.splitlines() == [
        "no-repeat 2", "error: regex and no-repeat cannot be combined", "no-repeat off",
    ]  # fmt: skip


def test_stdin_has_the_encoding_that_is_named(run: Run, endless: Path) -> None:
    command = ("sample", "-i", "-c", endless, "--length", "0", "--encoding")
    assert run(*command, "cp949", stdin="가\r\n나".encode("cp949")).out == "가\n나\n"
    assert run(*command, "utf-16", stdin="가\n".encode("utf-16")).out == "가\n"
    assert_one_line(run(*command, "klingon"), 2, "klingon")
    assert_one_line(run(*command, "rot13"), 2, "rot13")
    done = run(*command, "utf-16", stdin="가\n".encode("utf-16") + b"x")
    assert (done.code, done.err.splitlines()[-1]) == (
        1, "error: standard input is not valid UTF-16",
    )  # fmt: skip


def test_stdin_cannot_be_prompt_and_session(run: Run, endless: Path) -> None:
    assert_one_line(run("sample", "-", "-i", "-c", endless), 2, "--interactive")


def test_nothing_goes_on_from_nothing(talk: Talk) -> None:
    done = talk("/go", "/undo")
    assert (done.out, done.err.count("error: there is no text to continue yet")) == ("", 1)
    unknown = talk(*(f"/pick {number}" for number in range(1, 14)))
    assert unknown.err.count("cannot be continued; pick another") >= 1


# On a terminal


class Terminal:
    """A session on a terminal of its own, as its user has it."""

    def __init__(self, *args: str | Path) -> None:
        import pty
        import termios

        self.leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 80))
        streams: dict[str, Any] = {"stdin": follower, "stdout": follower, "stderr": follower}
        env = {**os.environ, "TERM": "dumb", "COLUMNS": "80", "INPUTRC": os.devnull}
        self.process = start(*args, env=env, **streams)
        os.close(follower)
        self.shown = ""

    def expect(self, pattern: str) -> str:
        """Read until a pattern is shown, and return all up to its end."""
        while not (found := re.search(pattern, self.shown, re.DOTALL)):
            ready, _, _ = select.select([self.leader], [], [], 30)
            assert ready, f"{pattern!r} is not in {self.shown!r}"
            self.shown += os.read(self.leader, 1 << 16).decode()
        text, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return text

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())

    def interrupt(self) -> str:
        """Press Ctrl-C until there is another prompt: a line editor may miss it as it starts."""
        while True:
            self.process.send_signal(signal.SIGINT)
            if select.select([self.leader], [], [], 5)[0]:
                return self.expect(r"\r\n> $")


@pytest.fixture
def terminal(endless: Path) -> Iterator[Terminal]:
    found = Terminal("sample", "-i", "-c", endless, "--length", "5", "--seed", "1")
    yield found
    found.process.kill()
    found.process.wait()
    os.close(found.leader)


@posix
def test_a_terminal_asks_and_answers_until_ctrl_d(terminal: Terminal) -> None:
    assert "/help: commands" in terminal.expect("> $")
    terminal.type("he\n")
    assert re.search(r"\r\nhe.{5}\r\n", terminal.expect(r"\r\n> $"), re.DOTALL)
    terminal.type("\n")
    assert re.search(r"\r\nhe.{5}\r\n", terminal.expect(r"\r\n> $"), re.DOTALL)
    terminal.type("\x04")
    assert terminal.process.wait(timeout=60) == 0


@posix
@pytest.mark.slow
def test_ctrl_c_ends_a_text_and_not_the_session(terminal: Terminal) -> None:
    terminal.expect("> $")
    terminal.type("/length 1000000000\n")
    terminal.expect("> $")
    terminal.type("he\n")
    terminal.expect("\nhe.{50}")
    terminal.interrupt()
    terminal.type("the we")
    terminal.expect("the we")
    terminal.interrupt()
    terminal.type("/length 5\n")
    terminal.expect("/length 5\r\n")
    terminal.type("\n")
    terminal.expect(r"\nhe.{5}\r\n> $")
    terminal.type("/quit\n")
    assert terminal.process.wait(timeout=60) == 0


@posix
@pytest.mark.slow
def test_the_arrow_up_brings_the_last_line_back(terminal: Terminal) -> None:
    pytest.importorskip("readline")
    terminal.expect("> $")
    terminal.type("/length 0\n")
    terminal.expect("> $")
    terminal.type("the well\n")
    terminal.expect(r"\nthe well\r\n> $")
    terminal.type("\x1b[A\x1b[A\x1b[B and\n")  # up, up, down
    assert terminal.expect(r"\r\n> $").endswith("\r\nthe well and\r\n> ")


@posix
@pytest.mark.slow
def test_control_characters_are_spelled_out(terminal: Terminal) -> None:
    terminal.expect("> $")
    terminal.type("/length 0\n")
    terminal.expect("> $")
    terminal.type("/start x\x16\x1b[2J\n")  # Ctrl-V takes the next key as it is
    assert terminal.expect(r"x\\x1b\[2J\r\n> $")


@posix
@pytest.mark.slow
def test_only_texts_go_to_a_file(endless: Path, folder: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    process = start("sample", "-i", "-c", endless, "--length", "3", stdin=follower)
    os.write(leader, b"he\n/quit\n")
    result = finish(process)
    os.close(follower)
    os.close(leader)
    assert re.fullmatch(r"he.{3}\n", result.out, re.DOTALL)
    assert result.err.endswith("> > ")


@posix
@pytest.mark.slow
def test_a_session_whose_reader_leaves_ends(endless: Path) -> None:
    process = start("sample", "-i", "-c", endless, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    process.stdin.write(b"he\n")
    result = finish(process)
    assert (result.code, result.err) == (141, "")


@posix
def test_sigterm_ends_a_session(endless: Path) -> None:
    process = start("sample", "he", "-i", "-c", endless, "-n", "1000000000", stdin=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(2)
    process.send_signal(signal.SIGTERM)
    result = finish(process)
    assert (result.code, result.err) == (143, "")
