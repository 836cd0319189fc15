"""`charrnn train`: what it prints, writes and remembers, and how it tunes other models."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from charrnn.storage import checkpoint
from tests.commands import RESULT_FIELDS, TEXT, TINY, Result, Run, assert_one_line, contents, start

# Output


def test_train_prints_nothing_but_messages_on_stderr(run: Run, folder: Path) -> None:
    result = run("train", "hello", *TINY)
    assert (result.code, result.out) == (0, "")
    assert "\nwritten to  checkpoints/hello.npz\n" in result.err.replace("\\", "/")
    assert "\n  charrnn sample -c hello\n" in result.err
    assert "\x1b" not in result.err
    assert "\r" not in result.err
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["hello.npz", "hello.resume.npz"]


def test_a_model_of_a_short_name_is_written_to_the_folder_and_found_there(
    run: Run, folder: Path
) -> None:
    assert run("train", "hello", *TINY, "-o", "py", "-q").code == 0
    assert (folder / "checkpoints" / "py.npz").is_file()
    sample = ("he", "--seed", "1", "--json")
    expected = run("sample", *sample, "-c", folder / "checkpoints" / "py.npz").out
    assert run("sample", *sample, "-c", "py").out == expected != ""
    assert run("train", "hello", "--init-from", "py", "--steps", "2", "-o", "two").code == 0
    assert run("train", "--resume", "-o", "two", "--steps", "3", "-q").code == 0
    assert_one_line(run("train", "hello", *TINY, "-o", "py.txt"), 2, "must end in .npz")


def test_train_json_carries_the_fields_of_the_design(run: Run) -> None:
    result = run("train", "hello", *TINY, "--json", "-o", "h.npz", "--seed", "7")
    (fields,) = result.objects()
    assert list(fields) == [*RESULT_FIELDS, "baselines"]
    assert fields["checkpoint"] == "h.npz"
    assert (fields["steps"], fields["seed"], fields["vocab_size"]) == (3, 7, 6)
    assert fields["val_bits_per_char"] is None
    assert fields["val_unk"] is None


def test_train_validates_on_the_file_of_val(run: Run, folder: Path) -> None:
    (folder / "val.txt").write_text("hello\nhelp\n")
    result = run("train", "hello", *TINY, "--val", "val.txt", "--json", "-o", "h.npz")
    (fields,) = result.objects()
    assert list(fields) == [*RESULT_FIELDS, "baselines", "val_known_share"]
    assert fields["val_bits_per_char"] > 0
    assert fields["val_unk"] == 1
    assert fields["val_known_share"] == 6 / 11  # a line of two, its end included
    assert "9 held out" in result.err


def test_a_field_of_data_is_read_from_a_pipe_and_resumed(run: Run, folder: Path) -> None:
    texts = [f"line {number}\nof two" for number in range(40)]
    lines = "".join(json.dumps({"n": 1, "text": text}) + "\n" for text in texts)
    train = ("train", "--field", "text", "-o", "m.npz")
    result = run(*train, "-", *TINY, stdin=lines.encode())
    assert result.code == 0
    assert result.err.startswith("stdin: 550 characters (20 different) in 40 documents; ")
    assert checkpoint.load(folder / "m.npz").separator == "\n\n"
    (folder / "data").mkdir()
    (folder / "data" / "a.jsonl").write_text(lines)
    again = ("train", "--resume", "-o", "m.npz", "--steps", "4", "-q")
    assert run(*again, "data").code == 0  # the field is that of the run
    assert_one_line(run(*again, "data", "--field", "n"), 1, "line 1 of data")
    assert_one_line(run(*again, "data", "--split-on", ";"), 2, "--split-on must be")


def test_validation_data_is_read_as_the_training_data_is(run: Run, folder: Path) -> None:
    (folder / "a.csv").write_text("n,text\n" + "1,hello world\n" * 20)
    (folder / "b.tsv").write_text("text\tn\nhello\t1\n")
    result = run("train", "a.csv", "--field", "text", "--val", "b.tsv", *TINY, "-o", "m.npz")
    assert (result.code, "5 held out" in result.err) == (0, True)


def test_a_glob_says_what_is_read_of_a_folder(run: Run, folder: Path) -> None:
    (folder / "notes" / "한글").mkdir(parents=True)
    (folder / "notes" / "a.md").write_text("hello " * 20)
    (folder / "notes" / "한글" / "메모.md").write_text("안녕 " * 20)
    (folder / "notes" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run("train", "notes", "--glob", "*.md", "--val", "notes", *TINY, "-o", "m.npz")
    assert result.code == 0
    assert "in 2 documents; 180 held out" in result.err
    assert_one_line(
        run("train", "notes", "--glob", "*", *TINY), 1, "a narrower --glob leaves it out"
    )
    assert run("train", "--resume", "-o", "m.npz", "--steps", "4", "-q").code == 0


def test_the_share_of_the_held_out_text_that_is_known_is_said(run: Run, folder: Path) -> None:
    (folder / "a.txt").write_text("".join(f"{n} the same words in every line\n" for n in range(99)))
    result = run("train", "a.txt", "--lines", *TINY, "-o", "m.npz", "--json")
    (fields,) = result.objects()
    share = f"{fields['val_known_share']:.0%} of the held-out text is in the training text too"
    assert share in result.err
    assert 0.5 < fields["val_known_share"] < 1


def test_a_folder_in_the_place_of_a_bundled_corpus_is_named(run: Run, folder: Path) -> None:
    (folder / "hello").mkdir()
    (folder / "hello" / "a.txt").write_text("mine")
    first, second, *_ = run("train", "hello", "--dry-run").err.splitlines()
    assert first.startswith("reading the folder hello here; the bundled corpus of that name is ")
    assert second.startswith("hello: 4 characters")
    path = first.rpartition(" ")[2]
    first, *_ = run("train", path, "--dry-run").err.splitlines()
    assert first.startswith("hello: 5 characters (4 different) in 1 line;")


def test_quiet_is_silent(run: Run) -> None:
    result = run("train", "hello", *TINY, "--quiet", "--sample-every", "1", "-o", "h.npz")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_second_run_keeps_the_previous_model(run: Run, folder: Path) -> None:
    run("train", "hello", *TINY, "-o", "h.npz")
    first = (folder / "h.npz").read_bytes()
    run("train", "hello", *TINY, "-o", "h.npz", "--seed", "1")
    assert (folder / "h.previous.npz").read_bytes() == first


def test_log_has_a_json_object_a_step(run: Run, folder: Path) -> None:
    result = run("train", "hello", *TINY, "-o", "h.npz", "--log", "run.jsonl")
    logged = Result(result.code, (folder / "run.jsonl").read_text(), "").objects()
    assert [entry["step"] for entry in logged] == [1, 2, 3]
    assert all(entry["loss"] > 0 for entry in logged)


def test_sample_every_shows_samples(run: Run) -> None:
    result = run("train", "hello", *TINY, "-o", "h.npz", "--sample-every", "2")
    assert "--- step 2\n" in result.err
    assert "--- step 3\n" not in result.err


def test_the_command_is_in_the_metadata(run: Run, folder: Path) -> None:
    run("train", "hello", *TINY, "-o", "a b.npz")
    command = checkpoint.load(folder / "a b.npz").training["command"]
    assert command == "charrnn train hello --steps 3 --hidden-size 4 --threads 1 -o 'a b.npz'"


def test_train_reads_stdin(run: Run) -> None:
    result = run("train", "-", *TINY, "--json", stdin=TEXT.encode())
    assert result.objects()[0]["checkpoint"] == str(checkpoint.FOLDER / "stdin.npz")


# Fine-tuning


KOREAN = "그는 문을 열었다.\n밖에는 비가 왔다.\nold\n" * 9


@pytest.mark.slow
def test_a_korean_text_from_a_pipe_is_learned_by_an_english_model(
    trained: Path, folder: Path
) -> None:
    (folder / "english.npz").write_bytes(trained.read_bytes())
    command = ("train", "-", "--lines", "--init-from", "english.npz", "--steps", "3")
    process = start(*command, "-o", "k.npz", "--json", stdin=subprocess.PIPE)
    out, err = process.communicate(KOREAN.encode(), timeout=60)
    (fields,) = Result(process.returncode, out.decode(), "").objects()
    kept, new = set("old "), set(KOREAN) - set("old \n")
    english = checkpoint.load(trained)
    dropped = len(english.vocabulary.tokens) - len(kept)
    assert list(fields) == [*RESULT_FIELDS, "init_from", "baselines"]
    assert fields["init_from"] == {
        "name": "english.npz",
        "corpus_sha256": english.training["corpus"]["sha256"],
        "kept": len(kept),
        "new": len(new),
        "dropped": dropped,
    }
    shown = f"4 characters kept, {len(new)} new, {dropped} dropped"
    assert f"from english.npz: {shown}\nlstm 1x8: " in err.decode()
    found = checkpoint.load(folder / "k.npz")
    assert found.training["init_from"] == fields["init_from"]
    assert set(found.vocabulary.tokens) == kept | new


def test_fine_tuning_onto_the_model_itself_keeps_it_as_the_previous_one(
    run: Run, trained: Path, folder: Path
) -> None:
    (folder / "m.npz").write_bytes(trained.read_bytes())
    command = ("train", "hello", "--init-from", "m.npz", "-o", "m.npz", "--steps", "2")
    result = run(*command, "--hidden-size", "8", "--cell", "lstm")
    assert (result.code, result.out) == (0, "")
    assert "from m.npz: 4 characters kept, 0 new, 5 dropped\n" in result.err
    assert (folder / "m.previous.npz").read_bytes() == trained.read_bytes()
    assert len(checkpoint.load(folder / "m.npz").vocabulary) == 6


def test_a_fine_tuned_run_that_goes_on_remembers_what_it_started_from(
    run: Run, trained: Path, folder: Path
) -> None:
    (folder / "m.npz").write_bytes(trained.read_bytes())
    command = ("train", "hello", "--init-from", "m.npz", "-o", "h.npz", "--json")
    (first,) = run(*command, "--steps", "3").objects()
    (folder / "m.npz").unlink()
    (longer,) = run(*command, "--steps", "6", "--resume").objects()
    assert longer["steps"] == 6
    assert longer["init_from"] == first["init_from"]
    assert checkpoint.load(folder / "h.npz").training["init_from"] == first["init_from"]
    result = run("train", "-o", "h.npz", "--init-from", "x.npz", "--resume")
    assert_one_line(result, 2, "--init-from must be 'm.npz' to resume this run")


def test_a_bundled_model_can_be_fine_tuned_by_its_name(run: Run) -> None:
    result = run("train", "hello", "--init-from", "everyday", "--dry-run")
    assert result.code == 0
    assert "\nfrom everyday: 4 characters kept, 0 new" in result.err
    assert "\nlstm 1x256: " in result.err


@pytest.mark.parametrize("tokens", [("--normalize", "nfd"), ("--tokens", "word")])
def test_a_fine_tuned_model_keeps_its_cell_and_its_kind_of_tokens(
    run: Run, folder: Path, tokens: tuple[str, str]
) -> None:
    (folder / "text.txt").write_text(TEXT * 3)
    run("train", "text.txt", "--lines", "--cell", "gru", *tokens, *TINY, "-o", "a.npz")
    run("train", "text.txt", "--lines", "--init-from", "a.npz", "--steps", "2", "-o", "b.npz")
    old, new = (checkpoint.load(folder / name) for name in ("a.npz", "b.npz"))
    assert new.model.config == old.model.config
    assert new.vocabulary.tokens == old.vocabulary.tokens
    assert new.vocabulary.config == old.vocabulary.config
    other = ("--tokens", "char") if tokens[0] == "--tokens" else ("--normalize", "nfc")
    result = run("train", "text.txt", "--init-from", "a.npz", *other, "-o", "c.npz")
    assert_one_line(result, 2, f"{tokens[0]} must be {tokens[1]}, as in a.npz, not {other[1]};")


# The plan


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    before = contents(folder)
    result = run("train", "text.txt", *TINY, "--dry-run", "--log", "log.jsonl")
    assert (result.code, result.out) == (0, "")
    assert "--steps 3" in result.err
    assert re.search(r"estimate: \d+ s and \d+ MB of memory", result.err)
    assert contents(folder) == before


def test_the_flags_of_a_plan_repeat_the_run(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT * 30)
    first = run("train", "text.txt", "--steps", "5", "-o", "a.npz", "--threads", "1")
    (plan,) = re.findall(r"^plan: ((?:.*\\\n)*.*)$", first.err, re.MULTILINE)
    run(
        "train", "text.txt", *shlex.split(plan.replace("\\\n", "")), "-o", "b.npz", "--threads", "1"
    )
    one, two = np.load("a.npz"), np.load("b.npz")
    for name in one.files:
        if name != "metadata":
            np.testing.assert_array_equal(one[name], two[name])
