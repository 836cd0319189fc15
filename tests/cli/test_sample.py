"""`charrnn sample`: prompts, temperatures, by probability, by beam search, and what is copied."""

import codecs
import io
import json
import math
import re
import sys
import unicodedata
from dataclasses import replace
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len

from charrnn import cli
from charrnn.config import WHOLE, VocabularyConfig
from charrnn.errors import ConfigError
from charrnn.storage import checkpoint
from charrnn.text.vocabulary import Vocabulary
from tests.commands import Run, assert_one_line, finish, on_a_terminal, posix, start
from tests.conftest import MakeCheckpoint

pytestmark = pytest.mark.figures

HE = ("sample", "he", "--length", "12", "--seed", "4")


# Prompts and continuations


@pytest.mark.slow
def test_sample_prints_prompt_and_continuation(run: Run, endless: Path) -> None:
    command = ("sample", "he", "-c", endless, "--temperature", "0", "--length", "4")
    result = run(*command)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("he")
    assert len(result.out) == len("he") + 4 + len("\n")
    assert run(*command).out == result.out


def test_sample_json(run: Run, trained: Path) -> None:
    command = ("sample", "he", "-c", trained, "--length", "5", "--json")
    result = run(*command, "--num-samples", "3", "--seed", "4")
    assert [fields["seed"] for fields in result.objects()] == [4, 5, 6]
    for fields in result.objects():
        assert list(fields) == ["text", "prompt", "log_prob", "stop", "seed"]
        (alone,) = run(*command, "--seed", str(fields["seed"])).objects()
        assert alone["text"] == fields["text"]
        assert fields["text"].startswith("he")
        assert fields["stop"] in ("eos", "length")


def test_samples_without_json_come_in_order(run: Run, trained: Path) -> None:
    command = ("sample", "he", "-c", trained, "--length", "5", "--num-samples", "3", "--seed", "4")
    texts = [fields["text"] for fields in run(*command, "--json").objects()]
    assert run(*command).out == "".join(f"{text}\n" for text in texts)


def test_sample_stops_before_the_stop_text(run: Run, endless: Path) -> None:
    command = ("sample", "x", "-c", endless, "--temperature", "0", "--length", "9", "--json")
    (whole,) = run(*command).objects()
    stop = whole["text"][3:5]
    (cut,) = run(*command, "--stop", stop).objects()
    assert cut["stop"] == "stop"
    assert cut["text"] == "x" + whole["text"][1:].partition(stop)[0]


@pytest.mark.parametrize(
    ("stdin", "encoding", "prompt"),
    [
        ("hé\n".encode(), "utf-8", "hé"),
        ("he\u0301".encode(), "utf-8", "hé"),
        ("hé".encode("cp1252"), "cp1252", "hé"),
        (codecs.BOM_UTF8 + b"a\r\nb\r\n", "utf-8", "a\nb"),
        (b"", "utf-8", ""),
    ],
)
def test_sample_reads_a_prompt_from_stdin(
    run: Run, trained: Path, stdin: bytes, encoding: str, prompt: str
) -> None:
    command = ("sample", "-", "-c", trained, "--length", "0", "--encoding", encoding, "--json")
    assert run(*command, stdin=stdin).objects()[0]["prompt"] == prompt


@pytest.mark.slow
def test_sample_reads_a_long_prompt(run: Run, trained: Path) -> None:
    prompt = "hello " * 5_000
    result = run("sample", "-", "-c", trained, "--length", "1", "--json", stdin=prompt.encode())
    assert (result.code, result.err) == (0, "")
    assert result.objects()[0]["prompt"] == prompt


def test_prompts_of_a_file_are_continued_in_order(run: Run, trained: Path, folder: Path) -> None:
    lines = [f"he{'l' * (number % 3)}" for number in range(300)]  # more than a block
    (folder / "prompts.txt").write_text("\n".join(lines) + "\n")
    found = run("sample", "-c", trained, "--prompts", "prompts.txt", "--seed", 5).objects()
    assert [item["prompt"] for item in found] == lines
    assert [item["seed"] for item in found] == list(range(5, 305))
    alone = run("sample", lines[298], "-c", trained, "--seed", 303, "--json").objects()
    assert alone[0]["text"] == found[298]["text"]


