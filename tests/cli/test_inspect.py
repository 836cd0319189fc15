"""`charrnn inspect`: a checkpoint, and beside it curves, units and lists."""

import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.inference.neurons import Unit, follow, network_of
from charrnn.storage import checkpoint
from tests.commands import TEXT, Run, assert_one_line, contents, on_a_terminal, posix
from tests.conftest import MakeCheckpoint

pytestmark = pytest.mark.figures


@pytest.fixture(autouse=True)
def files(folder: Path, trained: Path) -> None:
    (folder / "m.npz").write_bytes(trained.read_bytes())
    (folder / "text.txt").write_text('he said "(Hello" \x1b[2J\n\nworld)\n')
    (folder / "long.txt").write_text('the "Old" (well) and\n  the Door\n' * 30)


# A checkpoint


def test_inspect(run: Run, trained: Path) -> None:
    result = run("inspect", "-c", trained)
    assert (result.code, result.err) == (0, "")
    assert "cell lstm" in result.out
    assert "trained by  charrnn train corpus.txt --lines" in result.out
    (fields,) = run("inspect", "-c", trained, "--json").objects()
    assert fields["model"]["hidden_size"] == 8
    assert (fields["lines"], fields["separator"]) == (True, "\n")
    assert fields["training"]["history"][-1]["step"] == 30
    assert fields["parameters"] == sum(map(math.prod, fields["arrays"].values()))


def test_inspect_prints_no_control_characters(run: Run, trained: Path, folder: Path) -> None:
    driving = "\x1b[2J\x7f\x9b2J\u202e\u2066\r"
    history = [{driving: driving}, driving, {"x": [driving]}]
    loaded = checkpoint.load(trained)
    training = {"command": driving, "history": history, driving: driving}
    checkpoint.save(replace(loaded, training=training, separator=driving), folder / "x.npz")
    result = run("inspect", "-c", "x.npz", "--json")
    assert result.objects()[0]["training"] == training
    for text in (result.out, run("inspect", "-c", "x.npz").out):
        assert not {*text} & {*driving} - {*"[2J"}


def test_inspect_of_metadata_as_deep_as_can_be(run: Run, trained: Path, folder: Path) -> None:
    value: Any = {"x": 0.5}
    for _ in range(45):
        value = [value]
    loaded = checkpoint.load(trained)
    training = {"command": value, "history": [{"x": value}]}
    checkpoint.save(replace(loaded, training=training), folder / "x.npz")
    assert run("inspect", "-c", "x.npz", "--json").objects()[0]["training"] == training
    assert "0.5" in run("inspect", "-c", "x.npz").out


def test_inspect_of_a_foreign_history(run: Run, trained: Path, folder: Path) -> None:
    arrays = dict(np.load(trained))
    metadata = json.loads(str(arrays["metadata"]))
    training = {"history": [1, None, {"\x1b[31m": [2]}], "command": {"a": "\x1b[31m"}}
    arrays["metadata"] = np.array(json.dumps({**metadata, "training": training}))
    np.savez(folder / "foreign.npz", **arrays)
    result = run("inspect", "-c", "foreign.npz")
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.out


def test_gradient_flow_of_a_text(run: Run, trained: Path, folder: Path) -> None:
    (folder / "long.txt").write_text(TEXT * 5)
    (found,) = run("inspect", "-c", trained, "--gradient-flow", "long.txt", "--json").objects()
    assert found["distance"] == list(range(1, 101))
    assert len(found["h"]) == len(found["C"]) == 100
    assert 0 < found["h"][99] < found["h"][0]
    shown = run("inspect", "-c", trained, "--gradient-flow", "long.txt").out.splitlines()
    assert len(shown) == 2 * 11
    assert shown[1].split()[:2] == ["1", f"{found['h'][0]:.2e}"]


# Curves


