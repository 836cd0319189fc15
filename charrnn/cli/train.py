"""`charrnn train`: learn a model from a text."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn.cli.completion import corpora, models, one_of
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
from charrnn.config import (
    ACTIVATIONS,
    CELLS,
    FEEDBACKS,
    FORMS,
    TOKENS,
    ModelConfig,
    TrainConfig,
    VocabularyConfig,
)
from charrnn.errors import CorpusError

if TYPE_CHECKING:
    from charrnn.cli.train_output import TrainingDisplay
    from charrnn.parallel.processes import World
    from charrnn.parallel.threads import Workers
    from charrnn.text.corpus import Corpus, Split
    from charrnn.training.finetuning import Pretrained
    from charrnn.training.resuming import Suspended, Text
    from charrnn.training.run import Run
    from charrnn.training.trainer import Progress


_OF_VOCABULARY = VocabularyConfig.__dataclass_fields__.keys()
_SETTINGS = ModelConfig.__dataclass_fields__.keys() | TrainConfig.__dataclass_fields__.keys()
_CHECKED = _SETTINGS | _OF_VOCABULARY
_SAMPLE_CHARS = 200
_GRACE = 1.0  # seconds


def _chosen(help: str) -> Any:
    """An option whose default depends on the corpus."""
    return typer.Option(help=f"{help}  [default: by the corpus]", show_default=False)


def _choice(help: str, choices: Sequence[str]) -> Any:
    """An option with these choices, which its help and the shell name."""
    return typer.Option(help=f"{help}: {', '.join(choices)}.", autocompletion=one_of(choices))


def train(
    context: typer.Context,
    corpus: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CORPUS",
            help="Text files, .gz, .bz2 and .xz too, folders (every *.txt below), '-' for stdin, "
            "or names of bundled corpora.  [default: english]",
            autocompletion=corpora,
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The model to write; an older one is kept as NAME.previous.npz.  "
            "[default: checkpoints/<corpus>.npz]",
            show_default=False,
        ),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Start from the weights of this model, a file or everyday or ilsang; its sizes "
            "and its kind of tokens stay.  [default: fresh weights]",
            autocompletion=models,
            show_default=False,
        ),
    ] = None,
    cell: Annotated[str, _choice("Kind of cell", CELLS)] = ModelConfig.cell,
    activation: Annotated[str, _choice("Of the rnn cell", ACTIVATIONS)] = ModelConfig.activation,
    feedback: Annotated[
        str, _choice("Of the jordan cell, what it gets of its last output", FEEDBACKS)
    ] = ModelConfig.feedback,
    order: Annotated[
        int, typer.Option(help="Of the ngram cell: it sees the last order - 1 tokens.")
    ] = ModelConfig.order,
    ngram: Annotated[
        int | None,
        _chosen("Order of the n-gram model that stands beside the network, 0 for none."),
    ] = None,
    ngram_scale: Annotated[
        float, typer.Option(help="How much of its log P is added to the network's logits.")
    ] = ModelConfig.ngram_scale,
    max_ngrams: Annotated[
        int | None,
        typer.Option(
            help="How many k-grams are kept.  [default: beside a network as many as fit into the "
            "size of the corpus, else 10000000]",
            show_default=False,
        ),
    ] = TrainConfig.max_ngrams,
    hidden_size: Annotated[int | None, _chosen("Units of a layer.")] = None,
    num_layers: Annotated[int | None, _chosen("Layers.")] = None,
    embedding_size: Annotated[
        int | None, _chosen("Size of the learned embedding of a token, 0 for one-hot input.")
    ] = None,
    dropout: Annotated[
        float | None, _chosen("Share of units dropped between layers and before the head, 0 to 1.")
    ] = None,
    recurrent_dropout: Annotated[
        float | None, _chosen("Share of recurrent weights dropped for a chunk, 0 to 1.")
    ] = None,
    lines: Annotated[
        bool | None,
        typer.Option(
            "--lines/--whole",
            help="Whether a document is a line or a file.  [default: lines for bundled corpora]",
            show_default=False,
        ),
    ] = None,
    split_on: SplitOn = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(
            help="Share of the characters held out for validation, 0 for none.  "
            "[default: 0.1, at most a million characters]",
            show_default=False,
        ),
    ] = None,
    val: Annotated[
        Path | None,
        typer.Option(
            help="A text file to validate on instead.  [default: none]", show_default=False
        ),
    ] = None,
    tokens: Annotated[
        str, _choice("What the model reads and writes", TOKENS)
    ] = VocabularyConfig.tokens,
    normalize: Annotated[
        str,
        typer.Option(
            help=f"Of characters: {', '.join(FORMS)}; nfd takes them apart, Hangul into jamo, and "
            "composes what is printed.",
            autocompletion=one_of(FORMS),
        ),
    ] = VocabularyConfig.normalize,
    vocab_size: Annotated[
        int | None,
        typer.Option(
            help="Keep the most frequent tokens only.  [default: all characters, 10000 words]",
            show_default=False,
        ),
    ] = VocabularyConfig.vocab_size,
    min_count: Annotated[
        int, typer.Option(help="Tokens that occur less often become <UNK>.")
    ] = VocabularyConfig.min_count,
    unk_rate: Annotated[
        float, typer.Option(help="Share of tokens read as <UNK>, so that it is learned.")
    ] = TrainConfig.unk_rate,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    epochs: Annotated[
        float | None, typer.Option(help="Budget: passes over the text.", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Budget: updates of the weights.", show_default=False)
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Budget: minutes from start to end, all included.  "
            "[default without a budget: steps by the corpus]",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[int | None, _chosen("Streams of text read side by side.")] = None,
    seq_len: Annotated[
        int | None, _chosen("Tokens of a stream that a gradient goes back through.")
    ] = None,
    accumulate: Annotated[
        int, typer.Option(help="Chunks of so many tokens that make an update of the weights.")
    ] = TrainConfig.accumulate,
    learning_rate: Annotated[
        float | None, _chosen("Of Adam, at its peak; it rises, then decays to 0 with the budget.")
    ] = None,
    weight_decay: Annotated[float | None, _chosen("Decoupled weight decay.")] = None,
    clip_norm: Annotated[
        float, typer.Option(help="Largest global norm of the gradient.")
    ] = TrainConfig.clip_norm,
    scheduled_sampling: Annotated[
        float,
        typer.Option(
            help="Share of the inputs that the model draws itself instead of reading them; rises "
            "to this over the run."
        ),
    ] = TrainConfig.scheduled_sampling,
    evaluations: Annotated[
        int, typer.Option(help="Validations in the run; fewer where they take long.")
    ] = TrainConfig.evaluations,
    seed: Annotated[int, typer.Option(help="Of all randomness.")] = TrainConfig.seed,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where the run that writes the output stopped. Corpus and options are those "
            "of that run; its budget may be set anew, to a longer one.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start anew where the output is an unfinished run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its time and memory, and stop.")
    ] = False,
    sample_every: Annotated[
        int | None,
        typer.Option(
            help="Show a fresh sample every so many steps.  [default: never]",
            min=1,
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            help="Append one line of JSON per step to this .jsonl file.  [default: none]",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, one object at the end.")
    ] = False,
    threads: Threads = None,
) -> None:
    """Learn a model from CORPUS and write it to a checkpoint.

    The weights that predict the validation split best are kept. Ctrl-C ends the run after the step
    it is in; with --resume it goes on from there.
    """
    from charrnn.cli.train_output import TrainingDisplay
    from charrnn.parallel.processes import world
    from charrnn.parallel.threads import Workers
    from charrnn.storage.checkpoint import FOLDER
    from charrnn.text.corpus import corpus_name
    from charrnn.training.finetuning import Pretrained
    from charrnn.training.resuming import Text

    set_by_hand = given(context)
    chosen = {name: value for name, value in locals().items() if name in set_by_hand}
    options = {name: chosen[name] for name in chosen.keys() & _SETTINGS - _OF_VOCABULARY}
    kind = {name: chosen[name] for name in chosen.keys() & _OF_VOCABULARY}
    pretrained = None if init_from is None or resume else Pretrained.load(init_from)
    vocabulary = VocabularyConfig(**kind) if pretrained is None else pretrained.tokens(kind)
    separator = chosen_separator(lines, split_on)
    val_name = str(val) if val else None
    text = Text(corpus or [], encoding, separator, val_name, val_fraction, max_size)
    output = output or FOLDER / f"{corpus_name(text.sources)}.npz"
    _check_outputs(output, log, text)
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(Workers(threads, world()))
        speaks = workers.world.speaks
        display = stack.enter_context(TrainingDisplay(quiet or not speaks))
        with nothing_to_save():
            if resume:
                run = _resumed(text, set_by_hand, output, workers, stack)
                _check_outputs(output, log, run.text)
            else:
                run = _fresh(
                    *(text, vocabulary, options, pretrained, set_by_hand),
                    *(output, workers, stack, force),
                )
        if dry_run:
            display.begin(run, 0.0 if quiet else _known_share(run))
            display.plan(run)
            return
        if run.complete:
            display.complete(run)
        else:
            write = stack.enter_context(_log_file(log if speaks else None, display.note))
            display.begin(run, 0.0 if quiet else _known_share(run))
            _train(run, display, write, sample_every)
            display.end(run)
    if as_json and speaks:
        print(as_line(run.result()))


def _fresh(
    text: "Text",
    vocabulary: VocabularyConfig,
    options: dict[str, Any],
    init_from: "Pretrained | None",
    set_by_hand: dict[str, Any],
    output: Path,
    workers: "Workers",
    stack: contextlib.ExitStack,
    force: bool,
) -> "Run":
    """A new run."""
    from charrnn.training.preparing import claimed, prepare

    corpus, split = _read(text, workers.world)
    if not set_by_hand.get("dry_run"):
        claim = partial(stack.enter_context, claimed(output, force=force))
        workers.world.together(claim, alone=True)
    return prepare(
        corpus,
        split,
        options,
        output=output,
        workers=workers,
        tokens=vocabulary,
        init_from=init_from,
        text=replace(text, separator=corpus.separator),
        given={name: value for name, value in set_by_hand.items() if name in _CHECKED},
        command=shlex.join(["charrnn", *sys.argv[1:]]),
        started=STARTED,
    )


def _resumed(
    text: "Text",
    set_by_hand: dict[str, Any],
    output: Path,
    workers: "Workers",
    stack: contextlib.ExitStack,
) -> "Run":
    """The run that writes the output, where it stopped."""
    from charrnn.storage import checkpoint
    from charrnn.storage.lock import locked
    from charrnn.training import resuming
    from charrnn.training.preparing import resume

    dry_run = set_by_hand.get("dry_run")

    def load() -> "Suspended":
        if not dry_run and checkpoint.beside(output, checkpoint.RESUME).exists():
            stack.enter_context(locked(output))
        suspended = resuming.load(output)
        resuming.check_output(output)
        if not dry_run:
            checkpoint.remove_leftovers(output)
        return suspended

    suspended = workers.world.together(load, alone=True)
    settings = {name: value for name, value in set_by_hand.items() if name in _CHECKED}
    if text.separator is not None:
        settings["split_on"] = text.separator
    if "init_from" in set_by_hand:
        settings["init_from"] = str(set_by_hand["init_from"])
    suspended.check(settings)
    found = {name: value for name, value in asdict(text).items() if name in set_by_hand}
    if text.sources:
        found["sources"] = text.sources
    corpus, split = _read_again(replace(suspended.text, **found), output, workers.world)
    budget = {name: settings[name] for name in resuming.BUDGETS if name in settings}
    return resume(suspended, corpus, split, budget, output=output, workers=workers, started=STARTED)


def _known_share(run: "Run") -> float:
    """How much of the held-out text the training text has too; all processes call it together."""
    from charrnn.training.overlap import known_share

    split = run.data.split
    return known_share(split.train, split.val) if split.val else 0.0


def _train(
    run: "Run",
    display: "TrainingDisplay",
    write: Callable[["Progress"], None],
    sample_every: int | None,
) -> None:
    """Train to the end, or to the end of the step in which a signal comes.

    It breaks off what changes nothing, such as validation, which is done again on resuming.
    """
    with Interrupts(_GRACE if run.world.size > 1 else 0.0) as interrupts:
        run.trainer.interruptible = interrupts.interruptible
        with contextlib.suppress(Interrupted):
            for progress in run.train():
                display.update(progress)
                write(progress)
                if sample_every and progress.step % sample_every == 0 and run.world.speaks:
                    display.note(_fresh_sample(run, progress.step))
                if run.world.largest(interrupts.signal):
                    break
        if signal := run.world.largest(interrupts.signal):
            run.stop()
            if run.world.speaks:
                display.interrupted(run, _resuming_command())
            raise typer.Exit(exit_code(signal))


def _resuming_command() -> str:
    """The command line that goes on with this run."""
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--force", "--resume")]
    return shlex.join(["charrnn", *arguments, "--resume"])


def _read_again(text: "Text", output: Path, world: "World") -> tuple["Corpus", "Split"]:
    """The text of a run that goes on, whose files may have been moved."""
    try:
        return _read(text, world)
    except CorpusError as error:
        raise CorpusError(
            f"{error}; if the text of this run lies elsewhere now, name its new path (or --val) "
            f"beside --resume; to learn from another text, use --init-from {output}"
        ) from None


def _read(text: "Text", world: "World") -> tuple["Corpus", "Split"]:
    """Training and validation documents, the latter from another file where one is named.

    Every process reads all of them by itself; what comes from standard input, rank 0 hands on.
    """
    from charrnn.text.corpus import read_corpus
    from charrnn.text.sources import split_source

    encoding, max_size = text.encoding, text.max_size

    def read() -> tuple["Corpus", "Split"]:
        corpus = read_corpus(
            text.sources, separator=text.separator, encoding=encoding, max_size=max_size
        )
        val = Path(text.val) if text.val else None
        return corpus, split_source(corpus, val, text.val_fraction, encoding, max_size)

    return world.together(read, alone="-" in [*text.sources, text.val])


def _check_outputs(output: Path, log: Path | None, text: "Text") -> None:
    """Raise an error where the model or the log may not be written: onto a text, say."""
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
    """A function that adds a step's progress as a line of JSON to a file, if one is asked for.

    While the disk is full, lines wait for the next step.
    """
    if path is None:
        yield lambda progress: None
        return
    from charrnn.storage.files import LOG, append

    waiting = bytearray()  # lines, and perhaps the rest of one, that the disk had no room for
    with append(path, LOG) as file:

        def write(progress: "Progress") -> None:
            entry = {name: value for name, value in asdict(progress).items() if value is not None}
            waited = len(waiting)
            waiting.extend(f"{as_line(entry)}\n".encode("utf-8", "backslashreplace"))
            try:
                file.flush()  # what opening it has added
                while waiting:
                    del waiting[: os.write(file.fileno(), waiting)]
            except OSError as error:
                if not waited:
                    note(f"cannot write {path}: {error.strerror}; training goes on")

        yield write


def _fresh_sample(run: "Run", step: int) -> str:
    """A few characters from the model as it is now, drawn from the seed and the step."""
    from charrnn.config import SampleConfig
    from charrnn.inference.sampling import Sample, generate

    sample = Sample("", run.trainer.config.seed + step)
    for _ in generate(run.checkpoint(), [sample], SampleConfig(length=_SAMPLE_CHARS)):
        pass
    return f"--- step {step}\n{sample.text}\n---"