def test_prompts_are_continued_as_they_arrive(
    run: Run, trained: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[str] = []

    class Slow(io.BytesIO):
        """A pipe that brings a line at a time."""

        def read1(self, size: int | None = -1) -> bytes:
            printed.append(capfd.readouterr().out)
            return self.readline()

    command = ("--prompts", "-", "--seed", "3", "-n", "5", "-t", "0.5,1")
    monkeypatch.setattr(sys, "argv", ["charrnn", "sample", "-c", str(trained), *command])
    stdin = Slow("he日\nwe日語\n\nhe\n".encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
    assert cli.main() == 0
    printed.append(capfd.readouterr().out)
    found = [[json.loads(line) for line in out.splitlines()] for out in printed]
    assert [len(each) for each in found] == [0, 2, 2, 2, 2, 0]
    assert [one["prompt"] for one, _ in found[1:-1]] == ["he日", "we日語", "", "he"]
    assert [one["seed"] for one, _ in found[1:-1]] == [3, 4, 5, 6]


def test_a_line_of_prompts_that_is_no_text_ends_after_those_before_it(
    run: Run, trained: Path
) -> None:
    result = run("sample", "-c", trained, "--prompts", "-", stdin=rb"he" + b"\n" + rb"\ud800")
    assert [item["prompt"] for item in result.objects()] == ["he"]
    assert result.code == 1
    assert "not valid Unicode" in result.err


def test_what_is_not_known_of_prompts_is_said_once(run: Run, trained: Path, folder: Path) -> None:
    (folder / "prompts.txt").write_text("he日\n" * 64 + "he日\nhe語\n", encoding="utf-8")
    result = run("sample", "-c", trained, "-n", "0", "--prompts", "prompts.txt")
    assert result.err == "".join(f"warning: unknown to the model: '{c}'\n" for c in "日語")


def test_a_prompt_that_names_a_file_is_refused(run: Run, trained: Path, folder: Path) -> None:
    for name in ("my model.npz", "sents.txt"):
        (folder / name).touch()
    model = "my model.npz is a file; did you mean --checkpoint 'my model.npz'?"
    assert_one_line(run("sample", "my model.npz"), 2, model)
    prompts = "sents.txt is a file; did you mean --prompts sents.txt?"
    assert_one_line(run("sample", "sents.txt", "-c", trained), 2, prompts)
    assert run("sample", "-", "-c", trained, "-n", "0", stdin=b"sents.txt").out == "sents.txt\n"


def test_adapt_learns_from_the_prompt_and_leaves_the_model(run: Run, trained: Path) -> None:
    prompt, before = "the old well held " * 30 + "the old we", trained.read_bytes()
    command = ("sample", prompt, "-c", trained, "--next", "--json")
    (plain,), (adapted,) = run(*command).objects(), run(*command, "--adapt").objects()
    probs = [{each["char"]: each["prob"] for each in found["next"]} for found in (plain, adapted)]
    assert probs[1]["l"] > probs[0]["l"] + 0.05
    assert run(*command, "--adapt").objects() == [adapted]
    assert trained.read_bytes() == before


def test_any_of_several_stop_texts_ends_a_sample(run: Run, endless: Path) -> None:
    command = ("sample", "he", "-c", endless, "--length", "30", "--seed", "2", "--json")
    whole = run(*command).objects()[0]["text"][2:]
    places = {stop: whole.find(stop) for stop in ("zzz", *whole[3:])}
    for one in places:
        (cut,) = run(*command, "--stop", "zzz", "--stop", one, "--stop", whole[20:]).objects()
        # The first one that is complete ends it; the last stop text is so at the 30th character.
        assert cut["text"] == "he" + whole[: 20 if places[one] < 0 else places[one]]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (r"he\nwe", "he\nwe"),
        (r"he\r\nwe\r", "he\nwe\n"),
        ("he\r\nwe", "he\nwe"),
        (r"\t\u0068\u0065", "\the"),
        (r"h\\nwe\\\n", "h\\nwe\\\n"),
        (r"\alpha\u12\\", r"\alpha\u12" + "\\"),
        (r"e\u0301", "é"),
    ],
)
def test_typed_texts_and_lines_of_prompts_may_hold_escapes_and_other_files_none(
    run: Run, trained: Path, folder: Path, typed: str, text: str
) -> None:
    command = ("sample", "-c", trained, "-n", "0", "--json")
    assert run(*command, typed).objects()[0]["prompt"] == text
    (scored,) = run("score", typed, "-c", trained, "--json").objects()
    assert unicodedata.normalize("NFC", scored["text"]) == text
    read = typed.replace("\r\n", "\n")
    assert run(*command, "-", stdin=typed.encode()).objects()[0]["prompt"] == read
    (folder / "texts.txt").write_text(typed)
    lines = run("score", "--file", "texts.txt", "--lines", "-c", trained, "--json").objects()
    assert [item["text"] for item in lines] == read.split("\n")
    found = run("sample", "-c", trained, "--prompts", "texts.txt", "-n", "0").objects()
    assert "\n".join(item["prompt"] for item in found) == text


