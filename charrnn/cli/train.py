"""`charrnn train`: learn a model from a text."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charrnn.cli import train_options as option
from charrnn.cli.options import (
    STARTED,
    Encoding,
    MaxSize,
    SplitOn,
    Threads,
    as_line,
    chosen_separator,
    given,
)
from charrnn.cli.train_interrupts import Interrupted, Interrupts, exit_code, nothing_to_save
from charrnn.config import ModelConfig, TrainConfig, VocabularyConfig
from charrnn.errors import CorpusError
from charrnn.resources import named_model

if TYPE_CHECKING:
    from charrnn.cli.train_output import TrainingDisplay
    from charrnn.parallel.processes import World
    from charrnn.parallel.threads import Workers
    from charrnn.text.corpus import Corpus, Split
    from charrnn.training.progress import Progress
    from charrnn.training.resuming import Suspended, Text
    from charrnn.training.run import Run


_OF_VOCABULARY = VocabularyConfig.__dataclass_fields__.keys()
_SETTINGS = ModelConfig.__dataclass_fields__.keys() | TrainConfig.__dataclass_fields__.keys()
_GRACE = 1.0  # seconds


@dataclass(frozen=True)
class Request:
    """What to train: the text, the file of the model, and the options set on the command line."""

    text: "Text"
    output: Path
    given: Mapping[str, Any]

    def settings(self, names: Collection[str]) -> dict[str, Any]:
        """Return the options with these names."""
        return {name: value for name, value in self.given.items() if name in names}


def train(
    context: typer.Context,
    corpus: option.Corpus = None,
    output: option.Output = None,
    init_from: option.InitFrom = None,
    cell: option.Cell = ModelConfig.cell,
    activation: option.Activation = ModelConfig.activation,
    feedback: option.Feedback = ModelConfig.feedback,
    order: option.Order = ModelConfig.order,
    ngram: option.Ngram = None,
    ngram_scale: option.NgramScale = ModelConfig.ngram_scale,
    mix: option.Mix = TrainConfig.mix,
    max_ngrams: option.MaxNgrams = TrainConfig.max_ngrams,
    hidden_size: option.HiddenSize = None,
    num_layers: option.NumLayers = None,
    embedding_size: option.EmbeddingSize = None,
    dropout: option.Dropout = None,
    recurrent_dropout: option.RecurrentDropout = None,
    lines: option.Lines = None,
    split_on: SplitOn = None,
    field: option.Field = None,
    glob: option.Glob = None,
    val_fraction: option.ValFraction = None,
    val: option.Val = None,
    tokens: option.Tokens = VocabularyConfig.tokens,
    normalize: option.Normalize = VocabularyConfig.normalize,
    vocab_size: option.VocabSize = VocabularyConfig.vocab_size,
    min_count: option.MinCount = VocabularyConfig.min_count,
    unk_rate: option.UnkRate = TrainConfig.unk_rate,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    epochs: option.Epochs = None,
    steps: option.Steps = None,
    minutes: option.Minutes = None,
    batch_size: option.BatchSize = None,
    seq_len: option.SeqLen = None,
    accumulate: option.Accumulate = TrainConfig.accumulate,
    learning_rate: option.LearningRate = None,
    weight_decay: option.WeightDecay = None,
    clip_norm: option.ClipNorm = TrainConfig.clip_norm,
    scheduled_sampling: option.ScheduledSampling = TrainConfig.scheduled_sampling,
    evaluations: option.Evaluations = TrainConfig.evaluations,
    seed: option.Seed = TrainConfig.seed,
    resume: option.Resume = False,
    force: option.Force = False,
    dry_run: option.DryRun = False,
    sample_every: option.SampleEvery = None,
    log: option.Log = None,
    quiet: option.Quiet = False,
    as_json: option.AsJson = False,
    threads: Threads = None,
) -> None:
    """Train a model on a text.

    Files may be compressed (.gz, .bz2, .xz). A folder stands for every *.txt file below it. Model
    size, dropout and learning rate are chosen from the text and the budget unless you set them.

    Part of the text is held out, and the weights that predict it best are kept. Ctrl-C stops
    after the current step. --resume continues from there with the same corpus and options; you
    may raise the budget. If a model of that name exists, it is kept as NAME.previous.npz.
    --init-from keeps the size and the vocabulary of the model that it fine-tunes.
    """
    from charrnn.cli.train_output import TrainingDisplay
    from charrnn.parallel.processes import world
    from charrnn.parallel.threads import Workers
    from charrnn.training.resuming import Text

    set_by_hand = given(context)
    chosen = {name: value for name, value in locals().items() if name in set_by_hand}
    separator, val_name = chosen_separator(lines, split_on, field), str(val) if val else None
    text = Text(corpus or [], encoding, separator, val_name, val_fraction, max_size, field, glob)
    request = Request(text, named_model(output) if output else _default_output(text), chosen)
    _check_outputs(request.output, log, text)
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(Workers(threads, world(), forks=True))
        speaks = workers.world.speaks
        display = stack.enter_context(TrainingDisplay(quiet or not speaks))
        with nothing_to_save():
            run = (_resumed if resume else _fresh)(request, workers, stack)
        known = 0.0 if quiet and not as_json else _known_share(run)
        if run.record.complete and not dry_run:
            display.complete(run)
        else:
            display.begin(run, known)
            if dry_run:
                display.plan(run)
                return
            write = stack.enter_context(_log_file(log if speaks else None, display.note))
            _train(run, display, write, sample_every)
            display.end(run)
    if as_json and speaks:
        print(as_line(run.result().to_json() | ({"val_known_share": known} if known else {})))


def _default_output(text: "Text") -> Path:
    """Return the file of the model if --output does not name it."""
    from charrnn.storage.checkpoint import FOLDER
    from charrnn.text.finding import corpus_name

    return FOLDER / f"{corpus_name(text.sources)}.npz"


def _fresh(request: Request, workers: "Workers", stack: contextlib.ExitStack) -> "Run":
    """Start a new run."""
    from charrnn.training.finetuning import Pretrained
    from charrnn.training.preparing import RunRequest, claimed, prepare

    kind, init_from = request.settings(_OF_VOCABULARY), request.given.get("init_from")
    pretrained = Pretrained.load(init_from) if init_from else None
    tokens = pretrained.tokens(kind) if pretrained else VocabularyConfig(**kind)
    corpus, split = _read(request.text, workers.world)
    run = RunRequest(
        request.settings(_SETTINGS - _OF_VOCABULARY),
        tokens=tokens,
        init_from=pretrained,
        text=replace(request.text, separator=corpus.separator),
        given=request.settings(_SETTINGS | _OF_VOCABULARY),
        command=shlex.join(["charrnn", *sys.argv[1:]]),
        started=STARTED,
    )
    if "dry_run" not in request.given:
        force = "force" in request.given
        claim = partial(stack.enter_context, claimed(request.output, force=force))
        workers.world.together(claim, alone=True)
    return prepare(corpus, split, run, output=request.output, workers=workers)


def _resumed(request: Request, workers: "Workers", stack: contextlib.ExitStack) -> "Run":
    """Load the run that writes the output, at the step where it stopped."""
    from charrnn.storage import checkpoint
    from charrnn.storage.lock import locked
    from charrnn.training import resuming
    from charrnn.training.preparing import resume

    text, output, dry_run = request.text, request.output, "dry_run" in request.given

    def load() -> "Suspended":
        if not dry_run and checkpoint.beside(output, checkpoint.RESUME).exists():
            stack.enter_context(locked(output))
        suspended = resuming.load(output)
        resuming.check_output(output)
        if not dry_run:
            checkpoint.remove_leftovers(output)
        return suspended

    suspended = workers.world.together(load, alone=True)
    settings = request.settings(_SETTINGS | _OF_VOCABULARY)
    if text.separator is not None:
        settings["split_on"] = text.separator
    if "init_from" in request.given:
        settings["init_from"] = str(request.given["init_from"])
    suspended.check(settings)
    found = {name: value for name, value in asdict(text).items() if name in request.given}
    if text.sources:
        found["sources"] = text.sources
    corpus, split = _read_again(replace(suspended.text, **found), output, workers.world)
    budget = {name: settings[name] for name in resuming.BUDGETS if name in settings}
    run = resume(suspended, corpus, split, budget, output=output, workers=workers, started=STARTED)
    _check_outputs(output, request.given.get("log"), run.text)
    return run


def _known_share(run: "Run") -> float:
    """Return the share of the held-out text that the training text contains too, 0 to 1.

    All processes call it together.
    """
    from charrnn.training.overlap import known_share

    split = run.data.split
    return known_share(split.train, split.val) if split.val else 0.0


def _train(
    run: "Run",
    display: "TrainingDisplay",
    write: Callable[["Progress"], None],
    sample_every: int | None,
) -> None:
    """Train to the end, or until a signal stops it after the current step.

    Work that changes no weights, such as validation, stops at once and is repeated on resuming.
    """
    with Interrupts(_GRACE if run.world.size > 1 else 0.0) as interrupts:
        run.trainer.interruptible = interrupts.interruptible
        with contextlib.suppress(Interrupted):
            for progress in run.train():
                display.update(progress)
                write(progress)
                if run.world.speaks:
                    display.show_samples(run, progress, sample_every)
                if run.world.largest(interrupts.signal):
                    break
        if signal := run.world.largest(interrupts.signal):
            run.stop()
            if run.world.speaks:
                display.interrupted(run, _resuming_command())
            raise typer.Exit(exit_code(signal))


def _resuming_command() -> str:
    """Return the command line that resumes this run."""
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--force", "--resume")]
    return shlex.join(["charrnn", *arguments, "--resume"])


def _read_again(text: "Text", output: Path, world: "World") -> tuple["Corpus", "Split"]:
    """Read the text of a run to resume, whose files may have moved."""
    try:
        return _read(text, world)
    except CorpusError as error:
        hint = " If" if error.message.endswith("?") else "; if"
        raise CorpusError(
            f"{error.message}{hint} the text of this run has moved, give its new path (or --val) "
            f"with --resume; to train on another text, use --init-from {output}"
        ) from None


def _read(text: "Text", world: "World") -> tuple["Corpus", "Split"]:
    """Read training and validation documents, the latter from another file if one is named.

    Every process reads all files itself; rank 0 broadcasts what it reads from standard input.
    """
    from charrnn.text.corpus import read_corpus
    from charrnn.text.sources import split_source

    names = ("encoding", "max_size", "field", "glob")
    how: dict[str, Any] = {name: getattr(text, name) for name in names}

    def read() -> tuple["Corpus", "Split"]:
        corpus = read_corpus(text.sources, separator=text.separator, **how)
        val = Path(text.val) if text.val else None
        return corpus, split_source(corpus, val, text.val_fraction, **how)

    return world.together(read, alone="-" in [*text.sources, text.val])


def _check_outputs(output: Path, log: Path | None, text: "Text") -> None:
    """Raise an error if the model or the log would overwrite something else, such as the text."""
    from charrnn.storage.checkpoint import MODEL, RESUME, beside, older_models
    from charrnn.storage.files import LOG, check

    read = [*text.sources, *filter(None, [text.val])]
    check(output, MODEL, read)
    if log is not None:
        check(log, LOG, [*read, output, beside(output, RESUME), *older_models(output)])


@contextlib.contextmanager
def _log_file(
    path: Path | None, note: Callable[[str], None]
) -> Iterator[Callable[["Progress"], None]]:
    """Yield a function that appends the progress of a step to the log as a line of JSON.

    While the disk is full, lines wait for the next step.
    """
    if path is None:
        yield lambda progress: None
        return
    from charrnn.storage.files import LOG, append

    waiting = bytearray()  # lines, or the rest of one, that the disk had no room for
    with append(path, LOG) as file:

        def write(progress: "Progress") -> None:
            entry = {name: value for name, value in asdict(progress).items() if value is not None}
            waited = len(waiting)
            waiting.extend(f"{as_line(entry)}\n".encode("utf-8", "backslashreplace"))
            try:
                file.flush()  # a newline added on opening
                while waiting:
                    del waiting[: os.write(file.fileno(), waiting)]
            except OSError as error:
                if not waited:
                    note(f"cannot write {path}: {error.strerror}; training continues")

        yield write
