"""What a program sees after `import charrnn`."""

import inspect
import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pytest
import typer

import charrnn
from charrnn import cli
from charrnn.api import SampleSettings, Settings
from charrnn.config import LINES, ModelConfig, SampleConfig, TrainConfig, VocabularyConfig
from charrnn.storage import checkpoint
from tests.commands import call
from tests.conftest import MakeCheckpoint

pytestmark = pytest.mark.figures

TEXT = "hello world\nthe old well\nwe held the door\n" * 30
TINY: Settings = {"hidden_size": 4, "steps": 3, "ngram": 0}


@pytest.fixture
def model(make_checkpoint: MakeCheckpoint) -> charrnn.Model:
    return charrnn.Model(make_checkpoint(), threads=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(command: str) -> dict[str, Any]:
    """Those of a command, by name."""
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    return {parameter.name: parameter for parameter in commands[command].params}


# Types: what these functions assert is checked by mypy.


def test_types_are_known(model: charrnn.Model) -> None:
    assert_type(charrnn.load("everyday").score("a").bits_per_char, float | None)
    assert_type(model.sample("a", seed=1), str)
    assert_type(model.next("a"), list[tuple[str, float]])
    assert_type(model.choices("a", ["b"]), list[tuple[str, float]])
    assert_type(model.scores(["a"]), list[charrnn.Score])
    assert_type(model.samples(["a"])[0].stop, str | None)
    assert_type(model.state().copy(), charrnn.State)
    assert_type(model.state().feed("a").per_word, list[tuple[str, float]])
    assert_type(charrnn.train("hello", steps=1), charrnn.Model)


# Names: those of the command line.


def test_settings_are_the_fields_of_the_configurations() -> None:
    names = [f.name for kind in (VocabularyConfig, ModelConfig, TrainConfig) for f in fields(kind)]
    assert {*Settings.__annotations__} == {*names}
    assert {*SampleSettings.__annotations__} == {f.name for f in fields(SampleConfig)}


def test_the_names_are_those_of_the_command_line() -> None:
    named = {*inspect.signature(charrnn.train).parameters} - {"text", "progress", "settings"}
    assert named <= {*options("train")}
    hidden = {"warmup", "restart_rate"}  # that nobody has had to set
    assert {*Settings.__annotations__} - hidden <= {*options("train")}
    found = inspect.signature(charrnn.Model.sample).parameters
    assert {*found} - {"self", "settings"} <= {*options("sample")}
    assert {*SampleSettings.__annotations__} <= {*options("sample")}


@pytest.mark.slow
def test_a_program_and_the_command_line_do_the_same(folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    command = ("train", "text.txt", "--steps", "20", "--hidden-size", "8", "--lines")
    call(*command, "-o", "typed.npz")
    trained = charrnn.train(
        folder / "text.txt", steps=20, hidden_size=8, lines=True, output="m.npz", threads=2
    )
    loaded = charrnn.load("m.npz")
    for other in (charrnn.load("typed.npz"), loaded):
        for name, array in trained.checkpoint.model.arrays.items():
            assert (other.checkpoint.model.arrays[name] == array).all(), name
    assert call("sample", "h", "--seed", "3", "-c", "m.npz") == (loaded.sample("h", seed=3) + "\n")
    (scored,) = [json.loads(call("score", "held", "-c", "m.npz", "--json"))]
    found = loaded.score("held")
    for name in ("log_prob", "prob", "bits_per_char", "perplexity", "chars", "unk", "eos"):
        assert scored[name] == getattr(found, name), name


# Writing and scoring


def test_a_sample_is_that_of_its_seed(model: charrnn.Model) -> None:
    first = model.sample("ab", seed=5, length=30)
    assert first.startswith("ab")
    assert first == model.sample("ab", seed=5, length=30)
    assert len({model.sample(length=30) for _ in range(9)}) > 1
    together = model.samples(["ab", "", "c"], SampleConfig(length=30), seed=5)
    assert together[0].text == first
    assert [sample.seed for sample in together] == [5, 6, 7]
    assert together[2].text == model.sample("c", seed=7, length=30)
    assert model.samples([]) == []


def test_settings_of_a_sample_are_kept(model: charrnn.Model) -> None:
    assert len(model.sample("a", length=0)) == 1
    likeliest = {model.sample("a", temperature=0, length=9) for _ in range(5)}
    assert likeliest == {model.sample("a", top_k=1, length=9)}
    assert model.sample("a", seed=1) == model.sample("a", seed=1, temperature=0.8)
    assert "b" not in model.sample("a", stop="b", seed=1, length=100)[1:]
    (cut,) = model.samples(["a"], SampleConfig(100, stop=["zz", "b"]), seed=1)
    assert cut.text == model.sample("a", stop=["b", "", "zz"], seed=1, length=100)
    assert cut.stop == "stop"
    assert model.sample("a", stop=[r"\n"], seed=1) == model.sample("a", seed=1)  # no escape
    decomposed = model.samples(["a"], SampleConfig(stop="e\u0301"), seed=1)
    assert decomposed[0].stop in ("eos", "length")


def test_what_is_not_novel_is_drawn_again(model: charrnn.Model, folder: Path) -> None:
    plain = [sample.text for sample in model.samples(["a"] * 20, SampleConfig(length=2), seed=1)]
    known = plain[::2]
    (folder / "known.txt").write_text("\n".join(known))
    for novel in (known, folder / "known.txt"):
        found = model.samples(["a"] * 20, SampleConfig(length=2), seed=1, novel=novel)
        assert {*known}.isdisjoint(sample.text for sample in found)
        same = [new.text == old for new, old in zip(found, plain, strict=True)]
        assert same == [old not in known for old in plain]
        assert model.sample("a", length=2, seed=1, novel=novel) == found[0].text
    greedy: SampleSettings = {"length": 2, "temperature": 0}
    with pytest.raises(charrnn.CorpusError, match="stands in the corpus, and temperature 0"):
        model.sample("a", novel=[model.sample("a", **greedy)], **greedy)


def test_choices_are_ranked_by_their_scores(model: charrnn.Model) -> None:
    texts = ["a", "bc", "cab", "", "z"]
    found = model.choices("ab", texts)
    assert {text for text, _ in found} == {*texts}
    assert found == sorted(found, key=lambda pair: -pair[1])
    for text, log_prob in found:
        alone = model.score(text, given="ab", eos=False).log_prob
        assert log_prob == pytest.approx(alone, abs=1e-4)
    assert model.choices("ab", []) == []


def test_what_comes_next_adds_up_to_one(model: charrnn.Model) -> None:
    found = model.next("ab")
    assert {token for token, _ in found} == {"a", "b", "c", "<EOS>", "<UNK>"}
    assert sum(np.exp([log_prob for _, log_prob in found])) == pytest.approx(1)
    assert [pair[1] for pair in found] == sorted((pair[1] for pair in found), reverse=True)


def test_scores_are_those_of_each_text_alone(model: charrnn.Model) -> None:
    texts = ["abc", "", "cab" * 50, "z"]
    for score, text in zip(model.scores(texts), texts, strict=True):
        assert score.log_prob == pytest.approx(model.score(text).log_prob)
    assert len(model.scores(tuple(texts))) == len(texts)
    without = model.score("ab", eos=False)
    assert without.chars == 2
    assert without.prob == pytest.approx(np.exp(without.log_prob))
    assert without.bits_per_char == pytest.approx(-without.log_prob / 2 / np.log(2))
    assert without.perplexity == pytest.approx(np.exp(-without.log_prob / 2))
    assert model.score("", eos=False).bits_per_char is None


def test_a_text_is_read_in_steps(model: charrnn.Model) -> None:
    state = model.state()
    assert dict(state.next()) == pytest.approx(dict(model.next()))
    state.feed("ab")
    other = state.copy()
    other.feed("ca")
    assert [token for token, _ in state.next()] == [token for token, _ in model.next("ab")]
    assert other.log_prob == pytest.approx(model.score("abca", eos=False).log_prob, abs=1e-5)
    rest = model.score("ca", given="ab", eos=False).log_prob
    assert other.log_prob - state.log_prob == pytest.approx(rest, abs=1e-5)


def test_what_texts_continue_is_one_for_all_or_one_for_each(model: charrnn.Model) -> None:
    alike = model.scores(["b", "c"], given="a")
    assert [score.text for score in alike] == ["b", "c"]
    apart = model.scores(["b", "c"], given=["a", ""])
    assert apart[0].log_prob == pytest.approx(alike[0].log_prob, abs=1e-5)
    assert apart[1].log_prob == pytest.approx(model.score("c").log_prob, abs=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: model.sample(length=-1), "length must be"),
        (lambda model: model.sample(top_p=0), "top_p must be"),
        (lambda model: model.sample(seed=-1), "seed must be"),
        (lambda model: model.sample("\ud800"), "not valid Unicode"),
        (lambda model: model.sample(stop="\ud800"), "not valid Unicode"),
        (lambda model: model.next("\ud800"), "not valid Unicode"),
        (lambda model: model.score("\ud800"), "not valid Unicode"),
        (lambda model: model.score(None), "text must be a string, not None$"),
        (lambda model: model.score(["a"]), r"text must be .*, not list; scores\(\) takes a list"),
        (lambda model: model.score(b"a"), "text must be a string, not bytes$"),
        (lambda model: model.scores("abc"), r"list of strings; score\(\) takes one string"),
        (lambda model: model.scores(5), "texts must be a list of strings, not int"),
        (lambda model: model.scores(["a", 5]), r"texts\[1\] must be a string, not int"),
        (lambda model: model.scores(["a"], given=5), "given must be a string or a list of strings"),
        (lambda model: model.scores(["a"], given=["b", "c"]), "for each text, not 2 for 1 texts"),
        (lambda model: model.score("a", given=["b"]), r"given must be .*; scores\(\) takes a list"),
        (lambda model: model.state().feed(["a"]), "text must be a string, not list"),
        (lambda model: model.sample(["a"]), r"prompt must be .*; samples\(\) takes a list"),
        (lambda model: model.samples("ab"), r"prompts must be .*; sample\(\) takes one string"),
        (lambda model: model.samples([None]), r"prompts\[0\] must be a string, not None"),
        (lambda model: model.next(1.5), "prompt must be a string, not float"),
        (lambda model: model.save("m.txt"), r"must end in \.npz"),
        (lambda model: charrnn.Model(model.checkpoint, threads=0).score("a"), "threads must be"),
        (lambda model: charrnn.load("everyda"), "did you mean 'everyday'"),
    ],
)
def test_what_is_wrong_is_an_error_of_ours(model: charrnn.Model, call: Any, words: str) -> None:
    with pytest.raises(charrnn.CharRNNError, match=words):
        call(model)


