"""Runs that stop and go on: the same weights to the bit, or a refusal that names the difference."""

import errno
import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import LINES, TrainConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError, CorpusError, DivergedError
from charrnn.parallel.threads import Workers
from charrnn.storage import archive, checkpoint
from charrnn.text.corpus import Corpus, Split, read_corpus, split_corpus
from charrnn.training import resuming
from charrnn.training.preparing import RunRequest, prepare, resume
from charrnn.training.progress import Progress
from charrnn.training.run import Run
from charrnn.training.trainer import Trainer

pytestmark = pytest.mark.figures

WORDS = "the old well held the door and the apple fell into the well\n"
SIZES = {"hidden_size": 8, "batch_size": 4, "seq_len": 8, "evaluations": 4}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A short text of some variety."""
    return write_text(tmp_path / "text.txt")


def write_text(file: Path) -> Path:
    words = np.random.default_rng(0).choice(WORDS.split(), 300)
    lines = [" ".join(words[start : start + 7]) for start in range(0, 300, 7)]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "model.npz"


def read(text: Path, separator: str | None = None) -> tuple[Corpus, Split]:
    corpus = read_corpus([str(text)], separator=separator)
    return corpus, split_corpus(corpus)


def begin(
    text: Path,
    output: Path,
    separator: str | None = None,
    tokens: VocabularyConfig | None = None,
    **options: Any,
) -> Run:
    """A new run."""
    if not options.keys() & {"steps", "epochs", "minutes"}:
        options["steps"] = 40
    options = {**SIZES, **options}
    tokens = tokens or VocabularyConfig()
    request = RunRequest(options, tokens=tokens, command="a command", given=options)
    return prepare(*read(text, separator), request, output=output, workers=Workers(1))


def go_on(text: Path, output: Path, separator: str | None = None, **budget: Any) -> Run:
    """The run of the output where it stopped."""
    suspended = resuming.load(output)
    found = read(text, separator)
    return resume(suspended, *found, budget, output=output, workers=Workers(1), started=0.0)


def stop_at(run: Run, step: int) -> list[Progress]:
    """Train until a step is done, and stop as at a signal."""
    progress = run.train()
    history = list(itertools.islice(progress, step))
    run.stop()
    return history


def weights(path: Path) -> Mapping[str, np.ndarray]:
    arrays: Mapping[str, np.ndarray] = checkpoint.load(path).model.arrays
    return arrays


def run_to_end(run: Run) -> list[Progress]:
    return list(run.train())


def history(path: Path) -> list[dict[str, Any]]:
    entries = checkpoint.load(path).training["history"]
    return [{**entry, "seconds": 0} for entry in entries]


KINDS: list[dict[str, Any]] = [
    *({"cell": cell} for cell in ("rnn", "lstm", "gru", "jordan")),
    {"cell": "jordan", "feedback": "target"},
    {"num_layers": 2, "dropout": 0.3, "recurrent_dropout": 0.2, "embedding_size": 5},
    {"ngram": 4, "dropout": 0.2},
    {"scheduled_sampling": 0.7, "batch_size": 33, "seq_len": 4},
    {"accumulate": 3, "dropout": 0.2, "seq_len": 4},
    {"separator": LINES},
    {"separator": LINES, "dropout": 0.3, "ngram": 3},
    {"tokens": VocabularyConfig("word")},
    {"tokens": VocabularyConfig(normalize="nfd", min_count=2)},
    {"epochs": 1.5},
    {"cell": "ngram", "order": 3},
]


@pytest.mark.parametrize("options", KINDS)
def test_a_resumed_run_ends_with_the_same_weights(
    text: Path, output: Path, options: dict[str, Any]
) -> None:
    separator = options.get("separator")
    whole = output.with_name("whole.npz")
    last = run_to_end(begin(text, whole, **options))[-1].step
    for stop in sorted({1, last // 4, last // 4 + 1, last - 1} & set(range(1, last))) or [0]:
        stop_at(begin(text, output, **options), stop)
        run = go_on(text, output, separator)
        assert run.trainer.counters.step == stop
        run_to_end(run)
        np.testing.assert_equal(weights(output), weights(whole))
        assert history(output) == history(whole)


def test_a_run_may_stop_again_and_again(text: Path, output: Path) -> None:
    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole, steps=15, dropout=0.3))
    stop_at(begin(text, output, steps=15, dropout=0.3), 1)
    for _ in range(13):
        stop_at(go_on(text, output), 1)
    run_to_end(go_on(text, output))
    np.testing.assert_equal(weights(output), weights(whole))


def test_the_file_to_resume_is_enough(text: Path, output: Path) -> None:
    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole))
    stop_at(begin(text, output), 25)
    best = weights(output)
    output.unlink()
    run = go_on(text, output)
    np.testing.assert_equal(weights(output), best)  # at once, before there is a better one
    run_to_end(run)
    np.testing.assert_equal(weights(output), weights(whole))


def test_an_older_model_is_kept_once_a_run(text: Path, output: Path) -> None:
    run_to_end(begin(text, output, seed=1))
    older, previous = output.read_bytes(), output.with_name("model.previous.npz")
    assert not previous.exists()
    stop_at(begin(text, output), 25)
    assert previous.read_bytes() == older
    run_to_end(go_on(text, output))
    assert previous.read_bytes() == older


def test_a_complete_run_says_so_and_takes_a_longer_budget(text: Path, output: Path) -> None:
    run_to_end(begin(text, output))
    run = go_on(text, output)
    assert run.record.complete
    assert run.result().steps == 40
    longer = go_on(text, output, steps=60)
    assert not longer.record.complete
    progress = run_to_end(longer)
    assert [item.step for item in progress] == list(range(41, 61))
    assert progress[0].learning_rate > progress[-1].learning_rate
    assert progress[-1].validation is not None
    assert len([item for item in progress if item.validation]) == 2  # of four in all steps


def test_a_longer_budget_is_allowed_in_the_middle(text: Path, output: Path) -> None:
    stop_at(begin(text, output, epochs=2), 10)
    run = go_on(text, output, epochs=3)
    last = run_to_end(run)[-1]
    assert last.fraction == 1
    assert last.epochs == pytest.approx(3, abs=0.1)


def test_minutes_go_on_where_they_stopped(text: Path, output: Path) -> None:
    stop_at(begin(text, output, minutes=0.5), 20)
    suspended = resuming.load(output)
    assert 0 < suspended.record.seconds < 30
    run = go_on(text, output)
    assert isinstance(run.trainer, Trainer)
    assert run.trainer.budget.steps == suspended.record.steps
    assert run.trainer.budget.deadline == pytest.approx(30 - suspended.record.seconds)
    longer = go_on(text, output, minutes=1)
    assert isinstance(longer.trainer, Trainer)
    assert longer.trainer.config.minutes == 1


def test_minutes_that_go_on_end_early_too_and_keep_time_for_the_end(
    text: Path, output: Path
) -> None:
    run = begin(text, output, minutes=0.2)
    stop_at(run, 3)
    again = go_on(text, output)
    assert isinstance(run.trainer, Trainer)
    assert isinstance(again.trainer, Trainer)
    assert (
        again.trainer.budget.most
        == run.trainer.budget.most
        == 60 * run.trainer.batches.steps_per_epoch
    )
    assert again.trainer.budget.reserve >= 1
    again.trainer.budget.deadline += 1e6
    again.trainer.budget.keep_time(3, step_seconds=1e-9, other_seconds=0)
    assert again.trainer.budget.steps == run.trainer.budget.most


def test_a_run_killed_after_its_last_step_makes_no_other(text: Path, output: Path) -> None:
    run = begin(text, output, steps=10, dropout=0.3)
    for progress in run.train():
        if progress.step == 10:
            run.suspend()  # it does so by the clock
            break
    again = go_on(text, output)
    assert not again.record.complete
    assert run_to_end(again) == []
    assert again.record.complete
    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole, steps=10, dropout=0.3))
    np.testing.assert_equal(weights(output), weights(whole))
    assert history(output) == history(whole)


def test_a_complete_run_has_all_figures_also_where_the_model_is_gone(
    text: Path, output: Path
) -> None:
    for options in ({"ngram": 3}, {"cell": "ngram", "order": 3}):
        output.unlink(missing_ok=True)
        checkpoint.beside(output, checkpoint.RESUME).unlink(missing_ok=True)
        run = begin(text, output, **options)
        run_to_end(run)
        expected, before = run.result().to_json(), weights(output)
        output.unlink()
        again = go_on(text, output)
        assert again.record.complete
        found = again.result().to_json()
        for name in ("seconds", "chars_per_sec"):
            assert found.pop(name) > 0
            expected.pop(name)
        assert found == expected
        assert found["baselines"].keys() >= {"unigram", "ngram", "xz"}
        np.testing.assert_equal(weights(output), before)


def test_a_longer_budget_compares_anew_with_the_network_alone(text: Path, output: Path) -> None:
    run = begin(text, output, ngram=3, steps=10)
    run_to_end(run)
    longer = go_on(text, output, steps=30)
    run_to_end(longer)
    assert longer.record.baselines["network"] != run.record.baselines["network"]
    assert longer.record.baselines["xz"] == run.record.baselines["xz"]


def test_a_run_of_an_earlier_version_goes_on(text: Path, output: Path) -> None:
    stop_at(begin(text, output), 10)
    change(output, lambda metadata, arrays: metadata["run"].pop("baselines"))
    run = go_on(text, output)
    assert run.record.baselines
    run_to_end(run)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"steps": 39}, "steps must be at least 40"),
        ({"epochs": 2.0}, "epochs must be left out: the budget of the run is in steps"),
        ({"minutes": 2.0}, "minutes must be left out"),
    ],
)
def test_no_other_budget_is_allowed(
    text: Path, output: Path, budget: dict[str, Any], message: str
) -> None:
    stop_at(begin(text, output), 10)
    with pytest.raises(ConfigError, match=message):
        go_on(text, output, **budget)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 9),
        ("cell", "gru"),
        ("seed", 1),
        ("learning_rate", 0.5),
        ("dropout", 0.9),
        ("tokens", "word"),
        ("vocab_size", 5),
        ("split_on", LINES),
    ],
)
def test_other_options_are_refused_by_name(
    text: Path, output: Path, name: str, value: object
) -> None:
    stop_at(begin(text, output), 10)
    suspended = resuming.load(output)
    with pytest.raises(ConfigError, match=rf"^{name} must be .* not " + re.escape(repr(value))):
        suspended.check({name: value})
    suspended.check({"hidden_size": 8, "cell": "lstm", "steps": 12, "vocab_size": None})


def test_what_was_asked_for_may_be_asked_for_again(text: Path, output: Path) -> None:
    stop_at(begin(text, output, minutes=0.05, evaluations=1000), 10)
    suspended = resuming.load(output)
    assert suspended.train.evaluations < 1000  # as many as there was time for
    suspended.check({"evaluations": 1000})


def test_another_text_is_refused(text: Path, output: Path) -> None:
    stop_at(begin(text, output), 10)
    content = text.read_text()
    text.write_text(content.replace("apple", "peach", 1))
    with pytest.raises(CorpusError, match=r"^the text has changed .* its new path .* init_from"):
        go_on(text, output)
    text.write_text(content)
    corpus = read_corpus([str(text)])
    with pytest.raises(CorpusError, match=r"the validation text has changed .*it with val"):
        resume(
            resuming.load(output),
            *(corpus, split_corpus(corpus, 0.2), {}),
            output=output,
            workers=Workers(1),
            started=0.0,
        )


def test_without_a_run_there_is_nothing_to_resume(text: Path, output: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no run to resume"):
        go_on(text, output)
    resuming.check_finished(output)


def test_an_unfinished_run_is_not_overwritten_unasked(text: Path, output: Path) -> None:
    stop_at(begin(text, output), 10)
    with pytest.raises(CheckpointError, match=r"step 10 of 40: choose another output, or force"):
        resuming.check_finished(output)
    run_to_end(go_on(text, output))
    resuming.check_finished(output)
    checkpoint.beside(output, checkpoint.RESUME).write_bytes(b"PK damaged")
    with pytest.raises(CheckpointError, match="force"):
        resuming.check_finished(output)


def test_an_unfinished_run_is_found_through_a_link_and_goes_on_through_it(
    text: Path, output: Path
) -> None:
    stop_at(begin(text, output), 10)
    (link := output.with_name("link.npz")).symlink_to(output.name)
    with pytest.raises(CheckpointError, match="unfinished run"):
        resuming.check_finished(link)
    run_to_end(go_on(text, link))
    assert link.is_symlink()
    resuming.check_finished(output)


def test_a_diverged_run_keeps_its_best_and_is_not_gone_on_with(
    text: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Trainer) -> Iterator[Progress]:
        yield from itertools.islice(original(self), 25)
        raise DivergedError("training diverged")

    original = Trainer.train
    monkeypatch.setattr(Trainer, "train", broken)
    with pytest.raises(DivergedError, match=r"the best model so far is in .*model\.npz"):
        run_to_end(begin(text, output))
    assert checkpoint.load(output).training["result"]["best_step"] in (10, 20)
    resuming.check_finished(output)
    with pytest.raises(CheckpointError, match="no run to resume"):
        go_on(text, output)


def test_a_full_disk_ends_no_run(text: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole))
    run = begin(text, output)
    progress = run.train()
    history = list(itertools.islice(progress, 15))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        history += itertools.islice(progress, 20)
    kept = [item.trouble for item in history if item.trouble]
    assert kept
    assert all("No space left on device; training goes on" in trouble for trouble in kept)
    history += progress
    assert len(history) == 40
    np.testing.assert_equal(weights(output), weights(whole))
    assert not [file for file in output.parent.iterdir() if file.suffix == ".tmp"]


# Files that are none

METADATA: list[tuple[tuple[str, ...], object]] = [
    (("model",), None),
    (("model", "hidden_size"), 1 << 20),
    (("model", "vocab_size"), 4),
    (("model", "cell"), "ngram"),
    (("train", "steps"), "many"),
    (("train", "minutes"), 3),
    (("train", "surprise"), 3),
    (("tokens", "tokens"), 7),
    (("text",), []),
    (("text", "sources"), [3]),
    (("text", "encoding"), 8),
    (("text", "val"), 8),
    (("given",), None),
    (("run", "history"), [{"step": 1}]),
    (("run", "history"), [3]),
    (("run", "seconds"), "long"),
    (("run", "steps"), 0),
    (("run", "surprise"), 1),
    (("numbers",), None),
    (("numbers", "step"), -3),
    (("numbers", "step"), "three"),
    (("numbers", "generators"), [1, 2]),
    (("numbers", "best_loss"), [1]),
    (("numbers", "best_loss"), None),
    (("numbers", "step"), 41),
    (("numbers", "step"), True),
    *((("numbers", "updates"), value) for value in (-1, 10**400, 1.5, "3")),
    *((("numbers", "seconds"), value) for value in (-1, 10**400, "inf", "nan", True)),
    (("numbers", "much_worse"), 10**400),
    (("run", "seconds"), 10**400),
    (("run", "steps"), 10**400),
    (("run", "steps"), 9),
    (("run", "history"), []),
    (("run", "complete"), 1),
    (("run", "baselines"), {"unigram": "2"}),
    (("run", "baselines"), {"another": 2.0}),
    (("run", "baselines"), {"xz": 10**400}),
]


def change(output: Path, damage: Callable[[Any, Any], object]) -> None:
    """Change the metadata and the arrays of a file to resume from."""
    path = checkpoint.beside(output, checkpoint.RESUME)
    arrays = dict(np.load(path))
    metadata = json.loads(str(arrays.pop("metadata")))
    damage(metadata, arrays)
    archive.write(path, resuming.KIND, metadata, arrays)


@pytest.mark.parametrize(("name", "value"), [("square", -1), ("mean", 1e30), ("state", 1e9)])
def test_numbers_that_no_training_makes_are_refused(
    text: Path, output: Path, name: str, value: float
) -> None:
    stop_at(begin(text, output, ngram=3), 10)
    change(output, lambda metadata, arrays: arrays.update({name: 0 * arrays[name] + value}))
    with pytest.raises(CheckpointError, match=r"cannot resume .*(moments|contexts)"):
        go_on(text, output)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file to resume from of a run that has stopped after ten steps."""
    folder = tmp_path_factory.mktemp("stopped")
    output = folder / "model.npz"
    stop_at(begin(write_text(folder / "text.txt"), output), 10)
    return checkpoint.beside(output, checkpoint.RESUME)


