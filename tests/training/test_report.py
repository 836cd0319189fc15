"""The report of a run, as JSON."""

import json
from pathlib import Path

from charrnn.config import VocabularyConfig
from charrnn.storage import checkpoint
from charrnn.storage.history import history
from tests.training.runs import begin, run_to_end


def test_figures_are_those_of_the_best_step(text: Path, output: Path) -> None:
    run = begin(text, output, learning_rate=0.3)
    progress = run_to_end(run)
    result, best = run.result(), [item for item in progress if item.best][-1]
    assert (result.best_step, result.steps) == (best.step, 40)
    assert best.validation is not None
    assert result.val_bits_per_char == best.validation.bits_per_char
    assert result.val_unk_share is None
    found = result.to_json()
    assert not found.keys() & {"val_unk_share", "init_from"}
    assert list(found)[-1] == "baselines"
    assert json.loads(json.dumps(found)) == found


def test_words_have_a_share_that_is_unknown(text: Path, output: Path) -> None:
    run = begin(text, output, tokens=VocabularyConfig("word", vocab_size=5), steps=4)
    run_to_end(run)
    share = run.result().to_json()["val_unk_share"]
    assert 0 < share < 1


def test_the_metadata_of_a_model_tells_the_course_of_its_run(text: Path, output: Path) -> None:
    run = begin(text, output, steps=8)
    assert run.checkpoint().training["result"] == {}  # nothing has been validated
    run_to_end(run)
    training = checkpoint.load(output).training
    assert list(training) == ["command", "config", "corpus", "result", "history"]
    assert training["command"] == "a command"
    assert training["corpus"]["sha256"] == run.data.corpus.sha256
    assert history(training) == run.record.history


def test_flags_repeat_the_plan(text: Path, output: Path) -> None:
    flags = begin(text, output, epochs=2).flags()
    assert "--hidden-size 8 " in flags
    assert flags.endswith(f"--steps {begin(text, output, epochs=2).trainer.budget.steps}")