def test_a_stop_text_may_hold_escapes(
    run: Run, folder: Path, make_checkpoint: MakeCheckpoint
) -> None:
    checkpoint.save(make_checkpoint("a\n", separator=WHOLE), folder / "m.npz")
    command = ("sample", "-c", "m.npz", "--seed", "3", "--json", "--num-samples", "99")
    found = run(*command, "--stop", r"a\u000a\n").objects()
    assert {item["stop"] for item in found} >= {"stop"}
    assert all("a\n\n" not in item["text"] for item in found)
    assert any("a\n\n" in item["text"] for item in run(*command).objects())
    assert_one_line(run(*command, "--stop", r"\ud800"), 1, "not valid Unicode")


def test_what_a_model_does_not_know_of_a_prompt_is_said(
    run: Run, trained: Path, folder: Path
) -> None:
    def said(prompt: str, *options: str) -> str:
        result = run("sample", prompt, "-c", trained, "-n", "0", *options)
        assert result.code == 0
        return result.err

    nothing = "warning: the model knows no character of the prompt; try another model\n"
    assert said("日本語") == said("日", "--json") == nothing
    assert said("he") == said("") == ""
    assert said(r"he 本日日\t") == "warning: unknown to the model: '\\t', '日', '本'\n"
    many = "".join(chr(0x4E00 + number) for number in range(13))
    assert said(f"he {many}").endswith("'三' and 3 more\n")
    (folder / "prompts.txt").write_text("日\n語\n", encoding="utf-8")
    result = run("sample", "-c", trained, "-n", "0", "--prompts", "prompts.txt")
    assert result.err == nothing


