"""What a terminal shows: progress bars, tables and messages, all of them on stderr."""

import math
import shlex
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from charrnn.config import LINES

if TYPE_CHECKING:  # NumPy is not needed to show an error
    from charrnn.classification import Confusions
    from charrnn.run import Run
    from charrnn.scoring import Score, Tally
    from charrnn.training import Progress

_BITS = 1 / math.log(2)
_BASELINES = {
    "unigram": "  unigrams",
    "ngram": "  n-grams",
    "network": "  without them",
    "xz": "  xz",
}


_CONTROLS = {"Cc", "Cf", "Cs"}  # Unicode categories: control, format, surrogate
# Those that words and emoji are spelled with, and that no terminal obeys: soft hyphen, joiners,
# direction marks (not the overrides and isolates, which reorder what lies around them), signs that
# go before numbers, tags of flags.
_HARMLESS = frozenset(
    "\n\t\u00ad\u200c\u200d\u2060\u061c\u200e\u200f\u06dd\u070f\u0890\u0891\u08e2"
    "\U000110bd\U000110cd"
) | {chr(code) for code in (*range(0x600, 0x606), *range(0xE0020, 0xE0080))}


def visible(text: str) -> str:
    """The text with control characters spelled out, so that none can drive a terminal."""
    controls = {
        ord(char): char.encode("unicode_escape").decode()
        for char in set(text) - set(_HARMLESS)
        if unicodedata.category(char) in _CONTROLS
    }
    return text.translate(controls)


def spelled_out(text: str) -> str:
    """The text on one line, with backslash escapes for line ends, tabs and backslashes."""
    for char, name in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(char, name)
    return text


