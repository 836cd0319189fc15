"""`charrnn inspect --neuron` and `--neurons` beneath the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from charrnn.cli.inspect_neurons import read_for_units, show_neuron, show_neurons
from charrnn.inference.neurons import Reading, Unit, follow, network_of
from charrnn.storage import checkpoint
from charrnn.storage.checkpoint import Checkpoint
from tests.commands import TEXT

pytestmark = pytest.mark.figures

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def model(trained: Path) -> Checkpoint:
    return checkpoint.load(trained)


@pytest.fixture
def reading(model: Checkpoint, folder: Path) -> Reading:
    (folder / "text.txt").write_text(TEXT * 20)
    return read_for_units(model, "text.txt", "utf-8", None)


def test_a_text_is_cut_as_in_training_and_not_read_forever(
    model: Checkpoint, reading: Reading, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert len(reading.documents) == 60
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("charrnn.inference.neurons.MAX_CHARS", 100)
    read_for_units(model, "text.txt", "utf-8", None)
    assert "text.txt: only the first 100 characters are read" in capsys.readouterr().err


def test_a_unit_is_listed_as_json_and_as_a_page(
    model: Checkpoint, reading: Reading, folder: Path, capsys: Captured
) -> None:
    page = folder / "a.html"
    show_neuron(Path("m.npz"), model, "3", lambda: reading, page, True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 60
    assert {(row["checkpoint"], row["unit"], row["state"]) for row in rows} == {
        ("m.npz", "3", "tanh(C)")
    }
    (values,) = follow(network_of(model.model), reading.ids, [Unit(0, 3)])
    for row, (tokens, activations) in zip(rows, reading.parts(values), strict=True):
        assert row["tokens"] == [*tokens]
        np.testing.assert_allclose(row["activations"], activations, rtol=1e-6)
    assert "unit 3" in page.read_text(encoding="utf-8")


def test_a_pipe_gets_activations_and_a_terminal_colours(
    model: Checkpoint, reading: Reading, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    show_neuron(Path("m.npz"), model, "3", lambda: reading, None, False)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    show_neuron(Path("m.npz"), model, "3", lambda: reading, None, False)
    captured = capsys.readouterr()
    assert captured.out.count("\x1b") > 60
    assert "blue below zero, orange above" in captured.err


def test_what_units_track_is_a_table_json_or_a_page(
    model: Checkpoint, reading: Reading, folder: Path, capsys: Captured
) -> None:
    show_neurons(Path("m.npz"), model, lambda: reading, None, True)
    fields = json.loads(capsys.readouterr().out)
    assert fields["checkpoint"] == "m.npz"
    names = [row["property"] for row in fields["findings"]]
    assert len(names) > 3
    page = folder / "a.html"
    show_neurons(Path("m.npz"), model, lambda: reading, page, False)
    captured = capsys.readouterr()
    assert "a.html" in captured.err
    assert len(captured.out.splitlines()) > len(names)
    assert "track" in page.read_text(encoding="utf-8")