def test_samples_that_may_have_several_lines_are_told_apart(
    run: Run, folder: Path, make_checkpoint: MakeCheckpoint
) -> None:
    checkpoint.save(make_checkpoint("a\n", separator=WHOLE), folder / "m.npz")
    checkpoint.save(make_checkpoint("ab"), folder / "lines.npz")
    for options, apart in (
        ("-c m.npz", True),
        ("-c m.npz --best 3", True),
        ("-c lines.npz", False),
        (r"a\nb -c lines.npz", True),
    ):
        command = ("sample", *options.split(), "--seed", "3", "--num-samples", "3", "-n", "9")
        texts = [item["text"] for item in run(*command, "--json").objects()]
        assert run(*command).out == ("\n---\n" if apart else "\n").join(texts) + "\n"
    shown = run("sample", "-c", "m.npz", "--novel", "english", "--num-samples", "3", "-n", "9").out
    assert shown.splitlines().count("---") == 2
    compared = run("sample", "-c", "m.npz", "-t", "0.9,1", "--num-samples", "2", "-n", "9").out
    assert [line for line in compared.splitlines() if line.startswith("---")] == [
        "--- temperature 0.9", "---", "--- temperature 1", "---",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        "", "--best 2", "--best 2 -t 0.5,1", "-t 0.5,1", "--novel hello", "--prompts p.txt",
        "--prompts p.txt -t 0.5,1", "--prompts p.txt --novel hello --beam 2",
    ],
)  # fmt: skip
def test_samples_drawn_a_few_at_a_time_are_the_same(
    run: Run, trained: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    (folder / "p.txt").write_text("he\nwe\nhe\n")
    number = () if "prompts" in options else ("--num-samples", "5")
    command = ("sample", "-c", trained, "--seed", "1", "-n", "8", *options.split(), *number)

    def drawn() -> list[str]:
        """All that is printed; sums are rounded otherwise where others are drawn side by side."""
        printed = [run(*command, *form).out for form in ((), ("--json",))]
        return [re.sub(r'log_prob": [^,]*', "", text) for text in printed]

    at_once = drawn()
    monkeypatch.setattr("charrnn.cli.sample_drawing._SIDE_BY_SIDE", 2)
    assert drawn() == at_once


def test_a_stop_text_may_be_kept(run: Run, endless: Path) -> None:
    command = ("sample", "x", "-c", endless, "--temperature", "0", "--length", "9", "--json")
    whole = run(*command).objects()[0]["text"]
    stop = whole[3:5]
    (cut,) = run(*command, "--stop", stop, "--keep-stop").objects()
    assert cut["text"] == whole[: whole.index(stop, 1) + 2]
    assert cut["stop"] == "stop"


# Constraints


def test_every_continuation_matches_the_pattern(run: Run, trained: Path) -> None:
    command = ("sample", "he", "-c", trained, "--regex", "l{2}o( w[a-z]+){1,2}", "-n", "20")
    found = run(*command, "--num-samples", "20", "--seed", "3", "--json").objects()
    for item in found:
        assert re.fullmatch("hello( w[a-z]+){1,2}", item["text"])
        assert len(item["text"]) <= 22
    assert len({item["text"] for item in found}) > 1
    best = run(*command, "--best", "2", "--num-samples", "9", "--seed", "3").out.splitlines()
    beams = run(*command, "--beam", "4", "--best", "2").out.splitlines()
    streamed = run(*command).out.splitlines()
    for text in (*best, *beams, *streamed):
        assert re.fullmatch("hello( w[a-z]+){1,2}", text)
    assert len(best) == len(beams) == 2


def test_a_pattern_that_can_only_end_says_so(run: Run, trained: Path) -> None:
    (item,) = run("sample", "he", "-c", trained, "--regex", "llo", "--json").objects()
    assert (item["text"], item["stop"]) == ("hello", "regex")
    (scored,) = run("score", "hello", "-c", trained, "--json", "--no-eos").objects()
    (start,) = run("score", "he", "-c", trained, "--json", "--no-eos").objects()
    assert item["log_prob"] == pytest.approx(scored["log_prob"] - start["log_prob"], abs=1e-3)


def test_a_pattern_holds_for_each_line_of_a_file(run: Run, trained: Path, folder: Path) -> None:
    (folder / "prompts.txt").write_text("he\nwe\n")
    command = ("sample", "--prompts", "prompts.txt", "-c", trained, "--regex")
    found = run(*command, r"[a-z]{3}").objects()
    assert [len(item["text"]) for item in found] == [5, 5]


def test_banned_characters_may_be_typed_as_escapes(run: Run, endless: Path) -> None:
    command = ("sample", "he", "-c", endless, "-n", "40", "--seed", "3")
    assert "l" in run(*command).out[2:]
    assert not {*"lo"} & {*run(*command, "--ban", r"l\u006f").out[2:]}


def test_no_stretch_is_repeated(run: Run, endless: Path) -> None:
    command = ("sample", "hehe", "-c", endless, "-n", "40", "-t", "0")
    text = run(*command, "--no-repeat", "2").out[3:-1]
    assert len({text[i : i + 2] for i in range(len(text) - 1)}) == len(text) - 1
    assert "he" not in text
    free = run(*command).out[3:-1]
    assert len({free[i : i + 2] for i in range(len(free) - 1)}) < len(free) - 1


# What may follow


def test_next_shows_what_may_follow(run: Run, trained: Path) -> None:
    (found,) = run("sample", "he", "-c", trained, "--next", "--json").objects()
    assert found["prompt"] == "he"
    assert math.fsum(item["prob"] for item in found["next"]) == pytest.approx(1, abs=1e-5)
    shown = run("sample", "he", "-c", trained, "--next").out.splitlines()
    likeliest = found["next"][0]
    assert shown[0].split()[:2] == [likeliest["char"], f"{likeliest['prob']:.4f}"]
    assert shown[0].endswith("█")


def test_next_shows_only_the_beginning_of_an_endless_word(
    run: Run, trained: Path, folder: Path
) -> None:
    loaded = checkpoint.load(trained)
    words = Vocabulary(["x" * 100_000, *loaded.vocabulary.tokens[1:]], VocabularyConfig("word"))
    checkpoint.save(replace(loaded, vocabulary=words), folder / "x.npz")
    shown = run("sample", "--next", "-c", "x.npz").out
    assert max(map(len, shown.splitlines())) < 200
    assert "x" * 40 in shown


# Several temperatures


def test_each_temperature_draws_what_it_draws_alone(run: Run, trained: Path) -> None:
    command = (*HE, "-c", trained, "--json", "--num-samples", "2", "--temperature")
    found = run(*command, "0,0.5,1").objects()
    assert [(item["temperature"], item["seed"]) for item in found] == [
        (0, 4), (0, 5), (0.5, 4), (0.5, 5), (1, 4), (1, 5),
    ]  # fmt: skip
    alone = [item for each in ("0", "0.5", "1") for item in run(*command, each).objects()]
    assert found == alone


def test_temperatures_in_a_pipe_come_one_after_another(run: Run, trained: Path) -> None:
    found = run(*HE, "-c", trained, "--json", "-t", "0.5,1").objects()
    shown = run(*HE, "-c", trained, "-t", "0.5,1").out
    one, two = (item["text"] for item in found)
    assert shown == f"--- temperature 0.5\n{one}\n--- temperature 1\n{two}\n"


def test_prompts_of_a_file_at_several_temperatures(run: Run, trained: Path, folder: Path) -> None:
    (folder / "prompts.txt").write_text("he\nwe\n")
    command = ("sample", "--prompts", "prompts.txt", "-c", trained, "--seed", "7", "-n", "5")
    found = run(*command, "-t", "0.5,1").objects()
    assert [(item["prompt"], item["temperature"], item["seed"]) for item in found] == [
        ("he", 0.5, 7), ("he", 1, 7), ("we", 0.5, 8), ("we", 1, 8),
    ]  # fmt: skip


def columns(shown: str) -> list[str]:
    """The lines of a terminal without their ends and escape sequences."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r", "").splitlines()


@posix
def test_a_wide_terminal_shows_temperatures_side_by_side(endless: Path) -> None:
    prompt = "한국어를 배우는 wide and narrow " * 3
    command = ("sample", prompt, "-c", endless, "--length", "40", "--seed", "1")
    unknown, heading, *lines = columns(on_a_terminal(*command, "-t", "0,0.7,1"))
    assert unknown.startswith("warning: unknown to the model: 'a', ")
    assert heading.split() == ["temperature", "0", "temperature", "0.7", "temperature", "1"]
    assert len(lines) > 3
    for line in lines:
        assert cell_len(line) == 80
    first = heading.index("temperature 0.7")
    for line in lines:  # every text begins in the column of its heading, in cells
        left = next(end for end in range(len(line) + 1) if cell_len(line[:end]) >= first)
        assert cell_len(line[:left]) == first
        assert line[left - 1] == " "


@posix
@pytest.mark.slow
def test_a_narrow_terminal_shows_them_one_below_the_other(endless: Path) -> None:
    command = ("sample", "he", "-c", endless, "--length", "40", "-t", "0.3,0.7,1")
    shown = columns(on_a_terminal(*command, COLUMNS="60"))
    assert shown[::2] == ["--- temperature 0.3", "--- temperature 0.7", "--- temperature 1"]
    assert [len(line) for line in shown[1::2]] == [42] * 3


# By probability


def test_best_prints_the_most_probable_of_the_samples_once_each(run: Run, trained: Path) -> None:
    command = (*HE, "-c", trained, "--json", "--num-samples", "40")
    drawn, best = run(*command).objects(), run(*command, "--best", "6").objects()
    firsts = {item["text"]: item for item in reversed(drawn)}
    expected = sorted(firsts.values(), key=lambda item: -item["log_prob"])[:6]
    for item in best:
        assert item.pop("drawn_log_prob") == item["log_prob"]  # nothing ends at a stop text
    assert best == expected
    assert len({item["text"] for item in best}) == 6
    shown = run(*HE, "-c", trained, "--num-samples", "40", "--best", "6").out
    assert shown.splitlines() == [item["text"] for item in best]


def test_best_chooses_from_64_samples_or_as_many_as_it_prints(run: Run, trained: Path) -> None:
    command = (*HE, "-c", trained, "--json", "--best")
    assert run(*command, "3").out == run(*command, "3", "--num-samples", "64").out
    assert run(*command, "70").out == run(*command, "70", "--num-samples", "70").out


def test_log_prob_of_the_best_is_what_score_gives(run: Run, trained: Path) -> None:
    for option in (("--best", "5"), ("--beam", "5", "--best", "5")):
        for item in run("sample", "", "-n", "9", "-c", trained, "--json", *option).objects():
            eos = "--eos" if item["stop"] == "eos" else "--no-eos"
            (scored,) = run("score", item["text"], "-c", trained, "--json", eos).objects()
            assert item["log_prob"] == pytest.approx(scored["log_prob"], abs=1e-3)


@posix
@pytest.mark.slow
def test_a_terminal_gets_the_best_in_a_table(trained: Path) -> None:
    heading, first, *rest = columns(on_a_terminal(*HE, "-c", trained, "--best", "3"))
    assert heading.split() == ["log", "P", "of", "the", "best", "text"]
    assert first.split()[1:] == ["1", *first.split()[2:]]
    assert len(rest) == 2


@pytest.mark.parametrize("options", [("--seed", "1"), ("--beam", "8")])
def test_samples_compare_by_all_that_was_drawn(
    run: Run, trained: Path, options: tuple[str, ...]
) -> None:
    command = ("sample", "-c", trained, "-n", "9", "--best", "6", "--stop", "e", "--stop", "h")
    found = run(*command, *options, "--json").objects()
    totals = [item["drawn_log_prob"] for item in found]
    assert totals == sorted(totals, reverse=True)
    assert any(item["drawn_log_prob"] < item["log_prob"] for item in found)


@pytest.mark.slow
@posix
@pytest.mark.parametrize("width", ["0", "20", "80"])
def test_a_table_shows_the_sum_by_which_samples_compare(trained: Path, width: str) -> None:
    command = ("sample", "-c", trained, "-n", "9", "--seed", "1", "--best", "6", "--stop", "e")
    found = finish(start(*command, "--json")).out.splitlines()
    totals = [json.loads(line)["drawn_log_prob"] for line in found]
    _, *rows = columns(on_a_terminal(*command, COLUMNS=width))
    assert [row.split()[0] for row in rows] == [f"{total:.2f}" for total in totals]
    ratios = [float(row.split()[1]) for row in rows]
    assert ratios == pytest.approx([math.exp(total - totals[0]) for total in totals], rel=0.01)


# Beam search


def test_a_beam_is_the_same_each_time_and_needs_no_seed(run: Run, trained: Path) -> None:
    command = ("sample", "he", "-c", trained, "-n", "12", "--beam", "5")
    (found,) = run(*command, "--json").objects()
    assert found["seed"] is None
    assert run(*command).out == run(*command).out == found["text"] + "\n"
    wider = run(*command[:-1], "50", "--json", "--best", "50").objects()
    totals = [item["log_prob"] for item in wider]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] >= found["log_prob"] - 1e-4


def test_a_beam_of_1_prints_what_temperature_0_does(run: Run, endless: Path) -> None:
    command = ("sample", "he", "-c", endless, "-n", "30")
    assert run(*command, "--beam", "1").out == run(*command, "--temperature", "0").out


def test_a_beam_continues_each_line_of_a_file(run: Run, trained: Path, folder: Path) -> None:
    (folder / "prompts.txt").write_text("he\nwe\n")
    found = run("sample", "--prompts", "prompts.txt", "-c", trained, "--beam", "3").objects()
    assert [item["prompt"] for item in found] == ["he", "we"]
    (alone,) = run("sample", "we", "-c", trained, "--beam", "3", "--json").objects()
    assert found[1] == alone


# What is copied


@pytest.fixture
def copier(folder: Path, trained: Path) -> Path:
    """A text that holds what the model draws from `he`."""
    drawn = finish(start(*HE, "--json", "-c", trained)).objects()[0]["text"][len("he") :]
    (folder / "copied.txt").write_text(f"xxx{drawn}yyy\n")
    return folder / "copied.txt"


def test_what_is_copied_stands_in_json(run: Run, trained: Path, copier: Path) -> None:
    command = (*HE, "-c", trained, "--json", "--novel", copier)
    (found,) = run(*command, "--novel-min", "3").objects()
    drawn = found["text"].removeprefix("he")
    assert found["copied"][0] == {
        "text": drawn, "start": 2, "length": len(drawn), "share": 1.0,
    }  # fmt: skip
    assert found["copied_share"] == 1
    (found,) = run(*command, "--novel-min", "50").objects()
    assert (found["copied"], found["copied_share"]) == ([], 0)
    (found,) = run(*command, "--length", "0").objects()
    assert (found["copied"], found["copied_share"]) == ([], None)


def test_what_is_copied_is_listed_the_longest_first(
    run: Run,
    endless: Path,
    folder: Path,
) -> None:
    command = ("sample", "he", "-c", endless, "-n", "60", "--seed", "1")
    drawn = run(*command).out[len("he") : -1]
    (folder / "a.txt").write_text(drawn[:21] + "~" + drawn[30:55])
    (folder / "b.txt").write_text(drawn[22:25])
    sources = ("--novel", "a.txt", "--novel", "b.txt")
    text, total, *lines = run(*command, *sources).out.splitlines()
    assert text == "he" + drawn
    assert total == "46 of 60 characters copied, 76.7%"
    assert [line.split()[:2] for line in lines] == [["25", "41.7%"], ["21", "35.0%"]]
    assert lines[0].endswith(drawn[30:55])


@posix
@pytest.mark.slow
def test_a_terminal_marks_what_is_copied(trained: Path, copier: Path) -> None:
    command = (*HE, "-c", trained, "--novel", copier, "--novel-min", "3")
    shown = on_a_terminal(*command)
    drawn = copier.read_text()[3:-4]
    assert shown.startswith(f"he\x1b[4m{drawn}\x1b[0m\r\n")
    assert f"{len(drawn)} of {len(drawn)} characters copied, 100.0%" in shown
    assert "\x1b" not in on_a_terminal(*command, TERM="dumb")


def test_a_whole_document_is_a_copy_however_short(run: Run, trained: Path, folder: Path) -> None:
    command = ("sample", "h", "-c", trained, "--seed", "1", "--num-samples", "40", "-n", "7")
    plain = run(*command, "--json").objects()
    ended = [item["text"] for item in plain if item["stop"] == "eos" and len(item["text"]) > 1]
    cut = [item["text"] for item in plain if item["stop"] == "length"]
    assert len({*ended}) > 3
    lines = [ended[0], ended[1], *(f"x{text}x" for text in ended[2:]), *cut, ""]
    (folder / "novel.txt").write_text("\n".join(lines))
    for item in run(*command, "--json", "--novel", "novel.txt").objects():
        drawn = item["text"][1:]
        is_copy = item["stop"] == "eos" and item["text"] in ended[:2] and drawn
        whole = {"text": drawn, "start": 1, "length": len(drawn), "share": 1.0}
        assert item["copied"] == ([whole] if is_copy else [])
    shown = run(*command, "--novel", "novel.txt").out
    assert f"{ended[0]}\n{len(ended[0]) - 1} of {len(ended[0]) - 1} character" in shown


def test_a_bundled_corpus_is_named_as_for_train(run: Run, trained: Path) -> None:
    assert run(*HE, "-c", trained, "--novel", "hello").code == 0
    assert_one_line(run(*HE, "-c", trained, "--novel", "nofile"), 1, "no such file: nofile")


# Wrong usage


USAGE = [
    (
        "--temperature 0.5,x",
        "--temperature must be a number, or several separated by commas, not '0.5,x'",
    ),
    ("--temperature 0.5,-1", "--temperature must be at least 0"),
    ("--temperature 1,", "--temperature must be a number"),
    ("--best 5 --num-samples 4", "--best must be at most 4"),
    ("--best 5 --beam 4", "--best must be at most 4"),
    ("--best 0", "--best"),
    ("--beam 0", "--beam"),
    ("--beam 2 --temperature 0.5", "--beam and --temperature cannot be combined"),
    ("--beam 2 --num-samples 3", "--beam and --num-samples cannot"),
    ("--beam 2 --seed 3", "--beam and --seed cannot"),
    ("-i --json", "--interactive and --json cannot be combined"),
    ("-i --best 2", "--interactive and --best cannot"),
    ("-i --adapt", "--interactive and --adapt cannot"),
    ("--adapt --prompts x", "--adapt and --prompts cannot be combined"),
    ("--next --beam 2", "--next and --beam cannot"),
    ("--next --temperature 0.5", "--next and --temperature cannot"),
    ("--prompts x --best 2", "--prompts and --best cannot be combined"),
    ("--novel-min 3", "--novel-min needs --novel"),
    ("--colour -t 0.5,1", "--colour needs a single --temperature"),
    ("--color --json", "--colour and --json cannot be combined"),
    ("--keep-stop", "--keep-stop needs --stop TEXT"),
    ("--regex a+ --stop b", "--regex and --stop cannot be combined"),
    ("--regex a+ --no-repeat 3", "--regex and --no-repeat cannot be combined"),
    ("--regex a)", "--regex is no regular expression: unbalanced parenthesis at position 1"),
    (r"--regex (a)\1", r"--regex cannot have backreferences: '\1'"),
    ("--regex a{6000}", "--regex needs more than 5,000 states: shorten its repeats"),
    ("--regex 日", "no continuation of at most 500 characters that this model can write matches "),
    ("--min-p 1.5", "--min-p must be at least 0 and at most 1, not 1.5"),
    ("--no-repeat 0", "--no-repeat must be at least 1, not 0"),
    ("--beam 2 --min-p 0.5", "--beam and --min-p cannot be combined"),
    ("--next --regex a", "--next and --regex cannot be combined"),
    ("--novel hello --novel-min 0", "--novel-min"),
]


@pytest.mark.parametrize(("options", "words"), USAGE)
def test_options_that_make_no_sense_together_are_wrong_usage(
    run: Run,
    trained: Path,
    options: str,
    words: str,
) -> None:
    assert_one_line(run("sample", "-c", trained, *options.split()), 2, words)


ALONE = {option: tuple(words.split()) for option, words in {
    "PROMPT": "he", "--length": "--length 2", "--temperature": "--temperature 0.3",
    "--top-k": "--top-k 4", "--top-p": "--top-p 0.8", "--min-p": "--min-p 0.3",
    "--ban": "--ban e", "--no-repeat": "--no-repeat 2", "--regex": "--regex [a-z\\s]{2,}",
    "--keep-stop": "--stop e --stop l --keep-stop", "--num-samples": "--num-samples 5",
    "--best": "--best 4", "--beam": "--beam 4", "--stop": "--stop e --stop l", "--seed": "--seed 7",
    "--allow-unk": "--allow-unk", "--prompts": "--prompts prompts.txt", "--next": "--next",
    "--choices": "--choices prompts.txt", "--colour": "--colour",
    "--interactive": "--interactive",
    "--novel": "--novel novel.txt", "--novel-only": "--novel novel.txt --novel-only",
    "--novel-min": "--novel novel.txt --novel-min 2", "--json": "--json",
    "--adapt": "--adapt", "--encoding": "--encoding latin-1", "--max-size": "--max-size 5",
    "--threads": "--threads 1",
}.items()}  # fmt: skip
_DRAWS = (
    "--length --temperature --top-k --top-p --min-p --num-samples --best --beam --stop --keep-stop "
    "--ban --no-repeat --regex --allow-unk --seed --prompts --interactive --novel --novel-min "
    "--novel-only "
)
REFUSED = {
    "--choices": _DRAWS + "--next",
    "--colour": "--prompts --next --choices --num-samples --best --beam --novel --novel-min "
    "--novel-only --json",
    "--next": _DRAWS,
    "--interactive": "--prompts --num-samples --best --beam --novel --novel-min --novel-only "
    "--json --adapt",
    "--adapt": "--prompts",
    "--prompts": "PROMPT --num-samples --best",
    "--beam": "--temperature --top-k --top-p --min-p --num-samples --seed --novel-only",
    "--regex": "--stop --keep-stop --no-repeat",
}
IMPLIED = {
    frozenset(("--prompts", "--json")),
    frozenset(("--novel", "--novel-min")),
    frozenset(("--novel", "--novel-only")),
    frozenset(("--stop", "--keep-stop")),
}
WITHOUT_EFFECT = {  # on short ASCII texts that are no lines of a corpus, in a pipe
    *("--adapt", "--encoding", "--max-size", "--threads", "--novel-only", "--colour"),
}


@pytest.mark.slow
def test_every_pair_of_options_is_refused_or_does_what_both_say(
    endless: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, calls = checkpoint.load(endless), []

    def spy(name: str) -> None:
        """Note the texts to draw and how, whatever the texts are."""
        module, _, function = name.rpartition(".")
        original = getattr(import_module(module), function)

        def noted(*arguments: Any) -> Any:
            calls.append(repr(arguments[1:]))
            return original(*arguments)

        monkeypatch.setattr(name, noted)

    spy("charrnn.inference.sampling.generate")
    spy("charrnn.inference.beam.beam_search")
    monkeypatch.setattr(checkpoint, "load", lambda path: model)
    monkeypatch.setattr("secrets.randbelow", lambda most: 6)
    monkeypatch.setattr("charrnn.cli.sample_options.FOR_BEST", 6)
    (folder / "prompts.txt").write_text("he\nwe\n")
    (folder / "novel.txt").write_text("hello\nthe old well\n")
    command = typer.main.get_command(cli.app).commands["sample"]  # type: ignore[attr-defined]
    (length,) = (parameter for parameter in command.params if parameter.name == "length")
    monkeypatch.setattr(length, "default", 12)
    refused = {frozenset((one, two)) for one in REFUSED for two in REFUSED[one].split()}

    def done(*options: str) -> tuple[str, list[str]]:
        calls.clear()
        words = ["--checkpoint", "m.npz", *(word for each in options for word in ALONE[each])]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"we\n")))
        if frozenset(options) in refused:
            needed = {"--novel-min": "--novel", "--novel-only": "--novel(-only)?"}
            needed["--keep-stop"] = "--stop"
            one, two = (needed.get(option, option) for option in options)
            with pytest.raises(ConfigError, match=f"^({one} and {two}|{two} and {one}) cannot"):
                command.main(words, standalone_mode=False)
        else:
            command.main(words, standalone_mode=False)
        return capsys.readouterr().out, [*calls]

    alone = {option: done(option) for option in ALONE}
    lost = []
    for one, two in combinations(ALONE, 2):
        together = done(one, two)
        if frozenset((one, two)) not in refused | IMPLIED:
            lost += [(one, two)] * (together == alone[two] and one not in WITHOUT_EFFECT)
            lost += [(two, one)] * (together == alone[one] and two not in WITHOUT_EFFECT)
    assert not lost


# Processes


INTERRUPTED = """
import signal, sys, threading
from charrnn.inference import sampling
from charrnn.cli import main
complete = sampling.complete
def interrupted(*arguments):
    main_thread = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (main_thread, signal.SIGINT)).start()
    complete(*arguments)
sampling.complete = interrupted
sys.argv[0] = "charrnn"
sys.exit(main())
"""


@posix
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.slow
def test_ctrl_c_does_not_wait_until_all_samples_are_drawn(endless: Path, threads: str) -> None:
    size = ("--length", "1000000000", "--num-samples", "2", "--threads", threads)
    process = start("sample", "-c", endless, *size, module=("-c", INTERRUPTED))
    result = finish(process)
    assert (result.code, result.out, result.err) == (130, "", "")