@pytest.mark.parametrize("name", ["m.resume.npz", "m.previous.npz"])
def test_a_model_is_not_saved_under_a_name_that_a_run_needs(
    model: charrnn.Model, folder: Path, name: str
) -> None:
    for save in (model.save, lambda output: charrnn.train(TEXT, output=output, **TINY)):
        with pytest.raises(charrnn.ConfigError, match="charrnn itself keeps files of such names"):
            save(name)
    assert [*folder.iterdir()] == []


def test_a_model_is_not_saved_onto_an_unfinished_run_or_another_file(
    model: charrnn.Model, folder: Path
) -> None:
    def stop(progress: charrnn.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        charrnn.train(TEXT, output="m.npz", progress=stop, **TINY)
    with pytest.raises(charrnn.CheckpointError, match=r"unfinished run.* another name"):
        model.save("m.npz")
    (folder / "a.npz").write_text("mine")
    with pytest.raises(charrnn.CheckpointError, match="not a model that charrnn wrote"):
        model.save("a.npz")
    assert (folder / "a.npz").read_text() == "mine"


def test_a_model_that_is_saved_is_the_same(model: charrnn.Model, folder: Path) -> None:
    model.save(folder / "below" / "m.npz")
    loaded = charrnn.load(str(folder / "below" / "m.npz"))
    assert loaded.sample("a", seed=1) == model.sample("a", seed=1)
    assert repr(loaded) == repr(model) == "<charrnn.Model: lstm, 493 parameters, 5 tokens>"


# Training


@pytest.mark.parametrize("cell", ["lstm", "jordan", "ngram"])
def test_training_without_an_output_writes_and_prints_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], cell: str
) -> None:
    model = charrnn.train(TEXT, cell=cell, hidden_size=4, steps=3, lines=True)
    assert model.score("hello").bits_per_char is not None
    assert model.checkpoint.training["result"]["val_bits_per_char"] > 0
    assert model.checkpoint.training["result"]["checkpoint"] is None
    assert model.checkpoint.separator == LINES
    assert [*folder.iterdir()] == []
    assert tuple(capfd.readouterr()) == ("", "")


