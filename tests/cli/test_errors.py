"""Errors of every command: one line, an exit code, and nothing overwritten."""

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from charrnn import cli
from charrnn.config import LINES, ModelConfig
from charrnn.ids import EOS
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.storage import checkpoint
from charrnn.text.vocabulary import Vocabulary
from tests.commands import TEXT, Run, assert_one_line, contents


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    """Files and folders that no command can use."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "model.npz").write_bytes(trained.read_bytes())
    (folder / "old.jsonl").write_text('{"step": 1, "epochs": 0.5}\n')
    (folder / "text.txt").write_text(TEXT)
    (folder / "empty.txt").touch()
    (folder / "newline.txt").write_text("\n")
    (folder / "folder").mkdir()
    (folder / "folder" / "notes.md").write_text("no text")
    (folder / "latin.txt").write_bytes(b"caf\xe9 au lait\n")
    (folder / "zeros").write_bytes(bytes(100))
    (folder / "bomb.txt.gz").write_bytes(gzip.compress(b"a" * (33 << 20), 1))
    (folder / "cut.txt.gz").write_bytes(gzip.compress(TEXT.encode())[:-9])
    (folder / "cut.npz").write_bytes(trained.read_bytes()[:1000])
    arrays = dict(np.load(trained))
    metadata = json.loads(str(arrays["metadata"]))
    arrays["metadata"] = np.array(json.dumps({**metadata, "version": 99}))
    np.savez(folder / "version.npz", **arrays)
    arrays["metadata"] = np.array(json.dumps({**metadata, "tokens": {"tokens": "word"}}))
    np.savez(folder / "words.npz", **arrays)
    ngram = ModelConfig(5, cell="ngram", order=2)
    counts = fit(ngram, count_ngrams(ngram, np.array([2, 3, 4, EOS])))
    found = checkpoint.Checkpoint(counts, Vocabulary("abc"), LINES)
    checkpoint.save(found, folder / "counts.npz")
    return folder


@pytest.fixture
def bad_inputs(folder: Path, bad: Path) -> Path:
    """A copy of them to work in."""
    shutil.copytree(bad, folder, dirs_exist_ok=True)
    return folder


TRAIN = "train text.txt --steps 2 --hidden-size 4 -o model.npz --log old.jsonl "
TUNE = "train text.txt --steps 2 -o model.npz --init-from "
SAMPLE = "sample h -c model.npz --length 3 "
ERRORS = [
    ("train nofile", 1, "no such file: nofile"),
    ("train empty.txt", 1, "no text in empty.txt"),
    ("train newline.txt", 1, "no text in newline.txt"),
    ("train folder", 1, "no .txt in folder/: 1 .md; try --glob '*.md'"),
    ("train text.txt --glob *.md", 2, "--glob chooses files of a folder; no folder is given"),
    ("train --field text --lines", 2, "--field cannot be combined with --lines or --whole"),
    ("train text.txt --field text", 1, "line 1 of text.txt is neither JSON nor a header with"),
    ("train latin.txt", 1, "not valid UTF-8 at byte 3; --encoding cp1252 would read it"),
    ("train cut.txt.gz", 1, "cut.txt.gz is cut off"),
    ("train bomb.txt.gz", 1, "bomb.txt.gz holds more than 32 MB, the limit; --max-size sets"),
    ("train text.txt --val bomb.txt.gz --max-size 2", 1, "more than 2 MB, the limit; --max-size"),
    ("score --file bomb.txt.gz -c model.npz --max-size 2", 1, "more than 2 MB"),
    ("sample --prompts bomb.txt.gz -c model.npz --max-size 2", 1, "more than 2 MB"),
    ("inspect --gradient-flow bomb.txt.gz -c model.npz --max-size 2", 1, "more than 2 MB"),
    ("train model.npz", 1, "model.npz is not text: it looks like a model"),
    ("train zeros", 1, "zeros is not text: it is full of NULs; give a text file"),
    ("score --file latin.txt -c model.npz", 1, "at byte 3; --encoding cp1252"),
    ("score --file nofile -c model.npz", 1, "nofile"),
    ("score --file folder -c model.npz", 1, "folder"),
    ("sample -c text.txt", 1, "text.txt is not a charrnn model"),
    ("sample -c empty.txt", 1, "empty.txt is not a charrnn model"),
    ("sample -c cut.npz", 1, "cut.npz is not a charrnn model"),
    ("sample -c nofile.npz", 1, "nofile.npz"),
    ("score hello -c version.npz", 1, "version 99"),
    ("inspect -c folder", 1, "folder"),
    ("train hello --steps 2 -o text.txt/below/h.npz", 1, "cannot write"),
    ("train hello --steps 2 -o folder/h", 2, "must end in .npz"),
    ("train hello --steps 2 -o ../folder", 2, "folder"),
    ("train hello --steps 2 -o h.npz --log folder", 2, "must end in .jsonl"),
    (
        "train hello --steps 2 -o h.npz --log text.txt/log.jsonl",
        1,
        "cannot write text.txt/log.jsonl",
    ),
    ("sample h -c folder", 1, "cannot load folder: it is a folder, not a model"),
    ("train hello --steps 2 -o h.txt", 2, "must end in .npz"),
    ("inspect -c model.npz --gradient-flow text.txt", 1, "longer text"),
    ("classify h -c model.npz", 2, "several models"),
    ("score h -c model.npz -c model.npz", 2, "different names"),
    ("classify -c model.npz -c folder/model.npz --labels text.txt", 1, "folder/model.npz"),
    ("inspect -c model.npz --memory text.txt --context 0", 2, "--context must be"),
    ("inspect -c model.npz --memory text.txt --reset 1,x", 2, "--reset must be"),
    ("sample h -c model.npz --prompts text.txt", 2, "PROMPT cannot be combined"),
    (TRAIN + "--val empty.txt", 1, "no text in empty.txt"),
    (TRAIN + "--val nofile", 1, "nofile"),
    (TRAIN + "--min-count 99", 1, "--min-count"),
    (TRAIN + "--hidden-size 1048576", 1, "GB of memory"),
    (TRAIN + "--cell transformer", 2, "rnn, lstm, gru"),
    (TRAIN + "--activation step", 2, "tanh, relu, sigmoid"),
    (TRAIN + "--activation relu", 2, "rnn"),
    (TRAIN + "--tokens syllable", 2, "--tokens must be one of char, word"),
    (TRAIN + "--normalize nfkc", 2, "--normalize must be one of nfc, nfd"),
    (
        TRAIN + "--normalize nfd --tokens word",
        2,
        "--normalize nfd is for characters, not for words",
    ),
    (TRAIN + "--tokens word --min-count 99", 1, "no word occurs 99 times"),
    (TRAIN + "--encoding klingon", 2, "klingon"),
    (TRAIN + "--split-on ; --lines", 2, "--split-on cannot be combined with"),
    (TRAIN + "--split-on ; --whole", 2, "--split-on cannot be combined with"),
    ("score h -c model.npz --split-on ; --lines", 2, "--split-on cannot be combined with"),
    ("score h -c model.npz --split-on ; --streams 2", 2, "--streams needs whole files"),
    (TUNE + "cut.npz", 1, "cut.npz is not a charrnn model, or damaged"),
    (TUNE + "nofile.npz", 1, "cannot read nofile.npz"),
    (TUNE + "version.npz", 1, "version 99"),
    (TUNE + "counts.npz", 1, "counts.npz holds counts and no weights to start from"),
    (TUNE + "model.npz --hidden-size 9", 2, "--hidden-size must be 8, as in model.npz, not 9;"),
    (TUNE + "model.npz --cell gru", 2, "--cell must be lstm, as in model.npz, not gru; leave"),
    (TUNE + "model.npz --cell ngram", 2, "--cell must be lstm, as in model.npz, not ngram;"),
    (TUNE + "model.npz --embedding-size 4", 2, "--embedding-size must be 0, as in model.npz"),
    (TUNE + "model.npz --tokens word", 2, "--tokens must be char, as in model.npz, not word;"),
    (TUNE + "model.npz --normalize nfd", 2, "--normalize must be nfc, as in model.npz, not nfd;"),
    (TUNE + "words.npz --tokens char", 2, "--tokens must be word, as in words.npz, not char;"),
    (TRAIN + "--epochs 1", 2, "the budget is one of --steps, --epochs and --minutes"),
    (TRAIN + "--normalise", 2, "No such option: --normalise"),
    (TRAIN + "--seed", 2, "--seed"),
    (SAMPLE + "--top-p 0", 2, "above 0"),
    (SAMPLE + "too much", 2, "unexpected"),
    ("paint", 2, "No such command: paint"),
]


@pytest.mark.parametrize(("command", "code", "words"), ERRORS)
def test_an_error_is_one_line_and_overwrites_nothing(
    run: Run, bad_inputs: Path, command: str, code: int, words: str
) -> None:
    before = contents(bad_inputs)
    assert_one_line(run(*command.split()), code, words)
    assert contents(bad_inputs) == before


NUMBERS = {
    TRAIN: [
        "--hidden-size", "--num-layers", "--batch-size", "--seq-len", "--learning-rate",
        "--clip-norm", "--steps", "--min-count", "--sample-every", "--threads", "--vocab-size",
        "--max-size",
    ],
    "train text.txt -o model.npz --log old.jsonl ": ["--minutes", "--epochs"],
    SAMPLE: ["--top-k", "--top-p", "--num-samples"],
    "score hello -c model.npz ": ["--threads"],
}  # fmt: skip
NUMBERS_OR_ZERO = {
    TRAIN: [
        "--embedding-size", "--dropout", "--val-fraction", "--unk-rate", "--weight-decay", "--seed",
    ],
    SAMPLE: ["--length", "--temperature", "--seed"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        *((c, option, "0 -1 nan inf x") for c, options in NUMBERS.items() for option in options),
        *((c, o, "-1 nan inf -inf x") for c, options in NUMBERS_OR_ZERO.items() for o in options),
    ],
)
def test_a_number_out_of_range_is_wrong_usage(
    run: Run, bad_inputs: Path, command: str, option: str, values: str
) -> None:
    before = contents(bad_inputs)
    for value in values.split():
        assert_one_line(run(*command.split(), option, value), 2)
    assert contents(bad_inputs) == before


@pytest.mark.parametrize("value", ["1e300", "99999999999999999999"])
@pytest.mark.parametrize(
    "option", ["--hidden-size", "--dropout", "--val-fraction", "--learning-rate", "--steps"]
)
def test_a_huge_number_is_wrong_usage(run: Run, bad_inputs: Path, option: str, value: str) -> None:
    assert_one_line(run(*TRAIN.split(), option, value), 2)


@pytest.mark.parametrize("command", ["train text.txt", "score hello -c model.npz"])
def test_an_empty_text_to_cut_at_is_wrong_usage(run: Run, bad_inputs: Path, command: str) -> None:
    assert_one_line(run(*command.split(), "--split-on", ""), 2, "--split-on must be a text")


@pytest.mark.parametrize(
    "command",
    [
        ("sample", "\udcff", "-c", "model.npz"),
        ("sample", "h", "--stop", "\udcff", "-c", "model.npz"),
        ("score", "\udcff", "-c", "model.npz"),
        ("score", "--file", "\udcff", "-c", "model.npz"),
        ("score", "h", "--split-on", "\udcff", "-c", "model.npz"),
        ("score", "h", "-c", "\udcff"),
        ("train", "\udcff"),
        ("train", "hello", "--cell", "\udcff"),
        ("train", "hello", "--val", "\udcff"),
        ("train", "hello", "--init-from", "\udcff"),
        ("train", "hello", "--\udcff"),
        ("\udcff",),
    ],
)
def test_bytes_that_are_no_text_are_one_line_too(
    run: Run, bad_inputs: Path, command: tuple[str, ...]
) -> None:
    result = run(*command)
    assert_one_line(result, result.code)
    assert result.code in (1, 2)


def test_an_error_cannot_drive_a_terminal(run: Run) -> None:
    assert_one_line(run("train", "no\x1b[31m\nfile"), 1, r"no\x1b[31m\nfile")


def test_a_fault_of_charrnn_is_one_line(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path | None) -> Path:
        raise KeyError("x")

    monkeypatch.setattr(checkpoint, "locate", broken)
    assert_one_line(run("inspect"), 1, "KeyError('x') at test_errors.py:")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere such a folder cannot be removed")
def test_a_folder_that_is_gone_is_named(run: Run, folder: Path) -> None:
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")
    (folder / "gone").rmdir()
    for command in (("inspect", "--list"), ("train", "hello", "--steps", "1")):
        assert_one_line(run(*command), 1, "the current folder no longer exists")


def test_a_library_that_does_not_fit_into_memory_is_named() -> None:
    numpy = "IMPORTANT: READ THIS\n\nOriginal error was: libx.so: failed to map segment\n"
    assert cli._failure(ImportError(numpy)) == (
        "cannot load a library: libx.so: failed to map segment",
        1,
    )


@pytest.mark.parametrize("option", ["--steps 0", "--cell lstn", "--dropout 2 --steps 1"])
def test_a_wrong_option_creates_no_folder(run: Run, folder: Path, option: str) -> None:
    assert_one_line(run("train", "hello", *option.split(), "-o", "new/m.npz"), 2, "must be")
    assert [*folder.iterdir()] == []