def test_a_plot_of_several_models(run: Run, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    (folder / "other").mkdir()
    (folder / "other" / "m.npz").write_bytes((folder / "m.npz").read_bytes())
    models = ("-c", "m.npz", "-c", "other/m.npz", "-c", "everyday")
    result = run("inspect", *models, "--plot", "a.svg", "--over", "time")
    assert (result.code, result.out, result.err) == (0, "", "written to a.svg\n")
    picture = (folder / "a.svg").read_text()
    for name in ("m.npz", "other/m.npz", "everyday"):
        assert f">{name}</text>" in picture
    (found,) = run("inspect", "-c", "m.npz", "--plot", "b.png", "--json").objects()
    assert found == {"plot": "b.png", "checkpoints": ["m.npz"]}


def test_a_plot_without_matplotlib_is_a_hint(
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert_one_line(run("inspect", "--plot", "a.svg"), 1, "pip install matplotlib")
    assert not (folder / "a.svg").exists()


# Units


def test_in_a_pipe_a_unit_is_a_line_a_token(run: Run) -> None:
    result = run("inspect", "-c", "m.npz", "--neuron", "3", "text.txt")
    assert (result.code, result.err) == (0, "")
    first, second, _ = result.out.split("\n\n")
    rows = [line.split("\t") for line in first.splitlines()]
    assert "".join(token for token, _ in rows) == 'he said "(Hello" \x1b[2J'
    loaded = checkpoint.load("m.npz")
    ids = loaded.vocabulary.encode('he said "(Hello" \x1b[2J').astype(np.int64)
    (values,) = follow(network_of(loaded.model), ids, [Unit(0, 3)])
    assert [value for _, value in rows] == [f"{value:.4f}" for value in values]
    assert second.startswith("w\t")


def test_a_unit_as_json_is_a_line_a_document(run: Run) -> None:
    result = run("inspect", "-c", "m.npz", "--neuron", "0.3", "text.txt", "--json")
    first, second = result.objects()
    assert second["tokens"] == [*"world)"]
    assert len(first["tokens"]) == len(first["activations"]) == 21
    assert (first["unit"], first["state"]) == ("3", "tanh(C)")


@pytest.mark.slow
@posix
def test_on_a_terminal_a_text_is_coloured_unless_nobody_wants_it() -> None:
    command = ("inspect", "-c", "m.npz", "--neuron", "3", "text.txt")
    shown = on_a_terminal(*command, TERM="xterm-256color")
    head, first, second = shown.splitlines()
    assert head.startswith("unit 3: tanh(C) from ")
    assert re.search(r"\x1b\[38;5;16;48;5;\d+m", first)  # black on a colour
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in (first, second)]
    assert plain == [r'he said "(Hello" \x1b[2J', "world)"]
    assert on_a_terminal(*command, NO_COLOR="1").startswith("h\t")
    assert on_a_terminal(*command, TERM="dumb").startswith("h\t")


def test_neurons_are_found_and_said_how_well(run: Run) -> None:
    result = run("inspect", "-c", "m.npz", "--neurons", "long.txt")
    assert result.err == ""
    head, *rows, note = result.out.splitlines()
    assert head.split() == ["property", "unit", "1st", "half", "2nd", "half"]
    assert len(rows) == 6
    assert "chosen on the first half" in note
    (found,) = run("inspect", "-c", "m.npz", "--neurons", "long.txt", "--json").objects()
    assert [row.split()[-3] for row in rows] == [each["unit"] for each in found["findings"]]
    assert {*found["findings"][0]} == {"property", "unit", "chosen", "held_out"}
    assert (found["checkpoint"], found["state"]) == ("m.npz", "tanh(C)")


def test_pages_of_units(run: Run, folder: Path) -> None:
    shown = run("inspect", "-c", "m.npz", "--neuron", "3", "text.txt", "--html", "a.html")
    assert (shown.code, shown.out, shown.err) == (0, "", "written to a.html\n")
    page = (folder / "a.html").read_text()
    assert "<h1>m, unit 3: tanh(C) from" in page
    assert r"\x1b[2J" in re.sub("<[^>]*>", "", page)
    shown = run("inspect", "-c", "m.npz", "--neurons", "long.txt", "--html", "b.html")
    assert shown.err == "written to b.html\n"
    page = (folder / "b.html").read_text()
    assert page.count("<h2>") == 6
    for line in shown.out.splitlines()[1:-1]:
        assert line.split()[-2] in page  # what was found


def test_a_text_that_is_too_long_is_cut_with_a_word(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("charrnn.inference.neurons.MAX_CHARS", 7)
    result = run("inspect", "-c", "m.npz", "--neuron", "3", "text.txt")
    assert len(result.out.splitlines()) == 7 + 1
    assert result.err == "text.txt: only the first 7 characters are read\n"


def test_a_text_from_stdin_and_a_corpus_by_name(run: Run) -> None:
    command = ("inspect", "-c", "m.npz", "--neuron", "3")
    assert run(*command, "-", stdin=b"hello\n").out == run(*command, "hello").out


# Lists


def test_a_list_of_what_is_at_hand(run: Run, folder: Path) -> None:
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "mine.npz").write_bytes((folder / "m.npz").read_bytes())
    (folder / "checkpoints" / "cut.npz").write_bytes(b"PK")
    result = run("inspect", "--list")
    assert (result.code, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    rows = {line.split()[0]: line for line in result.out.splitlines() if line}
    assert "unusable" in rows["checkpoints/cut.npz"]
    assert "lstm 1x8" in rows["checkpoints/mine.npz"]
    assert "1.2792" in rows["everyday"]
    assert "189,755 characters in 7,561 lines" in rows["korean"]
    objects = run("inspect", "--list", "--json").objects()
    assert [each.get("model") or each["corpus"] for each in objects][2:] == [
        "everyday", "ilsang", "english", "hello", "korean", "stories",
    ]  # fmt: skip
    assert [each["error"] is None for each in objects[:2]].count(False) == 1
    assert run("inspect", "--list", "--json").out.count("\n") == 8
    assert json.loads(run("inspect", "--list", "--json").out.splitlines()[-1])["lines"] == 16_188


# Short names


def test_a_model_needs_no_option(run: Run) -> None:
    assert run("inspect", "m.npz").out == run("inspect", "-c", "m.npz").out
    unit = ("--neuron", "1", "text.txt")
    assert run("inspect", "m.npz", *unit).out == run("inspect", "-c", "m.npz", *unit).out
    assert run("inspect", "everyday").out.splitlines()[0].endswith("parameters")
    assert_one_line(run("inspect", "everday"), 1, "did you mean 'everyday'?")
    assert_one_line(
        run("inspect", "nothing"), 1, "no model named nothing; the models here are everyday, ilsang"
    )


# Errors


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("m.npz", 2, "only --plot takes several models"),
        ("m.npz --neuron 1 text.txt", 2, "only --plot takes several models"),
        ("--neuron 1", 2, "--neuron needs a text"),
        ("--neuron 1 everyday", 2, "--neuron needs a text"),
        ("--neuron 99 text.txt", 2, "--neuron must be a number from 0 to 7, not '99'"),
        ("--neuron x text.txt", 2, "--neuron must be"),
        ("--neuron 1 nofile", 1, "no such file: nofile"),
        ("--neuron 1 text.txt --html text.txt", 2, "must end in .html or .htm, not 'text.txt'"),
        ("--html a.html", 2, "--html needs --neuron or --neurons"),
        ("--neurons nofile", 1, "no such file: nofile"),
        ("--neurons text.txt --neuron 1 text.txt", 2, "cannot be combined"),
        ("--neurons text.txt --list", 2, "cannot be combined"),
        ("--neurons text.txt --encoding klingon", 2, "klingon"),
        ("-c m.npz", 2, "only --plot takes several models"),
        ("--plot text.txt", 2, "must end in .svg or .png, not 'text.txt'"),
        ("--plot a.svg --over epochs", 2, "--over must be one of steps, time"),
        ("--plot a.svg -c nofile.npz", 1, "nofile.npz"),
        ("--plot a.svg -c text.txt", 1, "text.txt is not a charrnn model"),
    ],
)
def test_an_error_is_one_line_and_writes_nothing(
    run: Run,
    folder: Path,
    options: str,
    code: int,
    words: str,
) -> None:
    before = contents(folder)
    assert_one_line(run("inspect", "-c", "m.npz", *options.split()), code, words)
    assert contents(folder) == before


def test_counts_have_no_units(run: Run) -> None:
    run("train", "long.txt", "--cell", "ngram", "-o", "n.npz", "--threads", "1")
    for options in (("--neuron", "1", "text.txt"), ("--neurons", "long.txt")):
        assert_one_line(run("inspect", "-c", "n.npz", *options), 2, "only a network has units")


def test_a_model_whose_numbers_grow_beyond_all_bounds_is_one_line(
    run: Run, folder: Path, make_checkpoint: MakeCheckpoint
) -> None:
    huge = make_checkpoint("helowrd", cell="rnn", activation="relu")
    for weights in huge.model.arrays.values():
        weights[:] = 3e38  # two of them add up to infinity, in whatever order a kernel adds
    checkpoint.save(huge, folder / "huge.npz")
    for options in (("--neuron", "1", "text.txt"), ("--neurons", "long.txt")):
        assert_one_line(run("inspect", "-c", "huge.npz", *options), 1, "predictions are not finite")