def test_training_for_minutes_keeps_the_best_weights() -> None:
    model = charrnn.train(TEXT, minutes=0.02, hidden_size=8, threads=1)
    result = model.checkpoint.training["result"]
    assert result["seconds"] < 60
    held_out = TEXT[-round(len(TEXT) * 0.1) :].removesuffix("\n")
    assert model.score(held_out, eos=False).bits_per_char == pytest.approx(
        result["val_bits_per_char"], abs=1e-4
    )


def test_progress_is_told_after_every_step() -> None:
    seen: list[charrnn.Progress] = []
    model = charrnn.train(TEXT, progress=seen.append, **TINY)
    assert [each.step for each in seen] == [1, 2, 3]
    assert seen[-1].fraction == 1
    assert model.checkpoint.training["command"] == (
        "charrnn.train(..., hidden_size=4, steps=3, ngram=0)"
    )


def test_settings_reach_the_model() -> None:
    model = charrnn.train(
        ["one", "two"] * 50,
        cell="gru",
        hidden_size=4,
        dropout=0.5,
        normalize="nfd",
        min_count=2,
        steps=3,
        seed=3,
    )
    assert model.checkpoint.model.config.cell == "gru"
    assert model.checkpoint.model.config.dropout == 0.5
    assert model.checkpoint.vocabulary.config.normalize == "nfd"
    assert model.checkpoint.vocabulary.config.min_count == 2
    assert model.checkpoint.training["config"]["seed"] == 3
    assert charrnn.train(TEXT, val="hello", **TINY).checkpoint.training["result"]["val_unk"] == 0
    tuned = charrnn.train("hello", init_from="everyday", steps=1, hidden_size=None)
    assert tuned.checkpoint.training["init_from"]["name"] == "everyday"


