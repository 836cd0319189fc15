"""`charrnn score`: probabilities, sums, contexts, parts of a model and adaptation."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from charrnn.cli.options import PARTS
from tests.commands import (
    SCORE_FIELDS,
    TEXT,
    Run,
    assert_one_line,
    call,
    on_a_terminal,
    posix,
    type_in,
)
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

# Texts and their sum


def test_score_json(run: Run, trained: Path) -> None:
    result = run("score", "hello", "the x", "-c", trained, "--json", "--per-char")
    hello, other = result.objects()
    assert list(hello) == [*SCORE_FIELDS, "per_char"]
    assert (hello["text"], hello["chars"], hello["unk"], hello["eos"]) == ("hello", 6, 0, True)
    assert other["unk"] == 1
    assert [entry["char"] for entry in hello["per_char"]] == [*"hello", "<EOS>"]
    assert [entry["char"] for entry in other["per_char"] if "unk" in entry] == ["x"]
    assert hello["token_log_prob"] == hello["log_prob"]
    assert other["token_log_prob"] > other["log_prob"] + 10
    total = sum(entry["log_prob"] for entry in hello["per_char"])
    assert total == pytest.approx(hello["log_prob"])
    assert hello["prob"] == pytest.approx(math.exp(total))
    assert hello["bits_per_char"] == pytest.approx(-total / 6 / math.log(2))


def test_score_total(run: Run, trained: Path) -> None:
    command = ("score", "hello", "the x", "", "-c", trained, "--no-eos")
    scores = run(*command, "--json").objects()
    (total,) = run(*command, "--json", "--total").objects()
    assert list(total) == [
        "texts", "log_prob", "chars", "unk", "bits_per_char", "perplexity", "token_log_prob",
    ]  # fmt: skip
    assert (total["texts"], total["chars"], total["unk"]) == (3, 10, 1)
    for name in ("log_prob", "token_log_prob"):
        assert total[name] == pytest.approx(sum(score[name] for score in scores))
    assert total["token_log_prob"] > total["log_prob"] + 10  # as x is unknown
    assert run(*command, "--total").out.startswith("texts\t3\nlog_prob\t")


@pytest.mark.parametrize("option", [(), ("--total",), ("--per-char",)])
def test_nothing_predicted_is_null(run: Run, trained: Path, option: tuple[str, ...]) -> None:
    (fields,) = run("score", "", "-c", trained, "--no-eos", "--json", *option).objects()
    assert (fields["chars"], fields["log_prob"]) == (0, 0)
    assert fields["bits_per_char"] is None
    assert fields["perplexity"] is None
    assert run("score", "", "-c", trained, "--no-eos", *option).code == 0


def test_a_model_of_huge_numbers_predicts_nothing(run: Run, trained: Path, folder: Path) -> None:
    arrays = dict(np.load(trained))
    for array in arrays.values():
        if array.dtype == np.float32:
            array[:] = 3e38
    np.savez(folder / "huge.npz", **arrays)
    (folder / "text.txt").write_text("hello\n" * 40)
    for command in (
        ("score", "hello"),
        ("score", "hello", "--per-char", "--json"),
        ("score", "--whole", "--file", "text.txt"),
        ("score", "hello", "--adapt"),
        ("sample", "h"),
        ("sample", "h", "--num-samples", "2", "--json"),
        ("sample", "h", "--next"),
        ("inspect", "--gradient-flow", "text.txt"),
    ):
        result = run(*command, "-c", "huge.npz")
        assert (result.code, result.out.strip("h")) == (1, "")  # of the prompt at most
        assert "error: the model's predictions are not finite" in result.err


def test_score_in_a_pipe_is_a_line_a_text_in_the_order_given(run: Run, trained: Path) -> None:
    result = run("score", "zzz", "a\tb\nc\\", "hello", "-c", trained)
    rows = [line.split("\t") for line in result.out.splitlines()]
    marked = [["zzz", "3 unknown"], [r"a\tb\nc\\", "6 unknown"], ["hello"]]
    assert [row[2:] for row in rows] == marked
    assert all(float(row[0]) < 0 < float(row[1]) for row in rows)


def test_score_per_char(run: Run, trained: Path) -> None:
    lines = run("score", "e\n", "b", "-c", trained, "--per-char").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["e", r"\n", "<EOS>", "", "b", "<EOS>", ""]
    assert [line.split("\t")[3:] for line in lines[:3]] == [[], ["unknown"], []]


def test_a_text_is_scored_as_a_continuation(run: Run, trained: Path) -> None:
    whole, start = run("score", "he held", "he ", "-c", trained, "--no-eos", "--json").objects()
    command = ("score", "held", "door", "-c", trained, "--given", "he ", "--no-eos", "--json")
    found = run(*command).objects()
    assert [(each["text"], each["chars"]) for each in found] == [("held", 4), ("door", 4)]
    tolerance = log_prob_tolerance(7, 100)
    rest = whole["log_prob"] - start["log_prob"]
    assert found[0]["log_prob"] == pytest.approx(rest, abs=tolerance)
    for option in ("--per-char", "--per-word"):
        assert run(*command, option).objects()[0]["log_prob"] == pytest.approx(rest, abs=tolerance)
    (total,) = run(*command, "--total").objects()
    assert total["log_prob"] == pytest.approx(sum(each["log_prob"] for each in found))
    Path("held.txt").write_text("held")
    options = ("--given", r"he\u0020", "--no-eos", "--json", "-f", "held.txt")
    for option in ("--lines", "--whole"):
        (each,) = run("score", "-c", trained, *options, option).objects()
        assert each["log_prob"] == pytest.approx(rest, abs=tolerance)


UNREADABLE, READABLE = "日本語のテキスト", "The cqt sat"


def test_what_no_model_can_read_ranks_last_by_one_figure(run: Run) -> None:
    texts = (UNREADABLE, READABLE)
    alone = run("score", *texts, "-c", "everyday", "--json").objects()
    both = run("score", *texts, "-c", "everyday", "-c", "ilsang", "--json").objects()
    for one, several in zip(alone, both, strict=True):
        assert one["log_prob"] == pytest.approx(several["log_prob"]["everyday"])
        assert one["unk"] == several["unk"]["everyday"]
    assert alone[0]["log_prob"] == pytest.approx(-159.2734, abs=1e-3)
    assert alone[0]["token_log_prob"] == pytest.approx(-47.9000, abs=1e-3)
    assert alone[1]["log_prob"] == alone[1]["token_log_prob"] == pytest.approx(-53.0020, abs=1e-3)
    result = run("score", *texts, "-c", "everyday", "--sort", "--fail-over", "10")
    assert (result.code, result.out.count("8 unknown")) == (3, 1)
    assert result.out.startswith("-159.273")
    assert (
        "warning: the model does not know 8 of 8 characters in 1 of 2 texts; try another model\n"
        in result.err
    )
    rows = run("classify", *texts, "-c", "everyday", "-c", "ilsang").out.splitlines()
    assert [row.split("\t")[2:] for row in rows] == [[UNREADABLE, "8 unknown"], [READABLE]]


@posix
@pytest.mark.slow
def test_a_terminal_marks_what_is_unknown_and_ranks_it_by_the_same_figure() -> None:
    shown = on_a_terminal("score", UNREADABLE, READABLE, "-c", "everyday", NO_COLOR="1")
    assert shown.index(READABLE) < shown.index(UNREADABLE)
    (row,) = (line for line in shown.splitlines() if UNREADABLE in line)
    log_prob, bits, _, unknown = row.split()[:4]
    assert (log_prob, bits, unknown) == ("-159.27", "25.531", "8")
    details = on_a_terminal("score", UNREADABLE, "-c", "everyday").splitlines()
    assert details[1:3] == [
        "log P               -159.2734 nats",
        "log P of the tokens -47.9000 nats, with <UNK> as one token",
    ]


@pytest.mark.slow
@posix
def test_a_terminal_is_told_which_model_is_used(run: Run, trained: Path, folder: Path) -> None:
    (folder / "checkpoints").mkdir()
    shutil.copy(trained, folder / "checkpoints" / "toy.npz")
    toy = "model: checkpoints/toy.npz (lstm 1x8, trained on corpus)"
    bundled = "model: everyday (lstm 1x256, trained on stories)"
    score, sample = ("score", "hello"), ("sample", "h", "--seed", "1")
    for options, line in (((), toy), (("-c", "toy"), toy), (("-m", "everyday"), bundled)):
        assert first_line(*score, *options, TERM="xterm") == f"\x1b[2m{line}\x1b[0m"
        assert first_line(*sample, *options, NO_COLOR="1") == line
        assert run("score", "hello", *options).err == ""


def first_line(*args: str, **environment: str) -> str:
    """The first line that a command writes to a terminal."""
    return type_in([sys.executable, "-m", "charrnn", *args], None, environment).out.splitlines()[0]


def test_a_text_with_many_unknown_characters_is_named(run: Run, trained: Path) -> None:
    known, tenth, more = "hello worl", "hello worX", "hello woXX"
    warning = "warning: the model does not know {}; try another model\n"
    for texts, what in (
        ([known], ""),
        ([tenth], ""),
        ([more], "2 of 10 characters"),
        ([known, tenth, more, "XX"], "4 of 12 characters in 2 of 4 texts"),
    ):
        for options in ((), ("--json",), ("--total",), ("--adapt",)):
            result = run("score", *texts, "-c", trained, *options)
            assert result.err == (warning.format(what) if what else "")


# Parts and adaptation


@pytest.fixture(scope="session")
def with_ngram(trained: Path) -> Path:
    """A network with an n-gram model, trained on whole text for a few steps."""
    sizes = ("--hidden-size", "8", "--steps", "30", "--threads", "1", "--ngram", "3")
    command = ("train", "corpus.txt", "--whole", *sizes, "-o", "both.npz")
    call(*command, cwd=trained.parent)
    return trained.with_name("both.npz")


def test_a_part_of_a_network_with_ngrams_is_scored_alone(run: Run, with_ngram: Path) -> None:
    args = ("score", "hello world", "-c", with_ngram, "--json", "--part")
    bits = {part: run(*args, part).objects()[0]["bits_per_char"] for part in PARTS}
    assert len(set(bits.values())) == 3
    (plain,) = run(*args[:-1]).objects()
    assert plain["bits_per_char"] == bits["all"] == bits["unmixed"]  # it has no mixture
    assert_one_line(run(*args, "half"), 2, "part must be one of all, unmixed, network, ngram")


def test_a_part_of_a_model_without_parts_is_an_error(run: Run, trained: Path) -> None:
    result = run("score", "he", "-c", trained, "--part", "ngram")
    assert_one_line(result, 2, "--part ngram needs a network with n-grams")


def test_adapt_says_both_figures(run: Run, with_ngram: Path) -> None:
    text = "the cat sat on the mat, " * 20
    args = ("score", text, "he", "-c", with_ngram, "--adapt")
    long, short = run(*args, "--json").objects()
    (static,) = run("score", text, "-c", with_ngram, "--json").objects()
    assert long["bits_per_char"] == pytest.approx(static["bits_per_char"], abs=1e-5)
    assert long["adapted_bits_per_char"] < long["bits_per_char"] - 0.1
    assert short["adapted_log_prob"] == pytest.approx(short["log_prob"], abs=1e-5)  # one segment
    (total,) = run(*args, "--total", "--json").objects()
    for name in ("log_prob", "adapted_log_prob"):
        assert total[name] == pytest.approx(long[name] + short[name], abs=1e-4)
    lines = [line.split("\t") for line in run(*args).out.splitlines()]
    assert [line[3:] for line in lines] == [[text, "160 unknown"], ["he"]]
    assert float(lines[0][2]) == pytest.approx(long["adapted_bits_per_char"], abs=1e-4)


def test_an_ngram_does_not_adapt(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    assert run("train", "text.txt", "--cell", "ngram", "-o", "n.npz").code == 0
    assert_one_line(run("score", "he", "-c", "n.npz", "--adapt"), 2, "--adapt needs a network")


@pytest.mark.slow
def test_a_whole_file_is_scored_in_streams_nearly_as_in_one(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 200, encoding="utf-8")
    run("train", text, "--steps", "20", "-o", tmp_path / "m.npz", "-q")
    (one,) = run("score", "-c", tmp_path / "m.npz", "--file", text, "--json").objects()
    many = run("score", "-c", tmp_path / "m.npz", "--file", text, "--json", "--streams", "8")
    (found,) = many.objects()
    assert found.keys() == one.keys()
    assert found["chars"] == one["chars"] == 23 * 200 - 1
    assert found["bits_per_char"] == pytest.approx(one["bits_per_char"], abs=1e-4)
    asked = run(
        "score", "-c", tmp_path / "m.npz", "--file", text, "--per-char", "--total", "--json"
    )
    assert asked.objects()[0]["texts"] == 1  # the sum, where both are asked for
    refused = run("score", "hello", "--streams", "8", "--lines")
    assert refused.code == 2
    assert "--streams needs whole files" in refused.err


# Wrong usage


@pytest.mark.parametrize(
    "options",
    [
        "a --field text", "--field text --lines", "--field text --split-on ;", "a --tsv --json",
        "a --per-word --per-char", "a --given b --adapt", "a --per-word --html x",
        "a --sort --total", "a --sort --per-word", "a --given b --streams 2",
        "a --fail-over 1 --adapt", "a --html x --total",
        "a --svg x --total", "a --fail-over -1", "a --fail-over nan", "a --fail-over inf",
        "--field text --html x",
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_wrong_usage(run: Run, trained: Path, options: str) -> None:
    assert_one_line(run("score", "-c", trained, *options.split()), 2)
    assert not Path("x").exists()


def test_a_limit_has_no_upper_end(run: Run, trained: Path) -> None:
    result = run("score", "a", "-c", trained, "--fail-over", "-1")
    assert_one_line(result, 2, "--fail-over must be at least 0, not -1")


@posix
def test_score_on_a_terminal_without_texts_is_wrong_usage() -> None:
    assert on_a_terminal("score") == "error: nothing to score: give a TEXT or --file FILE\r\n"
