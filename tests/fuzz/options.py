"""Commands with options from all over their ranges: each ends in an answer or in one line."""

import contextlib
import io
import shlex
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import typer

from charrnn import cli

Rng = np.random.Generator
Draw = Callable[[Rng], object]

_TEXTS = ("hello world\nthe old well\n" * 20, "ab" * 300, "여보세요 안녕\n" * 30, "x", "a\n\nb")


def one_of(*values: object) -> Draw:
    """One of these values."""
    return lambda rng: values[rng.integers(len(values))]


def between(low: float, high: float) -> Draw:
    """A number between two powers of ten, small ones as likely as large ones."""
    return lambda rng: f"{10 ** rng.uniform(low, high):.6g}"


def whole(low: int, high: int) -> Draw:
    """A whole number."""
    return lambda rng: int(rng.integers(low, high, endpoint=True))


TRAIN: dict[str, Draw] = {
    "--cell": one_of("rnn", "lstm", "gru", "jordan", "ngram"),
    "--activation": one_of("tanh", "relu", "sigmoid"),
    "--feedback": one_of("logits", "target"),
    "--order": one_of(1, 2, 6, 50, 100, 0, 101),
    "--ngram": one_of(0, 1, 2, 6, 50, 100, 101),
    "--ngram-scale": one_of(0, 0.6, 10, 11, "nan"),
    "--max-ngrams": one_of(1, 7, 1000, 10**12, 0),
    "--hidden-size": one_of(1, 2, 7, 64, 1 << 20, 0, -1),
    "--num-layers": one_of(1, 2, 5, 1001),
    "--embedding-size": one_of(0, 1, 9, -1),
    "--dropout": one_of(0, 0.5, 0.999999, 1, -0.1),
    "--recurrent-dropout": one_of(0, 0.5, 0.999999, 1),
    "--val-fraction": one_of(0, 0.1, 0.5, 0.999, 1),
    "--tokens": one_of("char", "word"),
    "--normalize": one_of("nfc", "nfd"),
    "--vocab-size": one_of(1, 2, 3, 1000, 0),
    "--min-count": one_of(1, 2, 100, 10**12),
    "--unk-rate": one_of(0, 0.0005, 0.9, 0.999999, 1),
    "--batch-size": one_of(1, 2, 33, 0),
    "--seq-len": one_of(1, 2, 17, 100, 0),
    "--learning-rate": between(-12, 2),
    "--weight-decay": one_of(0, 0.1, 1, 10, 100, 101),
    "--clip-norm": between(-30, 30),
    "--scheduled-sampling": one_of(0, 0.5, 1, 1.1),
    "--evaluations": one_of(1, 3, 10, 1 << 20),
    "--seed": one_of(0, 1, 2**63 - 1, 2**63, -1),
    "--split-on": one_of("l", "zz", "\\n\\n", ""),
}
BUDGETS: dict[str, Draw] = {
    "--steps": one_of(1, 2, 20),
    "--epochs": one_of(1e-9, 0.5, 1, 2),
    "--minutes": one_of(1e-9, 0.001),
}
SAMPLE: dict[str, Draw] = {
    "--length": one_of(0, 1, 100),
    "--temperature": one_of("0", "1e-320", "0.5,1", "1e308", "0,,1", "x"),
    "--top-k": one_of(1, 2, 10**9),
    "--top-p": between(-320, 0),
    "--num-samples": one_of(1, 3, 40),
    "--stop": one_of("e", "lo", "\n", r"\n", r"\ud800", "\\"),
    "--best": one_of(1, 2, 100, 0),
    "--beam": one_of(1, 3, 50, 1001),
    "--novel": one_of("text.txt", "hello", "nofile"),
    "--novel-min": one_of(1, 20, 10**12, 0),
    "--seed": one_of(0, 2**63 - 1),
}
SCORE: dict[str, Draw] = {
    "--streams": one_of(1, 3, 1000),
    "--part": one_of("all", "network", "ngram"),
    "--given": one_of("", "he", "안", " "),
    "--fail-over": one_of(0, 3, 1e308, -1, "nan"),
    "--html": one_of("x.html"),
    "--svg": one_of("x.svg"),
}
SWITCHES = (
    *("--adapt", "--per-char", "--per-word", "--total", "--eos", "--no-eos", "--json", "--tsv"),
    "--sort",
)


def command(rng: Rng) -> list[list[str]]:
    """A train command, and two that use its model."""
    budget, draw = list(BUDGETS.items())[rng.integers(len(BUDGETS))]
    train = [
        "train",
        "text.txt",
        "--force",
        "--threads",
        "1",
        "-o",
        "m.npz",
        budget,
        str(draw(rng)),
    ]
    train += some(rng, TRAIN, 4) + (["--lines"] if rng.random() < 0.3 else [])
    sample = ["sample", "he", "-c", "m.npz", "--length", "50", *some(rng, SAMPLE, 3)]
    score = ["score", "hello", "", "안녕 zzz", "-c", "m.npz", *some(rng, SCORE, 1)]
    score += [name for name in SWITCHES if rng.random() < 0.2]
    return [train, sample, score]


def some(rng: Rng, options: dict[str, Draw], most: int) -> list[str]:
    """A few of the options with values."""
    names = rng.choice(list(options), rng.integers(most, endpoint=True), replace=False)
    return [word for name in names for word in (str(name), str(options[name](rng)))]


def defect(arguments: list[str]) -> str:
    """What is wrong with how a command ends in this process, empty where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["charrnn", *arguments]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main()
    last = [line for line in err.getvalue().splitlines() if line]
    if caught:
        return f"a warning: {caught[0].message}"
    if "Traceback" in err.getvalue() or "a bug in charrnn" in err.getvalue():
        return err.getvalue()
    last = [line for line in last if not line.startswith("warning: ")]
    exceeded = code == 3 and len(last) == 1 and " above " in last[0]
    if code and not exceeded and not (code in (1, 2) and last[-1:] and last[-1][:7] == "error: "):
        return f"exit code {code}: {last[-1:]}"
    if "nan" in out.getvalue().lower() or "inf" in out.getvalue().lower():
        return f"what is printed is no number: {out.getvalue()[:200]}"
    return ""


def defects(seed: int, cases: int) -> Iterator[tuple[str, str]]:
    """The command lines that end otherwise, each with what happened."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    parsed_once = mock.patch("charrnn.cli.app", typer.main.get_command(cli.app))  # it takes long
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), parsed_once:
        for case in range(cases):
            rng = np.random.default_rng((seed, case))
            Path("text.txt").write_text(_TEXTS[rng.integers(len(_TEXTS))], encoding="utf-8")
            for file in Path().glob("*.npz"):
                file.unlink()
            for arguments in command(rng):
                if arguments[0] != "train" and not Path("m.npz").exists():
                    break
                if found := defect(arguments):
                    yield f"case {case}: charrnn {shlex.join(arguments)}", found
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])
