"""The command line as its users meet it: output, exit codes, errors, signals and pipes."""

import codecs
import gzip
import io
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from charrnn import blas, checkpoint, cli
from charrnn.cli.options import PARTS
from charrnn.config import LINES, ModelConfig, VocabularyConfig
from charrnn.kneser_ney import count, fit
from charrnn.vocabulary import EOS, Vocabulary

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and file descriptors")

TEXT = "hello world\nthe old well\nwe held the door\n"
RESULT_FIELDS = [
    "checkpoint", "cell", "parameters", "vocab_size", "steps", "epochs", "seconds",
    "chars_per_sec", "train_bits_per_char", "val_bits_per_char", "val_unk", "best_step", "seed",
]  # fmt: skip
SCORE_FIELDS = [
    "text", "log_prob", "prob", "bits_per_char", "perplexity", "chars", "unk", "eos",
]  # fmt: skip
TINY = ("--steps", "3", "--hidden-size", "4", "--threads", "1")


@dataclass
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def objects(self) -> list[dict[str, Any]]:
        """The lines of stdout as JSON, which knows neither NaN nor Infinity."""
        return [json.loads(line, parse_constant=pytest.fail) for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """A function that runs a command in this process."""
    monkeypatch.setattr(blas, "use_one_thread", lambda: None)
    monkeypatch.setenv("COLUMNS", "80")
    before = signal.getsignal(signal.SIGTERM)

    def run(*args: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["charrnn", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = cli.main()
        return Result(code, *capfd.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


def start(
    *args: str | Path, module: Sequence[str] = ("-m", "charrnn"), **options: Any
) -> subprocess.Popen[bytes]:
    """A command as a process of its own, with pipes for what is not given."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, *module, *map(str, args)]
    return subprocess.Popen(command, **{**pipes, **options})


def finish(process: subprocess.Popen[bytes]) -> Result:
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, (out or b"").decode(), (err or b"").decode())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of lines, trained for a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "corpus.txt").write_text(TEXT)
    sizes = ("--hidden-size", "8", "--steps", "30", "--threads", "1")
    process = start("train", "corpus.txt", "--lines", *sizes, "-o", "model.npz", cwd=folder)
    assert finish(process).code == 0
    return folder / "model.npz"


@pytest.fixture(scope="session")
def endless(trained: Path) -> Path:
    """The same model, but no text ever ends."""
    arrays = dict(np.load(trained))
    arrays["head.weight"][EOS, 0] = -1e6  # the bias
    np.savez(trained.with_name("endless.npz"), **arrays)
    return trained.with_name("endless.npz")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_one_line(result: Result, code: int, words: str = "") -> None:
    """The contract for errors: an exit code, one plain line on stderr, nothing on stdout."""
    assert (result.code, result.out) == (code, ""), result.err
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert words in result.err


# Help


def registered() -> dict[str, Any]:
    return typer.main.get_command(cli.app).commands  # type: ignore[attr-defined, no-any-return]


def test_the_commands_are_those_of_the_design() -> None:
    assert list(registered()) == ["train", "sample", "score", "inspect"]


@pytest.mark.parametrize("name", registered())
def test_every_command_and_option_has_a_help_text(name: str) -> None:
    command = registered()[name]
    assert command.help
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize("name", registered())
def test_every_default_is_shown(name: str) -> None:
    for parameter in registered()[name].params:
        is_flag = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
        is_budget = parameter.name in ("epochs", "steps")  # said at --minutes
        if not is_flag and not is_budget:
            shown = parameter.show_default or "[default" in parameter.help
            assert shown or parameter.multiple, f"{name} {parameter.name}"


@pytest.mark.parametrize("command", ["", *registered()])
def test_help_is_plain_text_for_80_columns(run: Run, command: str) -> None:
    result = run(*command.split(), "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: charrnn {command}".rstrip())
    assert max(map(len, result.out.splitlines())) <= 80
    assert "\x1b" not in result.out
    assert "..." not in result.out.split("Commands:")[-1].replace("]...", "").replace("s... ", "")


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("charrnn ")


# Training


def test_train_prints_nothing_but_messages_on_stderr(run: Run, folder: Path) -> None:
    result = run("train", "hello", *TINY)
    assert (result.code, result.out) == (0, "")
    assert "charrnn sample -c checkpoints/hello.npz" in result.err.replace("\\", "/")
    assert "\x1b" not in result.err
    assert "\r" not in result.err
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["hello.npz", "hello.resume.npz"]


def test_train_json_carries_the_fields_of_the_design(run: Run) -> None:
    result = run("train", "hello", *TINY, "--json", "-o", "h.npz", "--seed", "7")
    (fields,) = result.objects()
    assert list(fields) == [*RESULT_FIELDS, "baselines"]
    assert fields["checkpoint"] == "h.npz"
    assert (fields["steps"], fields["seed"], fields["vocab_size"]) == (3, 7, 6)
    assert fields["val_bits_per_char"] is None
    assert fields["val_unk"] is None


def test_train_validates_on_the_file_of_val(run: Run, folder: Path) -> None:
    (folder / "val.txt").write_text("hello\nhelp\n")
    result = run("train", "hello", *TINY, "--val", "val.txt", "--json", "-o", "h.npz")
    (fields,) = result.objects()
    assert list(fields) == [*RESULT_FIELDS, "baselines"]
    assert fields["val_bits_per_char"] > 0
    assert fields["val_unk"] == 1
    assert "9 held out" in result.err


def test_quiet_is_silent(run: Run) -> None:
    result = run("train", "hello", *TINY, "--quiet", "--sample-every", "1", "-o", "h.npz")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_second_run_keeps_the_previous_model(run: Run, folder: Path) -> None:
    run("train", "hello", *TINY, "-o", "h.npz")
    first = (folder / "h.npz").read_bytes()
    run("train", "hello", *TINY, "-o", "h.npz", "--seed", "1")
    assert (folder / "h.previous.npz").read_bytes() == first


def test_log_has_a_json_object_a_step(run: Run, folder: Path) -> None:
    result = run("train", "hello", *TINY, "-o", "h.npz", "--log", "run.jsonl")
    logged = Result(result.code, (folder / "run.jsonl").read_text(), "").objects()
    assert [entry["step"] for entry in logged] == [1, 2, 3]
    assert all(entry["loss"] > 0 for entry in logged)


def test_sample_every_shows_samples(run: Run) -> None:
    result = run("train", "hello", *TINY, "-o", "h.npz", "--sample-every", "2")
    assert "--- step 2\n" in result.err
    assert "--- step 3\n" not in result.err


def test_the_command_is_in_the_metadata(run: Run, folder: Path) -> None:
    run("train", "hello", *TINY, "-o", "a b.npz")
    command = checkpoint.load(folder / "a b.npz").training["command"]
    assert command == "charrnn train hello --steps 3 --hidden-size 4 --threads 1 -o 'a b.npz'"


KOREAN = "그는 문을 열었다.\n밖에는 비가 왔다.\nold\n" * 9


def test_a_korean_text_from_a_pipe_is_learned_by_an_english_model(
    trained: Path, folder: Path
) -> None:
    (folder / "english.npz").write_bytes(trained.read_bytes())
    command = ("train", "-", "--lines", "--init-from", "english.npz", "--steps", "3")
    process = start(*command, "-o", "k.npz", "--json", stdin=subprocess.PIPE)
    out, err = process.communicate(KOREAN.encode(), timeout=60)
    (fields,) = Result(process.returncode, out.decode(), "").objects()
    kept, new = set("old "), set(KOREAN) - set("old \n")
    english = checkpoint.load(trained)
    dropped = len(english.vocabulary.tokens) - len(kept)
    assert list(fields) == [*RESULT_FIELDS, "init_from", "baselines"]
    assert fields["init_from"] == {
        "name": "english.npz",
        "corpus_sha256": english.training["corpus"]["sha256"],
        "kept": len(kept),
        "new": len(new),
        "dropped": dropped,
    }
    shown = f"4 tokens kept, {len(new)} new ones start as <UNK>, {dropped} dropped"
    assert f"from english.npz: {shown}\nlstm 1x8: " in err.decode()
    found = checkpoint.load(folder / "k.npz")
    assert found.training["init_from"] == fields["init_from"]
    assert set(found.vocabulary.tokens) == kept | new


def test_fine_tuning_onto_the_model_itself_keeps_it_as_the_previous_one(
    run: Run, trained: Path, folder: Path
) -> None:
    (folder / "m.npz").write_bytes(trained.read_bytes())
    command = ("train", "hello", "--init-from", "m.npz", "-o", "m.npz", "--steps", "2")
    result = run(*command, "--hidden-size", "8", "--cell", "lstm")
    assert (result.code, result.out) == (0, "")
    assert "from m.npz: 4 tokens kept, 0 new ones start as <UNK>, 5 dropped\n" in result.err
    assert (folder / "m.previous.npz").read_bytes() == trained.read_bytes()
    assert len(checkpoint.load(folder / "m.npz").vocabulary) == 6


def test_a_fine_tuned_run_that_goes_on_remembers_what_it_started_from(
    run: Run, trained: Path, folder: Path
) -> None:
    (folder / "m.npz").write_bytes(trained.read_bytes())
    command = ("train", "hello", "--init-from", "m.npz", "-o", "h.npz", "--json")
    (first,) = run(*command, "--steps", "3").objects()
    (folder / "m.npz").unlink()
    (longer,) = run(*command, "--steps", "6", "--resume").objects()
    assert longer["steps"] == 6
    assert longer["init_from"] == first["init_from"]
    assert checkpoint.load(folder / "h.npz").training["init_from"] == first["init_from"]
    result = run("train", "-o", "h.npz", "--init-from", "x.npz", "--resume")
    assert_one_line(result, 2, "--init-from must be 'm.npz' as in the run that is to go on")


def test_a_bundled_model_can_be_fine_tuned_by_its_name(run: Run) -> None:
    result = run("train", "hello", "--init-from", "everyday", "--dry-run")
    assert result.code == 0
    assert "\nfrom everyday: 4 tokens kept, 0 new" in result.err
    assert "\nlstm 1x384: " in result.err


@pytest.mark.parametrize("tokens", [("--normalize", "nfd"), ("--tokens", "word")])
def test_a_fine_tuned_model_keeps_its_cell_and_its_kind_of_tokens(
    run: Run, folder: Path, tokens: tuple[str, str]
) -> None:
    (folder / "text.txt").write_text(TEXT * 3)
    run("train", "text.txt", "--lines", "--cell", "gru", *tokens, *TINY, "-o", "a.npz")
    run("train", "text.txt", "--lines", "--init-from", "a.npz", "--steps", "2", "-o", "b.npz")
    old, new = (checkpoint.load(folder / name) for name in ("a.npz", "b.npz"))
    assert new.model.config == old.model.config
    assert new.vocabulary.tokens == old.vocabulary.tokens
    assert new.vocabulary.config == old.vocabulary.config
    other = ("--tokens", "char") if tokens[0] == "--tokens" else ("--normalize", "nfc")
    result = run("train", "text.txt", "--init-from", "a.npz", *other, "-o", "c.npz")
    assert_one_line(result, 2, f"{tokens[0]} must be {tokens[1]}, as in a.npz, not {other[1]};")


def test_train_reads_stdin(run: Run) -> None:
    result = run("train", "-", *TINY, "--json", stdin=TEXT.encode())
    assert result.objects()[0]["checkpoint"] == str(checkpoint.FOLDER / "stdin.npz")


# Sampling


def test_sample_prints_prompt_and_continuation(run: Run, endless: Path) -> None:
    command = ("sample", "he", "-c", endless, "--temperature", "0", "--length", "4")
    result = run(*command)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("he")
    assert len(result.out) == len("he") + 4 + len("\n")
    assert run(*command).out == result.out


def test_sample_json(run: Run, trained: Path) -> None:
    command = ("sample", "he", "-c", trained, "--length", "5", "--json")
    result = run(*command, "--num-samples", "3", "--seed", "4")
    assert [fields["seed"] for fields in result.objects()] == [4, 5, 6]
    for fields in result.objects():
        assert list(fields) == ["text", "prompt", "log_prob", "stop", "seed"]
        (alone,) = run(*command, "--seed", str(fields["seed"])).objects()
        assert alone["text"] == fields["text"]
        assert fields["text"].startswith("he")
        assert fields["stop"] in ("eos", "length")


def test_samples_without_json_come_in_order(run: Run, trained: Path) -> None:
    command = ("sample", "he", "-c", trained, "--length", "5", "--num-samples", "3", "--seed", "4")
    texts = [fields["text"] for fields in run(*command, "--json").objects()]
    assert run(*command).out == "".join(f"{text}\n" for text in texts)


def test_sample_stops_before_the_stop_text(run: Run, endless: Path) -> None:
    command = ("sample", "x", "-c", endless, "--temperature", "0", "--length", "9", "--json")
    (whole,) = run(*command).objects()
    stop = whole["text"][3:5]
    (cut,) = run(*command, "--stop", stop).objects()
    assert cut["stop"] == "stop"
    assert cut["text"] == "x" + whole["text"][1:].partition(stop)[0]


@pytest.mark.parametrize(
    ("stdin", "encoding", "prompt"),
    [
        ("hé\n".encode(), "utf-8", "hé"),
        ("he\u0301".encode(), "utf-8", "hé"),
        ("hé".encode("cp1252"), "cp1252", "hé"),
        (codecs.BOM_UTF8 + b"a\r\nb\r\n", "utf-8", "a\nb"),
        (b"", "utf-8", ""),
    ],
)
def test_sample_reads_a_prompt_from_stdin(
    run: Run, trained: Path, stdin: bytes, encoding: str, prompt: str
) -> None:
    command = ("sample", "-", "-c", trained, "--length", "0", "--encoding", encoding, "--json")
    assert run(*command, stdin=stdin).objects()[0]["prompt"] == prompt


def test_gradient_flow_of_a_text(run: Run, trained: Path, folder: Path) -> None:
    (folder / "long.txt").write_text(TEXT * 5)
    (found,) = run("inspect", "-c", trained, "--gradient-flow", "long.txt", "--json").objects()
    assert found["distance"] == list(range(1, 101))
    assert len(found["h"]) == len(found["C"]) == 100
    assert 0 < found["h"][99] < found["h"][0]
    shown = run("inspect", "-c", trained, "--gradient-flow", "long.txt").out.splitlines()
    assert len(shown) == 2 * 11
    assert shown[1].split()[:2] == ["1", f"{found['h'][0]:.2e}"]


def test_several_models_classify(run: Run, trained: Path, folder: Path) -> None:
    run("train", "hello", *TINY, "-o", "other.npz")
    models = ("-c", trained, "-c", "other.npz")
    (found,) = run("score", "the old well", *models, "--json").objects()
    assert found["label"] == "model"
    assert math.fsum(found["posterior"].values()) == pytest.approx(1)
    assert found["posterior"].keys() == found["log_prob"].keys() == {"model", "other"}
    assert run("score", "the old well", *models).out.split("\t")[0] == "model"
    (folder / "labels.tsv").write_text("the old well\tmodel\nthe door\tother\n")
    (counted,) = run("score", "--labels", "labels.tsv", *models, "--json").objects()
    assert counted["texts"] == 2
    assert counted["accuracy"] == 0.5
    assert counted["confusions"] == {"model": {"model": 1}, "other": {"model": 1}}
    table = run("score", "--labels", "labels.tsv", *models).out.splitlines()
    assert table[0] == "accuracy 0.5000 of 2 texts"
    assert table[2].split() == ["model", "1", "0"]


def test_context_prints_bits_by_context(run: Run, trained: Path) -> None:
    args = ("score", "hello world", "the old well", "", "-c", trained)
    found = run(*args, "--context", "1,3,50", "--json").objects()
    assert [item["context"] for item in found] == [1, 3, 50]
    (whole,) = run(*args, "--total", "--json").objects()
    assert found[-1]["bits_per_char"] == pytest.approx(whole["bits_per_char"], abs=1e-5)
    assert {item["chars"] for item in found} == {whole["chars"]}
    lines = run(*args, "--context", "1,3").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["context 1", "context 3"]


@pytest.fixture(scope="session")
def with_ngram(trained: Path) -> Path:
    """A network with an n-gram model, trained on whole text for a few steps."""
    sizes = ("--hidden-size", "8", "--steps", "30", "--threads", "1", "--ngram", "3")
    command = ("train", "corpus.txt", "--whole", *sizes, "-o", "both.npz")
    assert finish(start(*command, cwd=trained.parent)).code == 0
    return trained.with_name("both.npz")


def test_reset_cuts_texts_after_so_many_characters(run: Run, with_ngram: Path) -> None:
    args = ("score", "hello world", "the", "", "-c", with_ngram)
    found = run(*args, "--reset", "4,99", "--json").objects()
    assert [item["reset"] for item in found] == [4, 99]
    cut = run("score", "hell", "o wo", "rld", "the", "-c", with_ngram, "--total", "--json")
    assert found[0]["log_prob"] == pytest.approx(cut.objects()[0]["log_prob"], abs=1e-4)
    (whole,) = run(*args, "--total", "--json").objects()
    assert found[1]["log_prob"] == pytest.approx(whole["log_prob"], abs=1e-4)
    assert_one_line(run(*args, "--reset", "4,x"), 2, "reset must be whole numbers")


def test_a_part_of_a_network_with_ngrams_is_scored_alone(run: Run, with_ngram: Path) -> None:
    args = ("score", "hello world", "-c", with_ngram, "--json", "--part")
    bits = {part: run(*args, part).objects()[0]["bits_per_char"] for part in PARTS}
    assert len(set(bits.values())) == 3
    (plain,) = run(*args[:-1]).objects()
    assert plain["bits_per_char"] == bits["all"]
    assert_one_line(run(*args, "half"), 2, "part must be one of all, network, ngram")


def test_a_part_of_a_model_without_parts_is_an_error(run: Run, trained: Path) -> None:
    result = run("score", "he", "-c", trained, "--part", "ngram")
    assert_one_line(result, 2, "part ngram is of a network with n-grams")


def test_adapt_says_both_figures(run: Run, with_ngram: Path) -> None:
    text = "the cat sat on the mat, " * 20
    args = ("score", text, "he", "-c", with_ngram, "--adapt")
    long, short = run(*args, "--json").objects()
    (static,) = run("score", text, "-c", with_ngram, "--json").objects()
    assert long["bits_per_char"] == pytest.approx(static["bits_per_char"], abs=1e-5)
    assert long["adapted_bits_per_char"] < long["bits_per_char"] - 0.1
    assert short["adapted_log_prob"] == pytest.approx(short["log_prob"], abs=1e-5)  # one segment
    (total,) = run(*args, "--total", "--json").objects()
    for name in ("log_prob", "adapted_log_prob"):
        assert total[name] == pytest.approx(long[name] + short[name], abs=1e-4)
    lines = [line.split("\t") for line in run(*args).out.splitlines()]
    assert [line[-1] for line in lines] == [text, "he"]
    assert float(lines[0][2]) == pytest.approx(long["adapted_bits_per_char"], abs=1e-4)


def test_an_ngram_does_not_adapt(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    assert run("train", "text.txt", "--cell", "ngram", "-o", "n.npz").code == 0
    assert_one_line(run("score", "he", "-c", "n.npz", "--adapt"), 2, "--adapt is for networks")


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    before = contents(folder)
    result = run("train", "text.txt", *TINY, "--dry-run", "--log", "log.jsonl")
    assert (result.code, result.out) == (0, "")
    assert "--steps 3" in result.err
    assert re.search(r"about \d+ s and \d+ MB of memory", result.err)
    assert contents(folder) == before


def test_the_flags_of_a_plan_repeat_the_run(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT * 30)
    first = run("train", "text.txt", "--steps", "5", "-o", "a.npz", "--threads", "1")
    (plan,) = re.findall(r"^plan: ((?:.*\\\n)*.*)$", first.err, re.MULTILINE)
    run(
        "train", "text.txt", *shlex.split(plan.replace("\\\n", "")), "-o", "b.npz", "--threads", "1"
    )
    one, two = np.load("a.npz"), np.load("b.npz")
    for name in one.files:
        if name != "metadata":
            np.testing.assert_array_equal(one[name], two[name])


def test_next_shows_what_may_follow(run: Run, trained: Path) -> None:
    (found,) = run("sample", "he", "-c", trained, "--next", "--json").objects()
    assert found["prompt"] == "he"
    assert math.fsum(item["prob"] for item in found["next"]) == pytest.approx(1, abs=1e-5)
    shown = run("sample", "he", "-c", trained, "--next").out.splitlines()
    likeliest = found["next"][0]
    assert shown[0].split()[:2] == [likeliest["char"], f"{likeliest['prob']:.4f}"]
    assert shown[0].endswith("█")


def test_prompts_of_a_file_are_continued_in_order(run: Run, trained: Path, folder: Path) -> None:
    lines = [f"he{'l' * (number % 3)}" for number in range(300)]  # more than a block
    (folder / "prompts.txt").write_text("\n".join(lines) + "\n")
    found = run("sample", "-c", trained, "--prompts", "prompts.txt", "--seed", 5).objects()
    assert [item["prompt"] for item in found] == lines
    assert [item["seed"] for item in found] == list(range(5, 305))
    alone = run("sample", lines[298], "-c", trained, "--seed", 303, "--json").objects()
    assert alone[0]["text"] == found[298]["text"]


def test_sample_reads_a_long_prompt(run: Run, trained: Path) -> None:
    prompt = "hello " * 30_000
    result = run("sample", "-", "-c", trained, "--length", "1", "--json", stdin=prompt.encode())
    assert (result.code, result.err) == (0, "")
    assert result.objects()[0]["prompt"] == prompt


# Scoring


def test_score_json(run: Run, trained: Path) -> None:
    result = run("score", "hello", "the x", "-c", trained, "--json", "--per-char")
    hello, other = result.objects()
    assert list(hello) == [*SCORE_FIELDS, "per_char"]
    assert (hello["text"], hello["chars"], hello["unk"], hello["eos"]) == ("hello", 6, 0, True)
    assert other["unk"] == 1
    assert [entry["char"] for entry in hello["per_char"]] == [*"hello", "<EOS>"]
    total = sum(entry["log_prob"] for entry in hello["per_char"])
    assert total == pytest.approx(hello["log_prob"])
    assert hello["prob"] == pytest.approx(math.exp(total))
    assert hello["bits_per_char"] == pytest.approx(-total / 6 / math.log(2))


def test_score_total(run: Run, trained: Path) -> None:
    command = ("score", "hello", "the x", "", "-c", trained, "--no-eos")
    scores = run(*command, "--json").objects()
    (total,) = run(*command, "--json", "--total").objects()
    assert list(total) == ["texts", "log_prob", "chars", "unk", "bits_per_char", "perplexity"]
    assert (total["texts"], total["chars"], total["unk"]) == (3, 10, 1)
    assert total["log_prob"] == pytest.approx(sum(score["log_prob"] for score in scores))
    assert run(*command, "--total").out.startswith("texts\t3\nlog_prob\t")


@pytest.mark.parametrize("option", [(), ("--total",), ("--per-char",)])
def test_nothing_predicted_is_null(run: Run, trained: Path, option: tuple[str, ...]) -> None:
    (fields,) = run("score", "", "-c", trained, "--no-eos", "--json", *option).objects()
    assert (fields["chars"], fields["log_prob"]) == (0, 0)
    assert fields["bits_per_char"] is None
    assert fields["perplexity"] is None
    assert run("score", "", "-c", trained, "--no-eos", *option).code == 0


def test_a_model_of_huge_numbers_predicts_nothing(run: Run, trained: Path, folder: Path) -> None:
    arrays = dict(np.load(trained))
    for array in arrays.values():
        if array.dtype == np.float32:
            array[:] = 3e38
    np.savez(folder / "huge.npz", **arrays)
    (folder / "text.txt").write_text("hello\n" * 40)
    for command in (
        ("score", "hello"),
        ("score", "hello", "--per-char", "--json"),
        ("score", "--whole", "--file", "text.txt"),
        ("score", "hello", "--adapt"),
        ("sample", "h"),
        ("sample", "h", "--num-samples", "2", "--json"),
        ("sample", "h", "--next"),
        ("inspect", "--gradient-flow", "text.txt"),
    ):
        result = run(*command, "-c", "huge.npz")
        assert (result.code, result.out.strip("h")) == (1, "")  # of the prompt at most
        assert "error: the model predicts nothing" in result.err


def test_score_in_a_pipe_is_a_line_a_text_in_the_order_given(run: Run, trained: Path) -> None:
    result = run("score", "zzz", "a\tb\nc\\", "hello", "-c", trained)
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert [text for _, _, text in rows] == ["zzz", r"a\tb\nc\\", "hello"]
    assert all(float(log_prob) < 0 < float(bits) for log_prob, bits, _ in rows)


def test_score_per_char(run: Run, trained: Path) -> None:
    lines = run("score", "a\n", "b", "-c", trained, "--per-char").out.splitlines()
    names = [line.split("\t")[0] for line in lines]
    assert names == ["a", r"\n", "<EOS>", "", "b", "<EOS>", ""]


def test_score_files_and_stdin(run: Run, trained: Path, folder: Path) -> None:
    (folder / "two.txt").write_text("hello\n\nworld\n")

    def names(*args: str, stdin: bytes = b"") -> list[str]:
        result = run("score", "-c", trained, "--json", *args, stdin=stdin)
        return [fields["text"] for fields in result.objects()]

    assert names("--file", "two.txt") == ["hello", "", "world"]
    assert names("--file", "two.txt", "--whole") == ["two.txt"]
    assert names("first", "--file", "-", stdin=b"a\r\nb") == ["first", "a", "b"]
    assert names(stdin=b"a\nb\n") == ["a", "b"]
    assert names(stdin=b"") == []


def test_more_texts_than_a_block(run: Run, trained: Path) -> None:
    lines = [f"hello {number}" for number in range(4_100)]
    result = run("score", "-c", trained, "--threads", "1", stdin="\n".join(lines).encode())
    assert [line.split("\t")[2] for line in result.out.splitlines()] == lines


# Documents between separators

POEMS = "the sun\nis high\n\nthe moon\nis low\n\n\n\nthe end\n"
DOCUMENTS = ["the sun\nis high", "the moon\nis low", "the end"]


@pytest.fixture
def poems(run: Run, folder: Path) -> float:
    """A model of documents between blank lines, m.npz: the bits of its validation on poems.txt."""
    (folder / "poems.txt").write_text(POEMS)
    command = ("train", "poems.txt", "--split-on", r"\n\n", "--val", "poems.txt", *TINY)
    result = run(*command, "-o", "m.npz", "--json")
    assert "in 3 documents" in result.err
    bits: float = result.objects()[0]["val_bits_per_char"]
    return bits


def test_score_cuts_as_train_did(run: Run, poems: float) -> None:
    command = ("score", "-c", "m.npz", "--file", "poems.txt", "--json")
    found = run(*command).objects()
    assert [fields["text"] for fields in found] == DOCUMENTS
    assert all(fields["eos"] for fields in found)
    (total,) = run(*command, "--total").objects()
    assert total["chars"] == sum(map(len, DOCUMENTS)) + 3
    assert total["bits_per_char"] == pytest.approx(poems, abs=1e-5)
    assert run("score", "hello", "-c", "m.npz", "--json").objects()[0]["eos"]


def test_score_cuts_as_it_is_told(run: Run, poems: float) -> None:
    def texts(*options: str) -> list[str]:
        result = run("score", "-c", "m.npz", "--file", "poems.txt", "--json", *options)
        return [fields["text"] for fields in result.objects()]

    assert texts("--lines") == POEMS.removesuffix("\n").split("\n")
    assert texts("--split-on", r"\n") == texts("--lines")
    assert texts("--whole") == ["poems.txt"]
    assert texts("--split-on", "the ")[1:] == ["moon\nis low\n\n\n\n", "end"]
    (fields,) = run(
        "score", "-c", "m.npz", "--file", "poems.txt", "--json", "--whole", "--streams", "2"
    ).objects()
    assert fields["chars"] == len(POEMS)  # its last newline is left out, its end counts


def test_inspect_says_where_documents_were_cut(run: Run, poems: float) -> None:
    (fields,) = run("inspect", "-c", "m.npz", "--json").objects()
    assert (fields["lines"], fields["separator"]) == (False, "\n\n")
    assert r"documents   files cut at '\n\n'" in run("inspect", "-c", "m.npz").out


@pytest.mark.parametrize(
    ("typed", "separator"),
    [
        (r"\n\n", "\n\n"),
        ("\n", "\n"),
        (r"\r\n\r", "\n\n"),
        (r"a\tb", "a\tb"),
        (r"\\n", r"\n"),
        (r"\d", r"\d"),
        ("e\u0301", "é"),
        ("<end>", "<end>"),
    ],
)
def test_the_text_to_cut_at_is_as_the_corpus_is(
    run: Run, folder: Path, typed: str, separator: str
) -> None:
    (folder / "text.txt").write_text(f"one{separator}two", encoding="utf-8")
    run("train", "text.txt", "--split-on", typed, *TINY, "-o", "m.npz")
    loaded = checkpoint.load("m.npz")
    assert loaded.separator == separator
    assert loaded.training["corpus"]["documents"] == 2


@pytest.mark.parametrize("command", ["train text.txt", "score hello -c model.npz"])
def test_an_empty_text_to_cut_at_is_wrong_usage(run: Run, bad_inputs: Path, command: str) -> None:
    assert_one_line(run(*command.split(), "--split-on", ""), 2, "--split-on must be a text")


# Tokens other than composed characters

MIXED = "한글은 좋다.\nthe cafe\u0301 and the cat\n가각 the 한글은\n"
UNSEEN = "the 각 dog"


@pytest.fixture(
    params=["--tokens word", "--tokens word --vocab-size 4", "--normalize nfd"], ids=str.split
)
def other(run: Run, folder: Path, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The options of a model that was trained on other tokens, m.npz, and what training printed."""
    (folder / "mixed.txt").write_text(MIXED * 3, encoding="utf-8")
    (folder / "val.txt").write_text(UNSEEN, encoding="utf-8")
    options: str = request.param
    command = ("train", "mixed.txt", "--lines", *TINY, "-o", "m.npz", "--val", "val.txt", "--json")
    result = run(*command, *options.split())
    unit = "decomposed characters" if "nfd" in options else "words"
    (fields,) = result.objects()
    assert f"{fields['vocab_size']} tokens ({unit})" in result.err
    return options, fields


def test_inspect_says_what_tokens_are(run: Run, other: tuple[str, dict[str, Any]]) -> None:
    options, result = other
    (fields,) = run("inspect", "-c", "m.npz", "--json").objects()
    name, value = options.split()[:2]
    assert fields["tokens"][name[2:]] == value
    assert fields["tokens"]["vocab_size"] == (4 if "4" in options else None)
    assert len(fields["vocabulary"]) == result["vocab_size"] - 2
    assert ("\u1161" if "nfd" in options else " the") in fields["vocabulary"]
    assert run("inspect", "-c", "m.npz").code == 0


def test_bits_are_by_the_character_in_train_and_score(
    run: Run, other: tuple[str, dict[str, Any]]
) -> None:
    _, result = other
    (scored,) = run("score", UNSEEN, "-c", "m.npz", "--json").objects()
    assert list(scored) == [*SCORE_FIELDS, "tokens"]
    assert scored["chars"] == len(UNSEEN) + 1
    assert scored["bits_per_char"] == pytest.approx(result["val_bits_per_char"], abs=1e-5)
    assert list(result) == [*RESULT_FIELDS, "val_unk_share", "baselines"]
    assert scored["unk"] == result["val_unk"] > 0
    assert result["val_unk_share"] == pytest.approx(scored["unk"] / scored["tokens"])


def test_per_char_has_tokens_and_the_characters_that_have_a_probability(
    run: Run, other: tuple[str, dict[str, Any]]
) -> None:
    options, _ = other
    (scored,) = run("score", UNSEEN, "-c", "m.npz", "--json", "--per-char").objects()
    tokens = [entry["token"] for entry in scored["per_token"]]
    characters = [entry["char"] for entry in scored.get("per_char", [])]
    if "nfd" in options:
        assert tokens == [*unicodedata.normalize("NFD", UNSEEN), "<EOS>"]
        assert characters == [*UNSEEN, "<EOS>"]
    else:
        assert tokens == ["the", " 각", " dog", "<EOS>"]
        assert "per_char" not in scored
    lines = run("score", UNSEEN, "-c", "m.npz", "--per-char").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [*(characters or tokens), ""]


def test_next_has_tokens(run: Run, other: tuple[str, dict[str, Any]]) -> None:
    options, result = other
    (found,) = run("sample", "가", "-c", "m.npz", "--next", "--json").objects()
    names = {entry["char" if "nfd" in options else "token"] for entry in found["next"]}
    assert len(names) == result["vocab_size"]
    assert {"<EOS>", "<UNK>"} < names


def test_what_is_printed_of_any_tokens_is_composed(
    run: Run, other: tuple[str, dict[str, Any]]
) -> None:
    command = ("sample", "하", "-c", "m.npz", "--length", "40")
    samples = run(*command, "--num-samples", 9, "--seed", "2", "--json").objects()
    drawn = "".join(fields["text"][1:] for fields in samples)
    assert any("가" <= char <= "힣" or char == "é" for char in drawn)
    assert all(unicodedata.is_normalized("NFC", fields["text"]) for fields in samples)
    assert run(*command, "--seed", "2").out == samples[0]["text"] + "\n"


# Inspecting


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


def test_next_shows_only_the_beginning_of_an_endless_word(
    run: Run, trained: Path, folder: Path
) -> None:
    loaded = checkpoint.load(trained)
    words = Vocabulary(["x" * 100_000, *loaded.vocabulary.tokens[1:]], VocabularyConfig("word"))
    checkpoint.save(replace(loaded, vocabulary=words), folder / "x.npz")
    shown = run("sample", "--next", "-c", "x.npz").out
    assert max(map(len, shown.splitlines())) < 200
    assert "x" * 40 in shown


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


# Errors


@pytest.fixture
def bad_inputs(folder: Path, trained: Path) -> Path:
    """Files and folders that no command can use."""
    (folder / "model.npz").write_bytes(trained.read_bytes())
    (folder / "old.log").write_text("of an earlier run\n")
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
    counts = fit(ngram, count(ngram, np.array([2, 3, 4, EOS])))
    found = checkpoint.Checkpoint(counts, Vocabulary("abc"), LINES)
    checkpoint.save(found, folder / "counts.npz")
    return folder


TRAIN = "train text.txt --steps 2 --hidden-size 4 -o model.npz --log old.log "
TUNE = "train text.txt --steps 2 -o model.npz --init-from "
SAMPLE = "sample h -c model.npz --length 3 "
ERRORS = [
    ("train nofile", 1, "no such file: nofile"),
    ("train empty.txt", 1, "no text in empty.txt"),
    ("train newline.txt", 1, "no text in newline.txt"),
    ("train folder", 1, "holds no *.txt file"),
    ("train latin.txt", 1, "not valid UTF-8 at byte 3; --encoding cp1252 would read it"),
    ("train cut.txt.gz", 1, "cut.txt.gz is cut off"),
    ("train bomb.txt.gz", 1, "bomb.txt.gz holds more than 32 MB, the limit; --max-size sets"),
    ("train text.txt --val bomb.txt.gz --max-size 2", 1, "more than 2 MB, the limit; --max-size"),
    ("score --file bomb.txt.gz -c model.npz --max-size 2", 1, "more than 2 MB"),
    ("sample --prompts bomb.txt.gz -c model.npz --max-size 2", 1, "more than 2 MB"),
    ("inspect --gradient-flow bomb.txt.gz -c model.npz --max-size 2", 1, "more than 2 MB"),
    ("train model.npz", 1, "model.npz is not valid UTF-8"),
    ("train zeros", 1, "zeros is binary, full of NULs; --encoding latin-1 would read it"),
    ("score --file latin.txt -c model.npz", 1, "at byte 3; --encoding cp1252"),
    ("score --file nofile -c model.npz", 1, "nofile"),
    ("score --file folder -c model.npz", 1, "folder"),
    ("sample -c text.txt", 1, "text.txt is no checkpoint"),
    ("sample -c empty.txt", 1, "empty.txt is no checkpoint"),
    ("sample -c cut.npz", 1, "cut.npz is no checkpoint"),
    ("sample -c nofile.npz", 1, "nofile.npz"),
    ("score hello -c version.npz", 1, "version 99"),
    ("inspect -c folder", 1, "folder"),
    ("train hello --steps 2 -o text.txt/below/h.npz", 1, "cannot write"),
    ("train hello --steps 2 -o folder", 1, "folder"),
    ("train hello --steps 2 -o h.npz --log folder", 2, "ends in .jsonl"),
    ("train hello --steps 2 -o h.npz --log folder/no/log.jsonl", 1, "cannot write folder"),
    ("train hello --steps 2 -o h.txt", 1, "ends in .npz"),
    ("inspect -c model.npz --gradient-flow text.txt", 1, "longer text"),
    ("score h -c model.npz --labels text.txt", 2, "several models"),
    ("score h -c model.npz -c model.npz", 2, "different names"),
    ("score -c model.npz -c folder/model.npz --labels text.txt", 1, "folder/model.npz"),
    ("score h -c model.npz --context 0", 2, "--context must be"),
    ("score h -c model.npz --context 1,x", 2, "--context must be"),
    ("sample h -c model.npz --prompts text.txt", 2, "--prompts goes without"),
    (TRAIN + "--val empty.txt", 1, "no text in empty.txt"),
    (TRAIN + "--val nofile", 1, "nofile"),
    (TRAIN + "--min-count 99", 1, "--min-count"),
    (TRAIN + "--hidden-size 1048576", 1, "GB of memory"),
    (TRAIN + "--cell transformer", 2, "rnn, lstm, gru"),
    (TRAIN + "--activation step", 2, "tanh, relu, sigmoid"),
    (TRAIN + "--activation relu", 2, "rnn"),
    (TRAIN + "--tokens syllable", 2, "--tokens must be one of char, word"),
    (TRAIN + "--normalize nfkc", 2, "--normalize must be one of nfc, nfd"),
    (TRAIN + "--normalize nfd --tokens word", 2, "nfd is for characters, not for words"),
    (TRAIN + "--tokens word --min-count 99", 1, "no word occurs 99 times"),
    ("score zebra -c model.npz -c words.npz", 2, "words is a model of words and does not know 1"),
    (TRAIN + "--encoding klingon", 2, "klingon"),
    (TRAIN + "--split-on ; --lines", 2, "--split-on goes without --lines and --whole"),
    (TRAIN + "--split-on ; --whole", 2, "--split-on goes without --lines and --whole"),
    ("score h -c model.npz --split-on ; --lines", 2, "--split-on goes without"),
    ("score h -c model.npz --split-on ; --streams 2", 2, "--streams is for whole files"),
    (TUNE + "cut.npz", 1, "cut.npz is no checkpoint, or it is damaged"),
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
    (TRAIN + "--epochs 1", 2, "the budget is one of steps, epochs and minutes"),
    (TRAIN + "--normalise", 2, "No such option: --normalise"),
    (TRAIN + "--seed", 2, "--seed"),
    (SAMPLE + "--top-p 0", 2, "above 0"),
    (SAMPLE + "too much", 2, "unexpected"),
    ("paint", 2, "No such command 'paint'"),
    ("", 2, "Missing command"),
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
    "train text.txt -o model.npz --log old.log ": ["--minutes", "--epochs"],
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

    monkeypatch.setattr(checkpoint, "find", broken)
    assert_one_line(run("inspect"), 1, "KeyError('x') at test_cli.py:")


# Processes


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_a_model(folder: Path, number: int, code: int) -> None:
    sizes = ("--steps", "1000000", "--hidden-size", "4", "--threads", "1", "--sample-every", "1")
    process = start("train", "hello", *sizes, "-o", "h.npz")
    assert process.stderr is not None
    assert any(b"--- step 2" in line for line in process.stderr)  # ends where the process does
    process.send_signal(number)
    result = finish(process)
    assert result.code == code
    said, _, command = result.err.splitlines()[-3:]
    assert said.startswith("interrupted at step ")
    assert said.endswith("the model so far is in h.npz")
    assert command == "  " + shlex.join(
        ["charrnn", "train", "hello", *sizes, "-o", "h.npz", "--resume"]
    )
    assert checkpoint.load(folder / "h.npz").vocabulary.tokens == tuple("ehlo")
    assert sorted(path.name for path in folder.iterdir()) == ["h.npz", "h.resume.npz"]


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_sampling_is_silent(endless: Path, number: int, code: int) -> None:
    process = start("sample", "he", "-c", endless, "--length", "1000000000")
    assert process.stdout is not None
    process.stdout.read(2)
    process.send_signal(number)
    result = finish(process)
    assert (result.code, result.err) == (code, "")


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["train fifo", "score --file fifo", "train hello --val fifo"])
def test_waiting_for_a_pipe_can_be_interrupted(
    folder: Path, trained: Path, command: str, number: int, code: int
) -> None:
    os.mkfifo(folder / "fifo")
    model = ["-c", str(trained)] if command.startswith("score") else []
    process = start(*command.split(), *model)
    with (folder / "fifo").open("w"):  # once the command has opened it too, it waits for a text
        process.send_signal(number)
        result = finish(process)
    assert (result.code, result.out, result.err) == (code, "", "")
    assert [path.name for path in folder.iterdir()] == ["fifo"]


@posix
def test_the_output_of_a_command_is_a_corpus(folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    line = f"{sys.executable} -m charrnn train <(cat text.txt) --lines {' '.join(TINY)} --json"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["checkpoint"] == "checkpoints/pipe.npz"


@posix
@pytest.mark.parametrize("option", ["--length=1000000000", "--num-samples=1000"])
def test_a_reader_that_leaves_is_no_error(endless: Path, option: str) -> None:
    process = start("sample", "he", "-c", endless, option)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    process.stdout = None
    result = finish(process)
    assert result.err == ""
    assert result.code == 141


@posix
@pytest.mark.parametrize(
    "command",
    [
        "sample h --length 3 -c {}", "score h -c {}", "inspect --json -c {}", "--help",
        "train hello --steps 2 --json -o h.npz",
    ],
)  # fmt: skip
def test_closed_streams_are_no_error(trained: Path, command: str) -> None:
    line = " ".join([sys.executable, "-m", "charrnn", command.format(trained)])
    closed = subprocess.run(["sh", "-c", f"{line} <&- >&-"], capture_output=True, check=False)
    assert closed.returncode == 0
    assert b"Traceback" not in closed.stderr
    assert b"error" not in closed.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["sample h --length 3", "score h --json", "inspect"])
def test_a_full_disk_is_one_line(trained: Path, command: str) -> None:
    with open("/dev/full", "w") as full:
        result = finish(start(*command.split(), "-c", trained, stdout=full))
    assert_one_line(result, 1, "No space left on device")


def test_output_is_utf8_in_any_locale(folder: Path) -> None:
    (folder / "korean.txt").write_text("사과와 배\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    sizes = ("--steps", "2", "--hidden-size", "4", "-o", "k.npz")
    assert finish(start("train", "korean.txt", *sizes, env=environment)).code == 0
    result = finish(start("sample", "사과", "-c", "k.npz", "--length", "0", env=environment))
    assert (result.code, result.out, result.err) == (0, f"사과{os.linesep}", "")


def on_a_terminal(
    *args: str | Path,
    module: Sequence[str] = ("-m", "charrnn"),
    cwd: Path | None = None,
    **environment: str,
) -> str:
    """What a command writes to a terminal, stdout and stderr together."""
    import pty
    import termios

    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    process = start(*args, module=module, cwd=cwd, env=env, **streams)
    os.close(follower)
    written = bytearray()
    try:
        while data := os.read(leader, 1 << 16):
            written += data
    except OSError:  # how Linux says that nobody has the terminal open any more
        pass
    os.close(leader)
    assert process.wait(timeout=60) in (0, 1, 2)
    return written.decode()


@posix
def test_a_terminal_gets_a_table_the_best_first(trained: Path) -> None:
    shown = on_a_terminal("score", "zzzzzzzz", "hello\x1b[2J", "hello", "-c", trained, NO_COLOR="1")
    assert shown.count("\n") == 4
    assert shown.index("hello") < shown.index("zzzzzzzz")
    assert r"hello\x1b[2J" in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[3" not in shown  # a colour


@posix
def test_a_terminal_gets_no_control_characters(trained: Path) -> None:
    for command in (["sample", "h\x1b[2J", "--length", "0"], ["score", "h\x1b[2J", "--per-char"]):
        shown = on_a_terminal(*command, "-c", trained, NO_COLOR="1")
        assert "\x1b" not in shown
        assert r"\x1b" in shown


@posix
def test_a_terminal_gets_a_bar_that_goes_away(folder: Path) -> None:
    shown = on_a_terminal("train", "hello", *TINY, "-o", "h.npz")
    assert "100%|" in shown
    assert "%|" not in shown[shown.index("written to") :]
    assert "%|" not in on_a_terminal("train", "hello", *TINY, "-o", "h.npz", "--quiet")


@posix
def test_score_on_a_terminal_without_texts_is_wrong_usage() -> None:
    assert on_a_terminal("score") == "error: nothing to score: give a TEXT or --file FILE\r\n"


def test_a_whole_file_is_scored_in_streams_nearly_as_in_one(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 200, encoding="utf-8")
    run("train", text, "--steps", "20", "-o", tmp_path / "m.npz", "-q")
    (one,) = run("score", "-c", tmp_path / "m.npz", "--file", text, "--json").objects()
    many = run("score", "-c", tmp_path / "m.npz", "--file", text, "--json", "--streams", "8")
    (found,) = many.objects()
    assert found.keys() == one.keys()
    assert found["chars"] == one["chars"] == 23 * 200 - 1
    assert found["bits_per_char"] == pytest.approx(one["bits_per_char"], abs=1e-4)
    asked = run(
        "score", "-c", tmp_path / "m.npz", "--file", text, "--per-char", "--total", "--json"
    )
    assert asked.objects()[0]["texts"] == 1  # the sum, where both are asked for
    refused = run("score", "hello", "--streams", "8", "--lines")
    assert refused.code == 2
    assert "--streams is for whole files" in refused.err