def test_an_output_is_a_run_that_the_command_line_resumes(folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)

    def stop(progress: charrnn.Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        charrnn.train(folder / "text.txt", output="m.npz", progress=stop, **TINY)
    with pytest.raises(charrnn.CheckpointError, match="unfinished run"):
        charrnn.train(TEXT, output="m.npz", **TINY)
    (result,) = [json.loads(call("train", "--resume", "-o", "m.npz", "--json"))]
    assert result["steps"] == 3
    whole = charrnn.train(TEXT, **TINY)
    resumed = checkpoint.load(Path("m.npz"))
    for name, array in whole.checkpoint.model.arrays.items():
        assert (resumed.model.arrays[name] == array).all()
    assert charrnn.train(TEXT, output="m.npz", force=True, **TINY)
    assert sorted(os.listdir()) == ["m.npz", "m.previous.npz", "m.resume.npz", "text.txt"]


def test_a_setting_that_there_is_not_is_a_type_error_with_the_nearest_one() -> None:
    with pytest.raises(TypeError, match="'minuts'; did you mean 'minutes'"):
        charrnn.train("hello", minuts=1)  # type: ignore[call-arg]


def test_a_misspelled_setting_of_a_sample_names_the_right_one(model: charrnn.Model) -> None:
    with pytest.raises(TypeError, match=r"sample\(\) knows no .*'lenght'; did you mean 'length'"):
        model.sample("a", lenght=1)  # type: ignore[call-arg]


train: Any = charrnn.train  # of any arguments
load: Any = charrnn.load


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            lambda _: train(None),
            "a text must be a string, a Path or a list of them, not None",
        ),
        (lambda _: train(3), "a text must be .*, not int"),
        (lambda _: train(b"x"), "a text must be .*, not bytes"),
        (lambda _: train([1, 2]), "a list of texts must contain only strings"),
        (lambda _: train(TEXT, val=3, **TINY), "a text must be .*, not int"),
        (lambda _: train(TEXT, output=3), "output must be a string or a Path, not int"),
        (
            lambda _: train(TEXT, init_from=3),
            "init_from must be a string or a Path, not int",
        ),
        (lambda _: train(Path(), steps=1, field=3), "field must be a string, not 3"),
        (lambda _: train(Path(), steps=1, glob=3), "glob must be a string, not 3"),
        (lambda _: train(Path(), steps=1, split_on=b"x"), "split_on must be a string, not b"),
        (lambda _: train(Path(), steps=1, encoding=None), "encoding must be a string, not None$"),
        (lambda _: train(Path(), steps=1, max_size="1"), "max_size must be a whole number"),
        (lambda model: model.samples([], {"length": 3}), "config must be a SampleConfig, not dict"),
        (lambda model: model.sample(novel=3), "a text must be .*, not int"),
        (lambda model: model.choices(["a"], "b"), "prompt must be a string, not list"),
        (lambda model: model.choices("a", "b"), "texts must be a list of strings"),
        (lambda _: load(3), "path must be a string or a Path, not int"),
        (lambda _: load(["everyday"]), "path must be a string or a Path, not list"),
        (lambda model: model.save(None), "path must be a string or a Path, not None"),
        (
            lambda model: model.score("x", eos="maybe"),
            "eos must be True, False or None, not 'maybe'",
        ),
    ],
)
def test_a_value_of_a_wrong_type_is_an_error_of_ours(
    model: charrnn.Model, action: Callable[[charrnn.Model], object], words: str
) -> None:
    with pytest.raises(charrnn.ConfigError, match=words):
        action(model)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 1, "minutes": 1}, "the budget is one of"),
        ({"steps": 0}, "steps must be"),
        ({"steps": 1, "threads": -1}, "threads must be"),
        ({"cell": "lstms"}, "cell must be one of .* did you mean 'lstm'"),
        ({"steps": 1, "lines": True, "split_on": "x"}, "split_on"),
        ({"steps": 1, "lines": "no"}, "lines must be True or False, not 'no'"),
        ({"steps": 1, "force": "no"}, "force must be True or False, not 'no'"),
        ({"steps": 1, "val_fraction": 2}, "val_fraction must be"),
        ({"steps": 1, "output": "m.txt"}, r"must end in \.npz"),
        ({"steps": 1, "init_from": "no"}, "no"),
    ],
)
def test_a_wrong_setting_is_an_error_of_ours(
    folder: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(charrnn.CharRNNError, match=words):
        charrnn.train(TEXT, **settings)
    assert [*folder.iterdir()] == []


def test_a_model_of_a_whole_file_begins_where_its_lines_do() -> None:
    text = ("X" + "ab " * 20 + "\n") * 100  # a chunk has the end of a line half of the time
    model = charrnn.train(
        text,
        lines=False,
        steps=300,
        evaluations=1,
        hidden_size=16,
        batch_size=16,
        ngram=0,
        dropout=0.0,
        recurrent_dropout=0.0,
        restart_rate=0.3,
        learning_rate=0.03,
        threads=1,
    )
    token, log_prob = model.next()[0]
    assert token == "X"
    assert np.exp(log_prob) > 0.8
