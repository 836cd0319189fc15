import errno
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from charrnn.config import LINES, WHOLE, ModelConfig, VocabularyConfig
from charrnn.errors import CheckpointError
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from charrnn.resources import BUNDLED_MODELS, bundled_model
from charrnn.storage.archive import VERSION
from charrnn.storage.checkpoint import (
    KIND,
    Checkpoint,
    keep_previous,
    load,
    locate,
    older_models,
    save,
)
from charrnn.storage.files import check_writable
from charrnn.text.vocabulary import Vocabulary
from tests.archives import is_refused, members, metadata, npy, refusal, rewrite
from tests.conftest import JAMO, MakeCheckpoint

Array = np.ndarray
TRAINING = {"command": "charrnn train x", "history": [{"step": 1, "loss": 0.1, "val": None}]}


# Saving and loading


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"cell": "gru", "num_layers": 3},
        {"cell": "rnn", "activation": "relu", "embedding_size": 5, "dropout": 0.25},
    ],
)
@pytest.mark.parametrize("separator", [WHOLE, LINES, "\n\n", "</é>"])
def test_what_is_saved_is_what_is_loaded(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, config: dict[str, Any], separator: str
) -> None:
    made = make_checkpoint('ab\n\0"\\é각\u0301\ufeff😀', **config)
    made = Checkpoint(made.model, made.vocabulary, separator, TRAINING)
    save(made, tmp_path / "a.npz")
    loaded = load(tmp_path / "a.npz")
    assert loaded.model.config == made.model.config
    assert loaded.vocabulary.tokens == made.vocabulary.tokens
    assert (loaded.separator, loaded.training) == (separator, TRAINING)
    assert [*loaded.model.arrays] == [*made.model.arrays]
    np.testing.assert_equal(loaded.model.arrays, made.model.arrays)
    assert made.model.arrays["head.weight"].any()


def test_saving_again_gives_the_same_arrays_and_metadata(path: Path, tmp_path: Path) -> None:
    save(load(path), tmp_path / "again.npz")
    assert members(tmp_path / "again.npz") == members(path)


def test_a_checkpoint_is_plain_arrays_and_one_json_text(path: Path) -> None:
    with np.load(path, allow_pickle=False) as arrays:
        assert {*arrays} == {"metadata", "layers.0.weight", "head.weight"}
        assert arrays["head.weight"].dtype == np.float32
    found = metadata(path)
    assert (found["format"], found["version"]) == (KIND, VERSION)
    assert found["vocabulary"] == ["a", "b", "c"]


NGRAM_TEXT = np.array([2, 3, 4, 2, 3, 0, 3, 4, 2, 0])


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """A checkpoint of an n-gram model."""
    config = ModelConfig(vocab_size=5, cell="ngram", order=3)
    model = fit(config, count_ngrams(config, NGRAM_TEXT))
    save(Checkpoint(model, Vocabulary("abc"), LINES), tmp_path / "counted.npz")
    return tmp_path / "counted.npz"


@pytest.fixture
def residual(tmp_path: Path, make_checkpoint: MakeCheckpoint) -> Path:
    """A checkpoint of a network on top of an n-gram model."""
    made = make_checkpoint("abc", hidden_size=2, ngram=3)
    assert isinstance(made.model, CharRNN)
    config = ngram_config(made.model.config)
    model = ResidualRNN(made.model, fit(config, count_ngrams(config, NGRAM_TEXT)))
    save(Checkpoint(model, made.vocabulary, LINES), tmp_path / "residual.npz")
    return tmp_path / "residual.npz"


with_ngram = pytest.mark.parametrize("kind", ["counted", "residual"])


