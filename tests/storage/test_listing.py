import os
from pathlib import Path

import numpy as np
import pytest

from charrnn.config import LINES, ModelConfig
from charrnn.errors import CheckpointError
from charrnn.ids import EOS
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.resources import bundled_model
from charrnn.storage import checkpoint, listing
from charrnn.storage.checkpoint import Checkpoint, load, locate, peek
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import MakeCheckpoint


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def save(made: Checkpoint, path: Path, time: int) -> None:
    checkpoint.save(made, path)
    os.utime(path, (time, time))


def test_models_are_listed_the_newest_first(folder: Path, make_checkpoint: MakeCheckpoint) -> None:
    made = make_checkpoint("abc", cell="gru", num_layers=2)
    history = [{"step": 1, "val_bits_per_char": 2.5, "best": True}]
    made.training.update(history=history, corpus={"name": "verse"})
    save(made, folder / "old.npz", 10)
    save(make_checkpoint("abc"), folder / "new.npz", 20)
    save(made, folder / "new.previous.npz", 30)
    save(made, folder / "new.resume.npz", 40)
    new, old = listing.models()
    assert (new.model, old.model) == (str(Path("checkpoints/new.npz")), "checkpoints/old.npz")
    assert new.model == str(locate())
    assert (old.cell, old.parameters, old.bytes) == (
        "gru 2x8", made.model.size, (folder / "old.npz").stat().st_size,
    )  # fmt: skip
    assert (old.bits_per_char, old.corpus, old.error) == (2.5, "verse", None)
    assert old.modified == "1970-01-01T00:00:10+00:00"
    assert (new.bits_per_char, new.corpus) == (None, None)


def test_a_model_is_described_by_its_sizes_and_its_text() -> None:
    lstm, counts = ModelConfig(9, num_layers=2, hidden_size=64), ModelConfig(9, cell="ngram")
    trained = {"corpus": {"name": "hello"}}
    assert listing.described(lstm, trained) == "lstm 2x64, trained on hello"
    assert listing.described(counts, trained) == "ngram, order 6, trained on hello"
    for unnamed in ({}, {"corpus": 1}, {"corpus": {"name": 2}}):
        assert listing.described(lstm, unnamed) == "lstm 2x64"


def test_files_that_are_no_models_are_listed_as_such(folder: Path, path: Path) -> None:
    (folder / "cut.npz").write_bytes(path.read_bytes()[:-1])
    (folder / "folder.npz").mkdir()
    (folder / "gone.npz").symlink_to("nowhere")
    (folder / "good.npz").write_bytes(path.read_bytes())
    found = {Path(each.model).stem: each for each in listing.models()}
    assert found["good"].error is None
    for name in ("cut", "folder"):
        assert name in (found[name].error or "")
        assert found[name].cell is None
    assert "gone" not in found


@pytest.mark.parametrize("time", [10**12, -(10**12), -1])
def test_a_model_is_listed_whatever_its_time_stamp_says(
    folder: Path, path: Path, time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.npz").write_bytes(path.read_bytes())

    def stat(file: Path, **options: bool) -> os.stat_result:
        found = os.stat(file, **options)
        return os.stat_result((*found[:8], time, *found[9:10]), {"st_mtime_ns": time * 10**9})

    monkeypatch.setattr(Path, "stat", stat)  # as no file system takes all of these
    (found,) = listing.models()
    assert found.modified == ("1969-12-31T23:59:59+00:00" if time == -1 else None)
    assert (found.error, found.bytes) == (None, path.stat().st_size)


def test_without_a_folder_there_are_no_models(folder: Path) -> None:
    folder.rmdir()
    assert listing.models() == []


def test_what_comes_along_is_listed() -> None:
    assert [each.model for each in listing.bundled_models()] == ["everyday", "ilsang"]
    for each in listing.bundled_models():
        loaded = load(bundled_model(each.model))
        assert each.parameters == loaded.model.size
        assert each.bits_per_char == loaded.training["result"]["val_bits_per_char"]
    assert [each.corpus for each in listing.corpora()] == ["english", "hello", "korean", "stories"]
    assert listing.corpora()[1] == listing.ListedCorpus("hello", 5, 1)


def test_a_peek_sees_what_loading_finds_without_reading_arrays(folder: Path, path: Path) -> None:
    config, size, _ = peek(path)
    assert (config, size) == (load(path).model.config, load(path).model.size)
    ngram = ModelConfig(5, cell="ngram", order=2)
    counts = fit(ngram, count_ngrams(ngram, np.array([2, 3, 4, EOS])))
    checkpoint.save(Checkpoint(counts, Vocabulary("abc"), LINES), folder / "counts.npz")
    assert peek(folder / "counts.npz")[:2] == (ngram, counts.size)
    arrays = dict(np.load(path))
    np.savez(folder / "wide.npz", **{**arrays, "head.weight": np.zeros((9, 9), np.float32)})
    np.savez(folder / "nan.npz", **{**arrays, "head.weight": arrays["head.weight"] * np.nan})
    with pytest.raises(CheckpointError, match=r"head.weight is <f4 \(9, 9\)"):
        peek(folder / "wide.npz")
    assert peek(folder / "nan.npz")[1] == size  # what only the numbers tell


@pytest.mark.parametrize("corpus", [None, 1, "x", {}, {"name": ["x"]}])
def test_a_foreign_corpus_is_none(
    folder: Path, make_checkpoint: MakeCheckpoint, corpus: object
) -> None:
    made = make_checkpoint("abc")
    made.training["corpus"] = corpus
    save(made, folder / "a.npz", 10)
    assert [(each.corpus, each.error) for each in listing.models()] == [(None, None)]
