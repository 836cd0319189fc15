"""The texts that `charrnn score` is given: files, standard input, JSON Lines, and many of them."""

import gzip
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charrnn import cli
from charrnn.cli.score_input import Given, Sources, blocks
from charrnn.config import LINES
from charrnn.parallel import threads
from tests.commands import TEXTS, Run, assert_one_line, finish, on_a_terminal, posix, start


def as_jsonl(objects: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


# Files and standard input


def test_score_files_and_stdin(run: Run, trained: Path, folder: Path) -> None:
    (folder / "two.txt").write_text("hello\n\nworld\n")

    def names(*args: str, stdin: bytes = b"") -> list[str]:
        result = run("score", "-c", trained, "--json", *args, stdin=stdin)
        return [fields["text"] for fields in result.objects()]

    assert names("--file", "two.txt") == ["hello", "", "world"]
    assert names("--file", "two.txt", "--whole") == ["two.txt"]
    assert names("first", "--file", "-", stdin=b"a\r\nb") == ["first", "a", "b"]
    assert names(stdin=b"a\nb\n") == ["a", "b"]
    assert names(stdin=b"") == []
    assert names("-", "last", stdin=b"a\nb\n") == ["last", "a", "b"]
    assert names("--whole", stdin=b"a\nb\n") == ["-"]
    (folder / "empty.txt").write_text("")
    for options in ((), ("--eos",), ("--streams", "2"), ("--per-char",)):
        assert names("--whole", *options) == []
        assert names("--whole", *options, "--file", "empty.txt") == ["empty.txt"]
    assert run("score", "-c", trained, "--whole").out == ""


def test_a_text_that_names_a_file_is_an_error(run: Run, trained: Path, folder: Path) -> None:
    (folder / "two.txt").write_text("hello\n")
    (folder / "hello").mkdir()
    result = run("score", "hello", "two.txt", "-c", trained)
    assert_one_line(result, 2, "two.txt is a file; did you mean --file two.txt?")
    assert run("score", "hello", "-c", trained).code == 0  # as a folder cannot be scored
    assert run("score", "-c", trained, stdin=b"two.txt").out.split("\t")[2] == "two.txt"
    assert_one_line(run("score", "-", "--file", "-", "-c", trained), 2, "read only once")


class SlowPipe(io.RawIOBase):
    """Standard input whose lines come one at a time; notes what has been printed before each."""

    def __init__(self, lines: list[bytes], printed: Callable[[], str]) -> None:
        self.lines, self.printed, self.seen = lines, printed, [""]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.seen.append(self.seen[-1] + self.printed())
        line = self.lines.pop(0) if self.lines else b""
        buffer[: len(line)] = line
        return len(line)


@pytest.mark.parametrize(
    ("options", "make"),
    [
        ("", "{}"),
        ("--json", "{}"),
        ("--tsv", "{}"),
        ("--field text", '{{"text": "{}"}}'),
        ("--adapt", "{}"),
        ("-c everyday", "{}"),
    ],
)
def test_results_come_as_the_lines_do(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: str,
    make: str,
) -> None:
    lines = [f"{make.format(word)}\n".encode() for word in ("hello", "held", "the", "door")]
    pipe = SlowPipe(lines, lambda: capfd.readouterr().out)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
    monkeypatch.setattr(sys, "argv", ["charrnn", "score", "-c", str(trained), *options.split()])
    monkeypatch.setattr(threads, "use_one_blas_thread", lambda: None)
    assert cli.main() == 0
    header = options == "--tsv"
    counts = [shown.count("\n") - header * bool(shown) for shown in pipe.seen]
    assert counts[1:6] == [0, 1, 2, 3, 4]


def test_more_texts_than_a_block(run: Run, trained: Path) -> None:
    lines = [f"hello {number}" for number in range(4_100)]
    result = run("score", "-c", trained, "--threads", "1", stdin="\n".join(lines).encode())
    assert [line.split("\t")[2] for line in result.out.splitlines()] == lines


def test_blocks_begin_small_and_hold_what_has_come() -> None:
    text, wait = Given("ab", "ab"), None
    sizes = [len(block) for block in blocks([text] * 20_000)]
    assert sizes[:4] == [64, 128, 256, 512]
    assert max(sizes) == 4096
    assert sum(sizes) == 20_000
    assert [len(block) for block in blocks([text, text, wait, wait, text])] == [2, 1]
    long = Given("", "a" * 1000)
    assert [len(block) for block in blocks([long] * 30)] == [5, 9, 16]
    assert [len(block) for block in blocks([])] == []


@posix
@pytest.mark.parametrize("separator", [LINES, ";"])
def test_a_named_pipe_gives_what_has_come(folder: Path, separator: str) -> None:
    os.mkfifo("pipe")
    written = threading.Event()

    def write() -> None:
        with Path("pipe").open("w", buffering=1) as pipe:
            pipe.write(f"a{separator}b{separator} rest\n")
            written.wait(60)
            pipe.write(f"c{separator}")

    writer = threading.Thread(target=write)
    writer.start()
    arriving = blocks(Sources([], [Path("pipe")], separator, "utf-8", None).arriving())
    assert next(arriving)[0].text == "a"  # before the rest is written
    written.set()
    assert [given.text for block in arriving for given in block][-1].endswith("c")
    writer.join()


@posix
@pytest.mark.slow
def test_a_terminal_gets_a_table_of_what_is_there_soon_and_lines_of_the_rest(
    trained: Path, folder: Path
) -> None:
    (folder / "few").write_text("hello\n" * 3)
    (folder / "many").write_text(("hello" * 800 + "\n") * 9)
    command = ("score", "-c", trained, "--threads", "1", "-f")
    assert "of the best" in on_a_terminal(*command, "few")
    shown = on_a_terminal(*command, "many").splitlines()
    assert len(shown) == 9
    assert all(line.count("\t") == 2 for line in shown)


# JSON Lines


def test_json_lines_pass_their_fields_through(run: Run, trained: Path) -> None:
    given = [{"id": n, "body": text, "more": {"a": [1.5, None]}} for n, text in enumerate(TEXTS)]
    result = run("score", "-c", trained, "--field", "body", stdin=as_jsonl(given))
    plain = run("score", *TEXTS, "-c", trained, "--json").objects()
    assert result.code == 0
    for found, before, alone in zip(result.objects(), given, plain, strict=True):
        assert list(found)[:3] == ["id", "body", "more"]
        assert {name: found[name] for name in before} == before
        assert "text" not in found
        del alone["text"]
        assert {name: found[name] for name in alone} == pytest.approx(alone, rel=1e-5)


def test_json_lines_can_be_scored_again(run: Run, trained: Path) -> None:
    first = run("score", *TEXTS, "-c", trained, "--json")
    again = run("score", "-c", trained, "--field", "text", stdin=first.out.encode())
    for found, expected in zip(again.objects(), first.objects(), strict=True):
        assert list(found) == list(expected)
        assert found.pop("text") == expected.pop("text")
        assert found == pytest.approx(expected, rel=1e-5)


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


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.csv", 'id,"text"\r\n1,"hello, ""world"""\r\n2,"the\r\nwell"\r\n'),
        ("x.tsv", 'id\ttext\n1\thello, "world"\n2\tthe\\nwell\n'),
        (
            "x.json",
            '[{"id": "1", "text": "hello, \\"world\\""},\n{"id": "2", "text": "the\\nwell"}]',
        ),
    ],
)
def test_records_of_tables_and_arrays_are_those_of_json_lines(
    run: Run, trained: Path, folder: Path, name: str, data: str
) -> None:
    (folder / name).write_bytes(data.encode())
    texts = ['hello, "world"', r"the\nwell" if name == "x.tsv" else "the\nwell"]
    lines = as_jsonl([{"id": str(n), "text": text} for n, text in enumerate(texts, start=1)])
    command = ("score", "-c", trained, "--field", "text")
    expected = run(*command, stdin=lines).objects()
    assert [*expected[0]][:3] == ["id", "text", "log_prob"]
    for found in (run(*command, "--file", name), run(*command, stdin=data.encode())):
        assert [each["log_prob"] for each in found.objects()] == [
            each["log_prob"] for each in expected
        ]
        assert [each["id"] for each in found.objects()] == ["1", "2"]


def test_a_field_of_an_object_in_an_object(run: Run, trained: Path) -> None:
    line = b'{"a": {"b": "the\\r\\nwell"}}'
    (found,) = run("score", "-c", trained, "--field", "a.b", stdin=line).objects()
    assert found["a"] == {"b": "the\r\nwell"}  # as it came, though its line end counts once
    assert (found["chars"], found["unk"]) == (len("the\nwell") + 1, len("\n"))


GOOD = '{"text": "fine"}\n'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 3 of standard input is not JSON: Expecting property name"),
        ('{"text": "a"} x', "is not JSON: Extra data at column 15"),
        ('"text"', "is not an object with fields"),
        ("[1]", "is not an object with fields"),
        ('{"body": "a"}', "has no field 'text'; the fields are body"),
        ('{"text": 1, "body": "a"}', "has a number in 'text'; fields with text: body"),
        ('{"text": "a", "x": NaN}', "NaN is not a JSON number"),
        ('{"text": "a", "x": 1' + "0" * 5000 + "}", "is not JSON"),
        ('{"text": "\\ud800"}', "half a surrogate pair in 'text'"),
        ('{"text": "a", "x": ' + "[" * 900 + "]" * 900 + "}", "is nested too deeply"),
        ('{"text": "a", "x": ' + "[" * 100_000, "is nested too deeply"),
        ("\x1b[2J", "is not JSON: Expecting value at column 1"),
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


# Many lines


MEMORY = """
import resource, sys
from charrnn.cli import main
code = main()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak >> (10 if sys.platform == "darwin" else 0), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
@posix
@pytest.mark.parametrize("options", [(), ("--total",), ("--field", "text")])
def test_four_times_the_lines_take_no_more_memory(
    trained: Path, folder: Path, options: tuple[str, ...]
) -> None:
    line = '{"text": "hello"}\n' if "--field" in options else "hello\n"
    sizes, started, peaks = (10_000, 40_000), [], []
    for size in sizes:
        (folder / f"{size}").write_text(line * size)
        command = ("score", "-c", str(trained), "-f", f"{size}", "--threads", "1", *options)
        started.append(start(*command, module=("-c", MEMORY)))
    for size, done in zip(sizes, map(finish, started), strict=True):
        assert done.code == 0
        assert "--total" in options or done.out.count("\n") == size
        peaks.append(int(done.err))
    assert peaks[1] - peaks[0] < 10_000  # KB; 30,000 scores that are held take 18,000


BAR = """
from charrnn.cli import main, score_output
score_output.BAR_DELAY = 0
main()
"""


@pytest.mark.slow
@posix
def test_a_terminal_gets_a_bar_while_a_pipe_gets_the_scores(trained: Path, folder: Path) -> None:
    (folder / "many").write_text("hello\n" * 5000)
    options = ("score", "-c", trained, "-f", "many", "--threads", "1")
    shown = on_a_terminal("-c", BAR, *options, "--total", module=())
    assert re.search(r"\d+%\|.*30\.0k", shown)
    assert shown.rstrip().splitlines()[-1].startswith("token_log_prob")
    assert "%|" not in on_a_terminal("-c", BAR, *options, module=())
    done = finish(start("-c", BAR, *options, "--total", module=()))
    assert (done.code, done.err) == (0, "")