@with_ngram
def test_an_ngram_model_comes_back_as_it_was(kind: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    model = load(path).model
    assert isinstance(model, NGram if kind == "counted" else ResidualRNN)
    with np.load(path) as arrays:
        assert {*model.arrays} == {*arrays} - {"metadata"}
        for name, array in model.arrays.items():
            np.testing.assert_array_equal(array, arrays[name])
            assert array.dtype == arrays[name].dtype
        assert arrays["ngram.alpha"].dtype == np.float16
    save(load(path), path.with_name("again.npz"))
    assert members(path.with_name("again.npz")) == members(path)


def test_a_network_on_an_ngram_model_predicts_what_it_did(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    made = make_checkpoint("abc", ngram=3, ngram_scale=0.5, num_layers=2)
    assert isinstance(made.model, CharRNN)
    config = ngram_config(made.model.config)
    model = ResidualRNN(made.model, fit(config, count_ngrams(config, NGRAM_TEXT), 12))
    save(Checkpoint(model, made.vocabulary, LINES), tmp_path / "a.npz")
    loaded = load(tmp_path / "a.npz").model
    assert isinstance(loaded, ResidualRNN)
    assert loaded.config == model.config
    assert loaded.ngram.size == 12
    inputs = np.column_stack([np.append(0, NGRAM_TEXT), np.append(0, NGRAM_TEXT[::-1])])
    for found, expected in zip(
        loaded.unroll(11, 2).forward(inputs, loaded.zero_state(2)),
        model.unroll(11, 2).forward(inputs, model.zero_state(2)),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_an_ngram_model_of_a_large_vocabulary_comes_back(tmp_path: Path) -> None:
    config = ModelConfig(vocab_size=300, cell="ngram", order=3)
    model = fit(config, count_ngrams(config, np.random.default_rng(0).integers(2, 300, 3000)))
    vocabulary = Vocabulary([chr(0x4E00 + number) for number in range(298)])
    save(Checkpoint(model, vocabulary, LINES), tmp_path / "a.npz")
    np.testing.assert_equal(load(tmp_path / "a.npz").model.arrays, model.arrays)


@pytest.mark.parametrize(
    ("name", "place", "value", "words"),
    [
        ("ngram.tokens", 5, 4, "not in order"),
        ("ngram.tokens", -1, 5, "not in order"),
        ("ngram.children", 0, 4, "do not fit together"),
        ("ngram.children", -1, 3, "do not fit together"),
        ("ngram.alpha", 3, 1.5, "out of range"),
        ("ngram.alpha", -1, 1, "out of range"),
        ("ngram.alpha", 0, math.nan, "not finite"),
        ("ngram.alpha", 0, -math.inf, "not finite"),
    ],
)
@with_ngram
def test_an_ngram_model_that_is_none_is_refused(
    kind: str, name: str, place: int, value: float, words: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    arrays = dict(np.load(path))
    arrays[name][place] = value
    np.savez(path, **arrays)
    assert words in refusal(path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ngram.tokens", lambda array: array[:-1]),
        ("ngram.tokens", lambda array: array[:0]),
        ("ngram.tokens", lambda array: array[None]),
        ("ngram.tokens", lambda array: array.astype(np.uint16)),
        ("ngram.tokens", lambda array: array.astype(np.int8)),
        ("ngram.children", lambda array: array[:-1]),
        ("ngram.children", lambda array: array[:0]),
        ("ngram.children", lambda array: np.append(array, np.zeros(99, array.dtype))),
        ("ngram.children", lambda array: array.astype(np.int64)),
        ("ngram.children", lambda array: array.astype(np.float16)),
        ("ngram.alpha", lambda array: array[:-1]),
        ("ngram.alpha", lambda array: array[:, None]),
        ("ngram.alpha", lambda array: array.astype(np.float32)),
        *((f"ngram.{name}", lambda array: None) for name in ("tokens", "children", "alpha")),
    ],
)
@with_ngram
def test_ngram_arrays_of_another_type_or_size_are_refused(
    kind: str, name: str, change: Callable[[Array], Array | None], request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    with np.load(path) as arrays:
        changed = change(arrays[name])
    rewrite(path, **{name.replace(".", "__"): None if changed is None else npy(changed)})
    assert "ngram" in (message := refusal(path)) or "n-gram" in message


@pytest.mark.parametrize("names", [["tokens", "alpha"], ["children"]])
def test_ngram_arrays_of_two_dimensions_are_refused(counted: Path, names: list[str]) -> None:
    with np.load(counted) as arrays:
        wide = {f"ngram__{name}": npy(arrays[f"ngram.{name}"][:, None]) for name in names}
    rewrite(counted, **wide)
    assert "arrays of its n-gram model are missing" in refusal(counted)


def test_children_may_be_wider_than_they_need_to_be(counted: Path) -> None:
    arrays = dict(np.load(counted))
    arrays["ngram.children"] = arrays["ngram.children"].astype(np.uint32)
    expected = load(counted).model
    np.savez(counted, **arrays)
    np.testing.assert_equal(load(counted).model.arrays, expected.arrays)


@pytest.mark.parametrize(
    ("kind", "changed", "words"),
    [
        ("path", {"ngram": 3}, "arrays of its n-gram model are missing"),
        ("path", {"cell": "ngram"}, "arrays of its n-gram model are missing"),
        ("residual", {"ngram": 0}, "do not fit its configuration"),
        ("residual", {"ngram": 2}, "longer than the order"),
        ("residual", {"cell": "ngram"}, "ngram must be 0"),
        ("residual", {"cell": "ngram", "ngram": 0}, "do not fit its configuration"),
        ("residual", {"ngram_scale": -1}, "ngram_scale must be"),
        ("counted", {"order": 2}, "longer than the order"),
        ("counted", {"cell": "lstm", "ngram": 3}, "do not fit its configuration"),
    ],
)
def test_an_ngram_model_is_where_the_configuration_says(
    kind: str, changed: dict[str, Any], words: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    found = metadata(path)
    found["model"] |= changed
    rewrite(path, metadata=npy(json.dumps(found)))
    assert words in refusal(path)


@with_ngram
def test_random_damage_to_an_ngram_model_is_refused_or_harmless(
    kind: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    whole, rng = dict(np.load(path)), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        name = f"ngram.{('tokens', 'children', 'alpha')[rng.integers(3)]}"
        damaged = whole[name].copy()
        numbers = damaged.view(np.uint8)
        places = rng.integers(numbers.size, size=rng.integers(1, 3))
        numbers[places] ^= rng.choice(np.array([1, 2, 4, 8, 16, 128], np.uint8), places.size)
        np.savez(path, **{**whole, name: damaged})
        if is_refused(path):
            refused += 1
            continue
        model, inputs = load(path).model, np.append(0, NGRAM_TEXT)[:, None]
        assert np.isfinite(model.unroll(11, 1).forward(inputs, model.zero_state(1))[0]).all()
    assert 100 < refused < 300


@pytest.mark.parametrize(
    ("tokens", "kind"),
    [
        (
            ["\n", " 각", "'", "don't", "é", "  "],
            VocabularyConfig("word", min_count=2, vocab_size=9),
        ),
        ("ᄀ\u1161\u11a8 e\u0301\ufffd", JAMO),
    ],
)
def test_a_vocabulary_of_any_tokens_comes_back_as_it_was(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, tokens: Sequence[str], kind: VocabularyConfig
) -> None:
    save(make_checkpoint(tokens, kind), tmp_path / "a.npz")
    loaded = load(tmp_path / "a.npz").vocabulary
    assert loaded.tokens == tuple(tokens)
    assert loaded.config == kind
    text = "각 각\ndon't é"
    np.testing.assert_equal(loaded.encode(text), Vocabulary(tokens, kind).encode(text))


@pytest.mark.parametrize("cell", ["lstm", "jordan"])
def test_what_older_metadata_lacks_has_its_default(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, cell: str
) -> None:
    path = tmp_path / "old.npz"
    save(make_checkpoint(cell=cell), path)
    found = metadata(path)
    del found["tokens"]
    found["model"] = {"cell": cell, "vocab_size": 5, "hidden_size": 8}
    rewrite(path, metadata=npy(json.dumps(found)))
    loaded = load(path)
    assert loaded.vocabulary.config == VocabularyConfig()
    assert loaded.model.config == ModelConfig(5, cell, hidden_size=8)


@pytest.mark.parametrize("separator", [LINES, WHOLE])
def test_older_metadata_says_only_whether_documents_were_lines(
    path: Path, make_checkpoint: MakeCheckpoint, separator: str
) -> None:
    save(make_checkpoint(separator=separator), path)
    found = metadata(path)
    del found["separator"]
    assert found["lines"] == (separator == LINES)
    rewrite(path, metadata=npy(json.dumps(found)))
    assert load(path).separator == separator


def test_loaded_weights_can_be_trained_on(path: Path) -> None:
    model = load(path).model
    assert isinstance(model, CharRNN)
    model.parameters.flat[:] += 1
    assert model.arrays["head.weight"].base is not None  # still views of one vector


def test_a_missing_folder_is_made(tmp_path: Path, make_checkpoint: MakeCheckpoint) -> None:
    save(make_checkpoint(), tmp_path / "new" / "er" / "a.npz")
    assert load(tmp_path / "new" / "er" / "a.npz")


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_checkpoint_has_the_permissions_of_any_new_file(path: Path) -> None:
    (path.parent / "other").touch()
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


# Whatever happens, the name holds a whole file


def savez_of_half(file: IO[bytes], **arrays: Array) -> None:
    file.write(b"PK half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refuse(*arguments: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(
    ("place", "name", "broken"),
    [(np, "savez", savez_of_half), (os, "replace", refuse), (os, "fsync", refuse)],
)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    path: Path,
    make_checkpoint: MakeCheckpoint,
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    name: str,
    broken: Callable[..., None],
) -> None:
    before = path.read_bytes()
    monkeypatch.setattr(place, name, broken)
    with pytest.raises(CheckpointError, match=r"cannot write .*tiny"):
        save(make_checkpoint("xyz"), path)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_an_interrupt_leaves_the_old_file_and_nothing_else(
    path: Path, make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **arrays: Array) -> None:
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(make_checkpoint("xyz"), path)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_what_is_no_json_never_reaches_the_file(path: Path) -> None:
    loaded, before = load(path), path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save(Checkpoint(loaded.model, loaded.vocabulary, LINES, {"loss": float("nan")}), path)
    assert path.read_bytes() == before


def test_the_previous_model_keeps_a_second_name(path: Path) -> None:
    previous = keep_previous(path)
    assert previous == path.with_name("tiny.previous.npz")
    assert previous.read_bytes() == path.read_bytes()
    assert {*path.parent.iterdir()} == {path, previous}


def trained(
    made: Checkpoint, text: str, val: float | None = None, seconds: float = 1
) -> Checkpoint:
    entry = {"step": 1, "seconds": seconds, "val_bits_per_char": val, "best": True}
    training = {"corpus": {"sha256": text}, "history": [entry]}
    return Checkpoint(made.model, made.vocabulary, made.separator, training)


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ({"val": 2.0}, {"val": 2.1, "seconds": 9}, "old"),
        ({"val": 2.1, "seconds": 9}, {"val": 2.0}, "new"),
        ({"val": 2.0}, {"val": 2.0}, "new"),
        ({"seconds": 2}, {"seconds": 1}, "old"),  # nothing was held out
        ({"seconds": 1}, {"seconds": 2, "val": 2.0}, "new"),
    ],
)
def test_of_one_text_the_better_model_is_kept(
    path: Path,
    make_checkpoint: MakeCheckpoint,
    old: dict[str, float],
    new: dict[str, float],
    kept: str,
) -> None:
    written = {}
    for name, figures in (("old", old), ("new", new)):
        save(trained(make_checkpoint(), "a", **figures), path)
        written[name] = path.read_bytes()
        previous = keep_previous(path)
    assert previous == path.with_name("tiny.previous.npz")
    assert previous.read_bytes() == written[kept]
    assert {*path.parent.iterdir()} == {path, previous}


def test_models_of_three_other_texts_are_kept_at_most(
    path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    for time, text in enumerate("abcdb"):
        save(trained(make_checkpoint(), text), path)
        kept = keep_previous(path)
        assert kept is not None
        os.utime(kept, (time, time))
    found = {file.name: load(file).training["corpus"]["sha256"] for file in older_models(path)}
    assert found == {
        "tiny.previous.npz": "d",
        "tiny.previous-2.npz": "b",
        "tiny.previous-3.npz": "c",
    }
    path.write_bytes(path.read_bytes()[:-1])
    assert keep_previous(path) is not None  # a damaged one takes the place of the oldest


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_an_older_model_is_as_private_as_it_was(path: Path) -> None:
    path.chmod(0o600)
    previous = keep_previous(path)
    assert previous is not None
    assert previous.stat().st_mode == path.stat().st_mode


def test_without_a_model_there_is_no_previous_one(tmp_path: Path) -> None:
    assert keep_previous(tmp_path / "a.npz") is None
    assert not [*tmp_path.iterdir()]


def test_where_nothing_can_be_written_is_said_before_the_work(path: Path) -> None:
    before = [*path.parent.iterdir()]
    for wrong in (path / "below.npz", path.with_name("x" * 250 + ".npz")):
        with pytest.raises(CheckpointError, match="cannot write"):
            check_writable(wrong)
    check_writable(path)
    check_writable(path.with_name("new.npz"))
    assert [*path.parent.iterdir()] == before


# Which one to use


def test_a_copy_of_a_bundled_model_is_not_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source tree has the bundled models in ./checkpoints, as a fresh clone of any order."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in BUNDLED_MODELS:
        (folder / f"{name}.npz").write_bytes(bundled_model(name).read_bytes())
    assert locate() == bundled_model()
    (folder / "own.npz").touch()
    os.utime(folder / "own.npz", ns=(0, 0))
    assert locate().resolve() == folder / "own.npz"
    (folder / "ilsang.npz").write_bytes(b"trained again")
    assert locate().resolve() == folder / "ilsang.npz"


def test_the_newest_model_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate() == bundled_model()
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert locate() == bundled_model()
    names = ["b", "a", "c", "z.resume", "z.previous", ".c.npz.temporary"]
    for age, name in enumerate(reversed(names)):
        (folder / f"{name}.npz").touch()
        os.utime(folder / f"{name}.npz", ns=(0, 10**15 - age))
    (folder / "newer.txt").touch()
    assert locate().resolve() == folder / "c.npz"
    os.utime(folder / "a.npz", ns=(0, 10**15 + 1))
    assert locate().resolve() == folder / "a.npz"


def test_a_short_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("checkpoints/both.npz", "both.npz", "here.npz", "checkpoints/everyday.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "both").mkdir()
    assert locate(Path("both")) == Path("checkpoints", "both.npz")
    assert locate(Path("here")) == Path("here.npz")
    assert locate(Path("everyday")) == bundled_model("everyday")
    assert locate(Path("nothing.npz")) == Path("nothing.npz")
    with pytest.raises(
        CheckpointError, match=r"^no model named nothing; the models here are every"
    ):
        locate(Path("nothing"))
    with pytest.raises(CheckpointError, match=r"^no model named heer; did you mean 'here.npz'"):
        locate(Path("heer"))
    (tmp_path / "here").touch()
    assert locate(Path("here")) == Path("here")


def test_a_checkpoint_that_is_named_is_used(tmp_path: Path) -> None:
    assert locate(tmp_path / "x.resume.npz") == tmp_path / "x.resume.npz"


# Metadata that is not charrnn's


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "other"},
        {"format": None},
        {"version": 2},
        {"version": 0},
        {"version": "1"},
        {"version": None},
        {"version": [1]},
        {"model": None},
        {"model": {"vocab_size": 5}},
        {"vocabulary": None},
        {"vocabulary": "abc"},
        {"vocabulary": ["a", "b", "b"]},
        {"vocabulary": ["a", "b"]},
        {"vocabulary": ["a", "b", "c", "d"]},
        {"vocabulary": ["a", "b", "cc"]},
        {"vocabulary": ["a", "b", ""]},
        {"vocabulary": ["a", "b", 3]},
        {"vocabulary": ["a", "b", ["c"]]},
        {"vocabulary": ["a", "b", "\ud800"]},
        {"vocabulary": {"a": 2, "b": 3, "c": 4}},
        {"lines": None},
        {"lines": 1},
        {"separator": None},
        {"separator": ["\n"]},
        {"separator": "\ud800"},
        {"training": []},
        {"training": None},
        {"training": {"loss": float("nan")}},
        {"training": {"loss": float("inf")}},
    ],
    ids=str,
)
def test_metadata_with_a_wrong_field_is_refused(path: Path, changed: dict[str, Any]) -> None:
    found = metadata(path)
    rewrite(path, metadata=npy(json.dumps({**found, **changed})))
    refusal(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"tokens": None},
        {"tokens": "word"},
        {"tokens": {"tokens": "syllable"}},
        {"tokens": {"tokens": ["char"]}},
        {"tokens": {"tokens": "line\nline"}},
        {"tokens": {"normalize": "nfkc"}},
        {"tokens": {"normalize": None}},
        {"tokens": {"tokens": "word", "normalize": "nfd"}},
        {"tokens": {"min_count": "1"}},
        {"tokens": {"min_count": 0}},
        {"tokens": {"vocab_size": 10**30}},
        {"tokens": {"vocab_size": True}},
        {"tokens": {"unknown": 1}},
        {"tokens": {"normalize": "nfd"}, "vocabulary": ["a", "b", "가"]},
        {"tokens": {"normalize": "nfd"}, "vocabulary": ["a", "b", "\u212b"]},
        {"vocabulary": ["a", "b", " c"]},
        {"tokens": {"tokens": "word"}, "vocabulary": ["a", "b", "b"]},
        {"tokens": {"tokens": "word"}, "vocabulary": ["a", "b", ""]},
        {"tokens": {"tokens": "word"}, "vocabulary": ["a", "b", 3]},
        {"tokens": {"tokens": "word"}, "vocabulary": ["a", "b", "c\udc80"]},
        {"tokens": {"tokens": "word"}, "vocabulary": ["a", "b"]},
    ],
    ids=str,
)
def test_a_vocabulary_that_is_none_is_refused(path: Path, changed: dict[str, Any]) -> None:
    found = metadata(path)
    rewrite(path, metadata=npy(json.dumps({**found, **changed})))
    refusal(path)


@pytest.mark.parametrize("name", ["format", "version", "model", "vocabulary", "lines", "training"])
def test_metadata_without_a_field_is_refused(path: Path, name: str) -> None:
    found = metadata(path)
    del found[name]
    rewrite(path, metadata=npy(json.dumps(found)))
    refusal(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_size": 3},
        {"hidden_size": -1},
        {"hidden_size": 2.0},
        {"hidden_size": True},
        {"hidden_size": 10**30},
        {"num_layers": 0},
        {"vocab_size": 6},
        {"cell": "transformer"},
        {"cell": ["lstm"]},
        {"cell": "line\nline"},
        {"cell": "rnn"},
        {"embedding_size": 4},
        {"dropout": float("nan")},
        {"dropout": 10**400},
        {"unknown": 1},
    ],
    ids=lambda changed: str(changed)[:40],
)
def test_a_wrong_configuration_is_refused(path: Path, changed: dict[str, Any]) -> None:
    found = metadata(path)
    found["model"] |= changed
    rewrite(path, metadata=npy(json.dumps(found)))
    refusal(path)
