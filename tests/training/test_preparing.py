"""Prepare and resume runs, and refuse other texts."""

from pathlib import Path

import pytest

from charrnn.errors import CheckpointError, CorpusError, UnfinishedError
from charrnn.parallel.threads import Workers
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.training import resuming
from charrnn.training.preparing import claimed, resume
from tests.training.runs import begin, go_on, stop_at

pytestmark = pytest.mark.figures


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


def test_what_is_asked_for_reaches_the_run(text: Path, output: Path) -> None:
    run = begin(text, output, steps=3, learning_rate=0.5)
    assert (run.trainer.config.steps, run.trainer.config.learning_rate) == (3, 0.5)
    assert run.given["learning_rate"] == 0.5
    assert run.record.command == "a command"
    assert run.record.init_from is None
    assert run.record.baselines
    assert not output.exists()


def test_one_run_writes_an_output(output: Path, text: Path) -> None:
    with claimed(output), pytest.raises(CheckpointError, match="another"), claimed(output):
        pass
    stop_at(begin(text, output), 10)
    with pytest.raises(UnfinishedError, match="unfinished run"), claimed(output):
        pass
    with claimed(output, force=True):
        pass
