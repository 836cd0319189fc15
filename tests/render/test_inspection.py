from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from charrnn.config import LINES, ModelConfig
from charrnn.ids import NUM_SPECIAL
from charrnn.render.inspection import clock, show_checkpoint
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.vocabulary import Vocabulary
from tests.mixing.test_mixed import make as make_mixed

CONFIG = ModelConfig(
    5, hidden_size=384, embedding_size=128, dropout=0.3, recurrent_dropout=0.4, ngram=6
)
VOCABULARY = Vocabulary([chr(0xAC00 + n) for n in range(300)])


def course(number: int) -> dict[str, Any]:
    entries = [
        {"step": n, "seconds": 70.0 * n, "train_bits_per_char": 2.0, "val_bits_per_char": 1 + 1 / n,
         "best": n % 2 == 0}
        for n in range(1, number + 1)
    ]  # fmt: skip
    return {"history": entries}


def shown(
    capsys: pytest.CaptureFixture[str], config: ModelConfig = CONFIG, **training: Any
) -> list[str]:
    """The lines of a model with these settings, which stands for one with arrays of its own."""
    arrays = {"layers.0.weight": np.zeros((1536, 458)), "head.weight": np.zeros((73, 385))}
    model: Any = SimpleNamespace(config=config, size=1234, arrays=arrays)
    show_checkpoint(Path("m.npz"), Checkpoint(model, VOCABULARY, LINES, training))
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def width(line: str) -> int:
    """Columns of a line, of which a syllable takes two."""
    return sum(1 + ("\uac00" <= char <= "\ud7a3") for char in line)


def test_what_is_in_a_checkpoint_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, **course(10))
    assert max(map(width, lines)) <= 80
    assert "m.npz: 1,234 parameters" in lines
    assert any(line.endswith("and 200 more") for line in lines)


def test_the_settings_of_other_cells_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    lstm, ngram, rnn = (
        " ".join(shown(capsys, ModelConfig(5, cell=cell, hidden_size=384)))
        for cell in ("lstm", "ngram", "rnn")
    )
    assert "activation" not in lstm
    assert "order" not in lstm
    assert "hidden_size 384" in lstm
    assert "activation tanh" in rnn
    assert "order 6" in ngram
    assert "hidden_size" not in ngram
    assert "1,234 k-grams" in ngram


def test_the_history_is_a_table_that_marks_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, **course(3))
    assert any("█▃▁  1.5000 bits per character at step 2" in line for line in lines)
    head, *rows = [line.split() for line in lines[-4:]]
    assert head == ["step", "epoch", "time", "learning", "rate", "train", "val"]
    assert rows[1] == ["2", "-", "2:20", "-", "2.0000", "1.5000", "*"]
    assert rows[2][-1] == "1.3333"


def test_of_a_long_history_some_rows_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, **course(1000))
    assert len(lines) < 50
    assert max(map(width, lines)) <= 80
    assert lines[-2].split()[0] == "1,000"
    assert "24 of 1,000 validations" in lines[-1]


def test_nothing_held_out_shows_no_curve(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, history=[{"step": 1, "best": True}])
    assert not [line for line in lines if line.startswith("validation")]
    assert lines[-1].split() == ["1", "-", "-", "-", "-", "-"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3 * 3600 + 62, "3:01:02")]
)
def test_a_time_is_minutes_and_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_mixture_says_what_it_trusts(capsys: pytest.CaptureFixture[str]) -> None:
    model = make_mixed()
    tokens = [" ", *(chr(0x61 + n) for n in range(model.vocab_size - NUM_SPECIAL - 1))]
    show_checkpoint(Path("m.npz"), Checkpoint(model, Vocabulary(tokens), LINES))
    lines = capsys.readouterr().out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("mixing"))
    bars = [line.split() for line in lines[first + 1 : first + 7]]
    assert [bar[0] for bar in bars] == ["2", "3", "5", "8", "12", "16"]
    assert max(len(bar[2]) for bar in bars if len(bar) > 2) == 40
    text = "\n".join(lines)
    assert "trusted most after" in text
    assert "space" in text
    assert max(map(len, lines)) <= 80
