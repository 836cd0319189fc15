"""`charrnn inspect --memory`: bits per character by how much of a text the model sees."""

from pathlib import Path

import pytest

from charrnn.storage import checkpoint
from tests.commands import TEXT, TINY, Run, assert_one_line

pytestmark = pytest.mark.figures


@pytest.fixture(autouse=True)
def text(folder: Path) -> None:
    (folder / "text.txt").write_text("hello world\nthe old well\n")


def test_contexts_end_with_all_of_the_text(run: Run, trained: Path) -> None:
    command = ("inspect", "-c", trained, "--memory", "text.txt")
    found = run(*command, "--context", "1,3,50", "--json").objects()
    assert [item["context"] for item in found] == [1, 3, 50, None]
    (whole,) = run("score", "-c", trained, "--file", "text.txt", "--total", "--json").objects()
    for name in ("bits_per_char", "log_prob"):
        assert found[-1][name] == pytest.approx(whole[name], abs=1e-4)
        assert found[-2][name] == pytest.approx(whole[name], abs=1e-4)
        assert found[0][name] != pytest.approx(whole[name], abs=1e-2)
    assert {(item["chars"], item["unk"]) for item in found} == {(whole["chars"], whole["unk"])}
    head, *lines = run(*command, "--context", "1,3").out.splitlines()
    assert head.split() == ["context", "bits/char"]
    assert [line.split()[0] for line in lines] == ["1", "3", "all"]
    assert lines[0].split()[1] == f"{found[0]['bits_per_char']:.4f}"
    assert len(run(*command).out.splitlines()) == 1 + 7 + 1
    assert run(*command[:-1], "-", stdin=b"hello world\nthe old well\n").out == run(*command).out


@pytest.mark.parametrize("separator", ["\n", "", ";"])
def test_a_text_is_cut_as_the_model_was_trained(
    run: Run, trained: Path, folder: Path, separator: str
) -> None:
    from dataclasses import replace

    loaded = replace(checkpoint.load(trained), separator=separator)
    checkpoint.save(loaded, folder / "m.npz")
    (folder / "text.txt").write_text("hello;\nworld\nwell;well")
    *_, whole = run("inspect", "m.npz", "--memory", "text.txt", "--json").objects()
    (total,) = run("score", "-c", "m.npz", "--file", "text.txt", "--total", "--json").objects()
    assert whole["chars"] == total["chars"]
    assert whole["log_prob"] == pytest.approx(total["log_prob"], abs=1e-4)


def test_a_reset_cuts_texts_after_so_many_characters(run: Run, trained: Path) -> None:
    command = ("inspect", "-c", trained, "--memory", "text.txt", "--reset")
    found = run(*command, "4,99", "--json").objects()
    assert [item["reset"] for item in found] == [4, 99, None]
    parts = ("hell", "o wo", "rld", "the ", "old ", "well")
    (cut,) = run("score", *parts, "-c", trained, "--no-eos", "--total", "--json").objects()
    assert found[0]["log_prob"] == pytest.approx(cut["log_prob"], abs=1e-4)
    assert found[1]["log_prob"] == pytest.approx(found[2]["log_prob"], abs=1e-4)
    assert run(*command, "4").out.splitlines()[0].split() == ["reset", "bits/char"]


def test_counts_remember_as_much_as_their_order(run: Run, folder: Path) -> None:
    (folder / "long.txt").write_text(TEXT * 9)
    assert run("train", "long.txt", "--cell", "ngram", "--order", "4", "-o", "n.npz").code == 0
    command = ("inspect", "-c", "n.npz", "--memory", "text.txt")
    assert_one_line(run(*command), 2, "an n-gram model sees the last 3 tokens")
    one, all_of_it = run(*command, "--reset", "1", "--json").objects()
    assert one["bits_per_char"] > all_of_it["bits_per_char"]


@pytest.mark.parametrize("tokens", [("--tokens", "word"), ("--normalize", "nfd"), ("--ngram", "3")])
def test_every_kind_of_token(run: Run, folder: Path, tokens: tuple[str, ...]) -> None:
    (folder / "long.txt").write_text("오늘 아침 hello\n" * 30)
    assert run("train", "long.txt", *TINY, *tokens, "--lines", "-o", "m.npz").code == 0
    resets = [("--reset", "2,5")]
    if "word" in tokens:
        result = run("inspect", "m.npz", "--memory", "long.txt", *resets.pop())
        assert_one_line(result, 2, "--reset would cut words apart")
    for options in ((), *resets):
        *_, whole = run("inspect", "m.npz", "--memory", "long.txt", "--json", *options).objects()
        assert whole["bits_per_char"] > 0
        assert whole["chars"] == 30 * (11 + (not options))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--memory text.txt --context 4,x", 2, "--context must be whole numbers with commas"),
        ("--memory text.txt --reset 0", 2, "--reset must be a whole number from 1"),
        ("--memory text.txt --context 4 --reset 4", 2, "--context and --reset cannot be combined"),
        ("--memory text.txt --neurons text.txt", 2, "--memory and --neurons cannot be combined"),
        ("--context 4", 2, "--context needs --memory"),
        ("--reset 4", 2, "--reset needs --memory"),
        ("--memory nofile", 1, "no such file: nofile"),
    ],
)
def test_an_error_is_one_line(run: Run, trained: Path, options: str, code: int, words: str) -> None:
    assert_one_line(run("inspect", "-c", trained, *options.split()), code, words)


@pytest.mark.parametrize("option", ["--context", "--reset"])
def test_score_says_where_its_options_went(run: Run, option: str) -> None:
    now = f"{option} has moved: charrnn inspect --memory FILE {option} N"
    assert_one_line(run("score", "a", option, "3"), 2, now)
    assert_one_line(run("score", "a", f"{option}=3"), 2, now)