@pytest.mark.parametrize(("place", "value"), METADATA)
def test_metadata_of_no_run_is_refused(
    text: Path, output: Path, stopped: Path, place: tuple[str, ...], value: object
) -> None:
    output.parent.mkdir()
    shutil.copy(stopped, output.parent)

    def damage(metadata: Any, arrays: Any) -> None:
        for name in place[:-1]:
            metadata = metadata[name]
        metadata[place[-1]] = value

    change(output, damage)
    with pytest.raises(CheckpointError, match=r"cannot (load|resume)"):
        go_on(text, output)


@pytest.mark.parametrize("name", ["weights", "best", "mean", "square", "state"])
@pytest.mark.parametrize("wrong", ["missing", "short", "nan", "kind", "shape"])
def test_arrays_of_no_run_are_refused(
    text: Path, output: Path, stopped: Path, name: str, wrong: str
) -> None:
    output.parent.mkdir()
    shutil.copy(stopped, output.parent)
    path = checkpoint.beside(output, checkpoint.RESUME)
    arrays = dict(np.load(path))
    metadata = json.loads(str(arrays.pop("metadata")))
    array = arrays.pop(name)
    if wrong != "missing":
        arrays[name] = {
            "short": array[:-1],
            "nan": np.full_like(array, np.nan),
            "kind": array.astype(np.float64),
            "shape": array[None],
        }[wrong]
    archive.write(path, resuming.KIND, metadata, arrays)
    with pytest.raises(CheckpointError, match=r"cannot (load|resume)"):
        go_on(text, output)


def test_a_run_is_no_model_and_a_model_is_no_run(text: Path, output: Path) -> None:
    stop_at(begin(text, output), 10)
    path = checkpoint.beside(output, checkpoint.RESUME)
    with pytest.raises(CheckpointError, match="is no model but a run to resume"):
        checkpoint.load(path)
    other = output.with_name("other.npz")
    path.rename(other)
    with pytest.raises(CheckpointError, match="does not say that it is a charrnn file"):
        checkpoint.load(other)
    output.rename(path)
    with pytest.raises(CheckpointError, match="does not say that it is a charrnn run file"):
        resuming.load(output)


def test_a_budget_is_as_long_or_longer() -> None:
    train = TrainConfig(minutes=5)
    assert resuming.longer(train, {}) == train
    assert resuming.longer(train, {"minutes": 6}).minutes == 6
    assert math.isclose(resuming.longer(TrainConfig(epochs=2), {"epochs": 2.5}).epochs or 0, 2.5)