def count(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def message(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def error(text: str) -> None:
    """One line that says what is wrong and what to do."""
    message("error: " + visible(text.strip().replace("\n", "\\n").replace("\t", "\\t")))


class TrainingDisplay:
    """A bar where stderr is a terminal, a line at each validation where it is not."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        show_bar = sys.stderr.isatty() and not quiet
        self.bar = tqdm(
            total=1.0,
            disable=not show_bar,
            leave=False,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {desc}",
        )

    def __enter__(self) -> "TrainingDisplay":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def begin(self, run: "Run") -> None:
        """Say what is trained on what."""
        model, config, data = run.model.config, run.trainer.config, run.data
        document = "line" if data.corpus.separator == LINES else "document"
        documents = count(len(data.corpus.documents), document)
        kind = data.vocabulary.config.unit
        unit = "" if kind == "character" else f" ({kind}s)"
        validation = (
            f"{count(data.split.val.chars, 'character')} for validation"
            if data.split.val
            else "trained on whole, nothing held out for validation"
        )
        self.note(
            f"{data.corpus.name}: {count(data.corpus.chars, 'character')} in {documents}, "
            f"{len(data.vocabulary):,} tokens{unit}; {validation}"
        )
        if run.init_from:
            self.note(_origin(run.init_from))
        if model.cell == "ngram":
            self.note(f"ngram of order {model.order}: the last {model.order - 1} tokens")
            return
        self.note(
            f"{model.cell} {model.num_layers}x{model.hidden_size}: {run.model.size:,} parameters"
            + (f", on top of {run.num_ngrams:,} k-grams up to {model.ngram}" * (model.ngram > 0))
            + f"; {run.passes:.3g} passes over the text"
            + (f" in {config.minutes:g} minutes" if config.minutes else "")
        )
        self.note(f"plan: {run.flags()}")
        if run.trainer.step:
            self.note(f"going on after step {run.trainer.step:,} of {run.trainer.budget.steps:,}")

    def plan(self, run: "Run") -> None:
        """What the run would cost, once `begin` has said what it is."""
        seconds, size = run.expected()
        self.note(f"about {seconds:.0f} s and {size >> 20} MB of memory")

    def update(self, progress: "Progress") -> None:
        """Show where the run stands."""
        rate = progress.chars / max(progress.seconds, 1e-9)
        self.bar.set_description_str(
            f"{progress.loss * _BITS:.3f} bits/char, {rate / 1000:.0f}k chars/s", refresh=False
        )
        self.bar.update(progress.fraction - self.bar.n)
        if progress.trouble:
            self.note(f"step {progress.step:>6}  {progress.trouble}")
        if progress.train_loss is not None:
            self.note(_validation_line(progress))

    def end(self, run: "Run") -> None:
        """The result, and what to do with it."""
        self.bar.close()
        result = run.result()
        rows = [
            ("time", f"{result['seconds']:.0f} s, {result['chars_per_sec']:,.0f} characters/s"),
            ("training", f"{result['train_bits_per_char']:.4f} bits per character"),
        ]
        if result["val_bits_per_char"] is not None:
            shown = f"{result['val_bits_per_char']:.4f} bits per character"
            if "val_unk_share" in result:
                shown += f", {result['val_unk_share']:.2%} of the tokens unknown"
            rows.append(("validation", shown))
        for name, bits in result["baselines"].items():
            rows.append((_BASELINES[name], f"{bits:.4f}"))
        rows.append(("best step", f"{result['best_step']:,} of {result['steps']:,}"))
        if run.trainer.early:
            rows.append(("ended early", run.trainer.early))
        rows.append(("written to", f"{run.output}"))
        path = shlex.quote(str(run.output))
        self.note("")
        for name, value in rows:
            self.note(f"{name:<11} {value}")
        self.note(f"\nNow try:\n  charrnn sample -c {path}")
        self.note(f'  charrnn score -c {path} "one sentence" "and another"')

    def interrupted(self, run: "Run", command: str) -> None:
        """Say where the model of a run that was ended early is, and how to go on."""
        self.bar.close()
        where = visible(str(run.output))
        message(f"interrupted at step {run.trainer.step:,}; the model so far is in {where}")
        message(f"to go on:\n  {visible(command)}")

    def complete(self, run: "Run") -> None:
        """Say that there is nothing to resume."""
        self.note(
            f"{run.output}: this run is complete, {count(run.trainer.step, 'step')}; a longer "
            f"budget goes on, such as --steps {2 * run.trainer.step}"
        )

    def note(self, text: str) -> None:
        """A line above the bar."""
        if not self.quiet:
            tqdm.write(visible(text), file=sys.stderr)


def _origin(init_from: dict[str, Any]) -> str:
    tokens = f"{count(init_from['kept'], 'token')} kept, {init_from['new']:,} new"
    new = " one starts" if init_from["new"] == 1 else " ones start"
    return f"from {init_from['name']}: {tokens}{new} as <UNK>, {init_from['dropped']:,} dropped"


def _validation_line(progress: "Progress") -> str:
    train = (progress.train_loss or 0) * _BITS
    line = f"step {progress.step:>6}  epoch {progress.epochs:7.2f}  train {train:.4f}"
    if progress.validation is not None:
        line += f"  val {progress.validation.bits_per_char:.4f} bits/char"
    else:
        line += " bits/char"
    return line + ("  *" if progress.best and progress.validation is not None else "")


def score_details(name: str, score: "Score | Tally") -> None:
    """One score, on stdout."""
    figures = score.figures()
    bits, perplexity = figures["bits_per_char"], figures["perplexity"]
    end = "the end counted" if score.eos else "the end not counted"
    rows = [
        ("text", visible(name)),
        ("log P", f"{score.log_prob:.4f} nats"),
        ("P", f"{math.exp(score.log_prob):.4g}"),
        ("bits per character", "-" if bits is None else f"{bits:.4f}"),
        ("perplexity", "-" if perplexity is None else f"{perplexity:.4f}"),
        ("characters", f"{score.chars:,}, {end}; {score.unk:,} unknown"),
    ]
    for label, value in rows:
        print(f"{label:<19} {value}")


def score_table(scores: Sequence[tuple[str, "Score | Tally"]]) -> None:
    """Several scores on stdout, the most probable first, each with its ratio to that one."""
    ranked = sorted(scores, key=lambda pair: -pair[1].log_prob)
    best = ranked[0][1].log_prob
    shown = Table(box=None, pad_edge=False)
    for name in ("log P", "bits/char", "of the best"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("text", overflow="fold")
    for name, score in ranked:
        bits = score.figures()["bits_per_char"]
        shown.add_row(
            f"{score.log_prob:.2f}",
            "-" if bits is None else f"{bits:.3f}",
            f"{math.exp(score.log_prob - best):.3g}",
            Text(visible(name)),
        )
    Console(highlight=False).print(shown)


def confusion_table(confusions: "Confusions", labels: Sequence[str]) -> None:
    """The accuracy, and how often each true label was given each label, on stdout."""
    accuracy = confusions.accuracy
    shown = "-" if accuracy is None else f"{accuracy:.4f}"
    print(f"accuracy {shown} of {count(confusions.texts, 'text')}")
    table = Table("true", box=None, pad_edge=False)
    for label in labels:
        table.add_column(Text(visible(label)), justify="right")
    for true, row in confusions.confusions.items():
        table.add_row(Text(visible(true)), *(str(row.get(label, 0)) for label in labels))
    Console(highlight=False).print(table)
