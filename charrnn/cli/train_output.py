"""What `charrnn train` shows on stderr: the plan, the progress and the result."""

import math
import shlex
import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from charrnn.cli import train_samples
from charrnn.config import LINES, SampleConfig
from charrnn.inference.units import bits
from charrnn.render.display import dim, message, quantity, sparkline, visible
from charrnn.resources import is_short_name, named_model
from charrnn.text.corpus import FEW_CHARS
from charrnn.text.finding import hidden_corpora

if TYPE_CHECKING:
    from charrnn.training.finetuning import Origin
    from charrnn.training.progress import Progress
    from charrnn.training.run import Run

_WIDTH = 79  # columns of the plan
_SMOOTHING = 0.05  # weight of the last step in the loss on the bar
_SECONDS_OF_SILENCE = 30.0  # at most, without a bar
_NARROWEST = 20  # columns of a sample
_KNOWN, _MUCH_KNOWN = 0.01, 0.1  # shares of known held-out text: worth a note, worth a warning
_SAMPLES = 3  # at the end
_BASELINES = {"ngram": "n-grams", "xz": "xz", "ppmd": "PPMd"}  # a model should beat these


class TrainingDisplay:
    """A bar if stderr is a terminal, else a line now and then."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.loss: float | None = None  # nats per character, smoothed
        self.spoke = time.perf_counter()  # when a line was written last
        tqdm.monitor_interval = 0  # no thread that watches the bar
        show_bar = sys.stderr.isatty() and not quiet
        self.bar = tqdm(
            total=1.0,
            disable=not show_bar,
            leave=False,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {desc}, {elapsed}<{remaining}",
        )

    def __enter__(self) -> "TrainingDisplay":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def begin(self, run: "Run", known_share: float = 0.0) -> None:
        """Show the text, the model and the plan.

        Args:
            known_share: share of the held-out text that the training text contains too, 0 to 1.
        """
        model, config, data = run.model.config, run.trainer.config, run.data
        for line in hidden_corpora(run.text.sources):
            self.note(line)
        document = "line" if data.corpus.separator == LINES else "document"
        documents = quantity(len(data.corpus.documents), document)
        kind = data.vocabulary.config.unit
        unit = "" if kind == "character" else f" {kind}s"
        val = data.split.val
        held_out = f"{val.chars:,} held out" if val else "nothing held out for validation"
        self.note(
            f"{data.corpus.name}: {quantity(data.corpus.chars, 'character')} "
            f"({len(data.vocabulary.tokens):,} different{unit}) in {documents}; {held_out}"
        )
        self._doubt_validation(val.chars, known_share)
        if run.record.init_from:
            self.note(_origin(run.record.init_from, kind))
        if model.cell == "ngram":
            last = quantity(model.order - 1, kind)
            self.note(f"n-gram model of order {model.order}: predicts from the last {last}")
            return
        self.note(
            f"{_name(run)}"
            + (f", with a {model.ngram}-gram model" * (model.ngram > 0))
            + f"; {_rounded(run.trainer.passes)} passes over the text"
            + (f" in {config.minutes:g} min" if config.minutes else "")
        )
        self.note(_pasteable(f"plan: {run.flags()}"))
        if step := run.trainer.counters.step:
            self.note(f"resuming after step {step:,} of {run.trainer.budget.steps:,}")
            self.bar.update(run.trainer.budget.fraction(step))
            self.bar.unpause()

    def _doubt_validation(self, chars: int, known_share: float) -> None:
        """Warn if the validation figure is unreliable: few characters, or known ones."""
        if 0 < chars < FEW_CHARS:
            self.note(
                f"only {quantity(chars, 'character')} held out, so the validation figure says "
                "little:\n  give more text with --val FILE"
            )
        if known_share >= _KNOWN:
            advice = ", so the\n  validation figure is too good: give other text with --val FILE"
            self.note(
                f"{known_share:.0%} of the held-out text is in the training text too"
                + advice * (known_share >= _MUCH_KNOWN)
            )

    def plan(self, run: "Run") -> None:
        """Show the expected time and memory of the run."""
        seconds, size = run.expected()
        self.note(f"estimate: {seconds:.0f} s and {size >> 20} MB of memory")

    def update(self, progress: "Progress") -> None:
        """Show the progress of the run."""
        if self.loss is None or not math.isfinite(self.loss):
            self.loss = progress.loss
        self.loss += _SMOOTHING * (progress.loss - self.loss)
        shown = f"step {progress.step:,}, loss {self.loss:.3f} = {bits(self.loss):.3f} bits/char"
        if progress.seconds:
            shown += f", {progress.chars / progress.seconds / 1000:.0f}k chars/s"
        self.bar.set_description_str(shown, refresh=False)
        self.bar.update(progress.fraction - self.bar.n)
        if progress.trouble:
            self.note(f"step {progress.step:>6}  {progress.trouble}")
        if progress.train_loss is not None:
            self.note(_validation_line(progress))
        elif self.bar.disable and time.perf_counter() - self.spoke > _SECONDS_OF_SILENCE:
            self.note(
                f"step {progress.step:>6}  epoch {progress.epochs:7.2f}  train "
                f"{bits(self.loss):.4f} bits/char, {progress.fraction:.0%} of the run"
            )

    def show_samples(self, run: "Run", progress: "Progress", every: int | None) -> None:
        """Show samples: `every` N steps, and on a terminal also after each validation."""
        if self.quiet:
            return
        seed = run.trainer.config.seed + progress.step
        if every and progress.step % every == 0:
            text = "\n".join(train_samples.draw(run, seed))
            self.note(f"--- step {progress.step}\n{text}\n---")
        elif progress.train_loss is not None and not self.bar.disable:
            columns = _columns()
            for text in train_samples.draw(run, seed, length=columns):
                line = train_samples.on_one_line(visible(text), columns)
                self.note(f"  {line}", faint=True)

    def end(self, run: "Run") -> None:
        """Show the result, samples, and what to do next."""
        self.bar.close()
        if self.quiet:
            return
        self.note("")
        for name, value in _results(run):
            self.note(f"{name:<11} {value}")
        for older in run.older_models:
            self.note(f"{'older model':<11} {older}")
        if advice := _advice(run):
            self.note(f"\n{advice}")
        texts = train_samples.draw(run, run.trainer.config.seed, _SAMPLES)
        self.note(f"\nSamples at temperature {SampleConfig.temperature:g}:")
        for line in train_samples.below_each_other([*map(visible, texts)], _columns()):
            self.note(f"  {line}".rstrip())
        name = shlex.quote(_shortest_name(run))
        self.note(f"\nNow try:\n  charrnn sample -c {name}")
        self.note(f'  charrnn score -c {name} "one sentence" "and another"')

    def interrupted(self, run: "Run", command: str) -> None:
        """Say where the model of an interrupted run is, and how to continue it."""
        self.bar.close()
        where = visible(str(run.output))
        message(
            f"interrupted at step {run.trainer.counters.step:,}; the model so far is in {where}"
        )
        for older in run.older_models:
            message(f"the model that it replaced is in {visible(str(older))}")
        message(f"to continue:\n  {visible(command)}")

    def complete(self, run: "Run") -> None:
        """Say that the run is complete, and how to extend it."""
        longer = _longer_budget(run)
        advice = f"; to continue, raise the budget, e.g. {longer}" if longer else ""
        steps = quantity(run.trainer.counters.step, "step")
        self.note(f"{run.output}: this run is complete, {steps}{advice}")

    def note(self, text: str, *, faint: bool = False) -> None:
        """Print a line above the bar."""
        self.spoke = time.perf_counter()
        if not self.quiet:
            text = visible(text)
            tqdm.write(dim(text) if faint else text, file=sys.stderr)


def _longer_budget(run: "Run") -> str:
    """Return an option that extends a complete run; empty if more would not help."""
    if run.model.config.cell == "ngram" or run.trainer.early:
        return ""
    config = run.trainer.config
    budgets = ((name, getattr(config, name)) for name in ("steps", "epochs", "minutes"))
    return next(f"--{name} {2 * value:.12g}" for name, value in budgets if value is not None)


def _name(run: "Run") -> str:
    """Describe the network: its cell, layers, units and parameters."""
    model = run.model.config
    return f"{model.cell} {model.num_layers}x{model.hidden_size}: {run.model.size:,} parameters"


def _pasteable(text: str) -> str:
    """Fold a command line over several lines that can be pasted into a shell."""
    lines = textwrap.wrap(
        text,
        _WIDTH - 2,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return " \\\n".join(lines)


def _origin(origin: "Origin", unit: str) -> str:
    kept = quantity(origin.kept, unit)
    return f"from {origin.name}: {kept} kept, {origin.new:,} new, {origin.dropped:,} dropped"


def _validation_line(progress: "Progress") -> str:
    train = _figure(bits(progress.train_loss or 0))
    line = f"step {progress.step:>6}  epoch {progress.epochs:7.2f}  train {train}"
    if progress.validation is not None:
        line += f"  val {_figure(progress.validation.bits_per_char)} bits/char"
    else:
        line += " bits/char"
    return line + ("  *" if progress.best and progress.validation is not None else "")


def _time(seconds: float, chars_per_sec: float | None) -> str:
    rate = "" if chars_per_sec is None else f", {chars_per_sec:,.0f} characters/s"
    return f"{seconds:.0f} s{rate}"


def _figure(bits: float | None) -> str:
    """Format bits per character; '-' if nothing was measured."""
    return "-" if bits is None or not math.isfinite(bits) else f"{bits:.4f}"


def _results(run: "Run") -> list[tuple[str, str]]:
    """Return the figures of a finished run, with their names."""
    result = run.result()
    rows = []
    if run.model.config.cell != "ngram":
        rows.append(("model", _name(run)))
    rows += [
        ("time", _time(result.seconds, result.chars_per_sec)),
        ("training", f"{_figure(result.train_bits_per_char)} bits per character"),
    ]
    if result.val_bits_per_char is not None:
        shown = f"{result.val_bits_per_char:.4f} bits per character"
        if result.val_unk_share is not None:
            unit = run.data.vocabulary.config.unit
            shown += f", {result.val_unk_share:.2%} of the {unit}s unknown"
        rows.append(("validation", shown))
    rows += [
        ("compare" if number == 0 else "", f"{result.baselines[name]:.4f} by {label}")
        for number, (name, label) in enumerate(_compared(run).items())
    ]
    figures = [row.val_bits_per_char for row in run.record.history]
    curve = [bits for bits in figures if bits is not None]
    if len(curve) > 1:
        rows.append(("curve", f"{curve[0]:.4f} {sparkline(curve)} {curve[-1]:.4f}"))
    rows.append(("best step", f"{result.best_step:,} of {result.steps:,}"))
    if run.trainer.early:
        rows.append(("ended early", run.trainer.early))
    rows.append(("written to", f"{run.output}"))
    return rows


def _compared(run: "Run") -> dict[str, str]:
    """Return the names of the baselines, as a newcomer reads them.

    xz is named only where it predicts better than n-grams: for a text that repeats itself.
    """
    unit, found = run.data.vocabulary.config.unit, run.record.baselines
    labels = {
        "unmixed": "this model without mixing",
        **_BASELINES,
        "xz": "xz, a compressor",
        "ppmd": "PPMd, a compressor that learns as it reads",
        "unigram": f"{unit} frequencies alone",
    }
    if "xz" in found and found["xz"] > found["ngram"]:
        del labels["xz"]
    return {name: label for name, label in labels.items() if name in found}


def _advice(run: "Run") -> str:
    """Say what to do if a baseline predicts the held-out text better; empty if none does."""
    result = run.result()
    if result.val_bits_per_char is None:
        return ""
    figure, baselines = result.val_bits_per_char, result.baselines
    better = [label for name, label in _BASELINES.items() if baselines.get(name, figure) < figure]
    if not better:
        return ""
    if run.model.config.cell == "ngram":
        advice = "raise --order, or train a network"
    elif run.trainer.early:
        advice = "it needs more text"
    else:
        advice = f"train longer, e.g. --minutes {max(2, math.ceil(result.seconds / 30))}"
    means = " and ".join(better)
    verb = "predict" if len(better) > 1 or means.endswith("s") else "predicts"
    return f"{means[0].upper()}{means[1:]} {verb} this text better: {advice}"


def _shortest_name(run: "Run") -> str:
    """Return the shortest name of the model that -c accepts."""
    from charrnn.storage.checkpoint import locate

    assert run.output is not None
    name = run.output.stem
    found = is_short_name(Path(name)) and named_model(Path(name)) == run.output == locate(
        Path(name)
    )
    return name if found else str(run.output)


def _columns() -> int:
    """Return the width of a sample, which is indented by two columns."""
    return max(_NARROWEST, shutil.get_terminal_size().columns - 3)


def _rounded(number: float) -> str:
    """Format to three digits, or to a whole number if it is larger."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
