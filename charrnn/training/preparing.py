"""Prepare a training run from a corpus and options, or resume one."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.config import ModelConfig, TrainConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError, CorpusError, setting
from charrnn.ids import IGNORE, NUM_SPECIAL, UNK
from charrnn.mixing.fitting import letters_of
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import Counts, count_ngrams, fit, fit_into
from charrnn.ngrams.leave_one_out import LeaveOneOut
from charrnn.ngrams.residual import MAX_NGRAMS, Network, ResidualRNN, ngram_config
from charrnn.parallel.processes import World
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint, files
from charrnn.storage.lock import locked
from charrnn.text.corpus import Corpus, Split
from charrnn.text.dataset import Dataset
from charrnn.text.documents import Documents
from charrnn.text.tokens import Encoded
from charrnn.training import resuming
from charrnn.training.batches import Batches
from charrnn.training.clock import measure
from charrnn.training.counting import NGramTrainer
from charrnn.training.finetuning import Pretrained
from charrnn.training.learner import Learner
from charrnn.training.memory import check_memory, most_ngrams
from charrnn.training.mixture import MixtureFitting, held_part
from charrnn.training.plan import REFERENCE, check_options, plan
from charrnn.training.resuming import Record, Suspended, Text, longer
from charrnn.training.run import Run
from charrnn.training.trainer import Trainer
from charrnn.training.validator import Validator

_CHARACTERS = VocabularyConfig()
_SPEED_SECONDS = 0.34  # for measuring the speed of the machine
_MAX_NGRAM_BYTES = 3 * MAX_NGRAMS  # a larger model might have more k-grams


@contextlib.contextmanager
def claimed(output: Path, *, force: bool = False) -> Iterator[None]:
    """Lock an output for writing, unless an unfinished run is there.

    Args:
        output: the model file to write.
        force: overwrite an unfinished run, too.

    Raises:
        ConfigError: the name is not one of a model.
        CheckpointError: another process writes it, an unfinished run or a file of another kind is
            there, or the system refuses.
    """
    resuming.check_output(output)
    files.check_writable(output)
    with locked(output):
        checkpoint.remove_leftovers(output)
        if not force:
            resuming.check_finished(output)
        yield


@dataclass(frozen=True)
class RunRequest:
    """What a new run should be.

    Args:
        options: fields of ModelConfig and TrainConfig by name; the plan chooses missing ones.
        tokens: what a token is, and which ones the vocabulary gets.
        init_from: a trained model with such tokens to start from; None for fresh weights.
        text: how the text was read.
        given: the options that the user set.
        command: the command line, for the metadata.
        started: start of the process in seconds of `time.perf_counter`.

    Raises:
        ConfigError: an option is out of range, or does not fit the trained model.
    """

    options: Mapping[str, Any]
    tokens: VocabularyConfig = _CHARACTERS
    init_from: Pretrained | None = None
    text: Text | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        check_options(self.settings)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The options, completed with those of the trained model."""
        return self.options if self.init_from is None else self.init_from.settings(self.options)


def prepare(
    corpus: Corpus, split: Split, request: RunRequest, *, output: Path | None, workers: Workers
) -> Run:
    """Return a run that is ready to train: with vocabulary, tokens, plan and a network.

    Args:
        corpus: the text.
        split: its training and validation part.
        request: what the run should be.
        output: the model file to write; None for none.
        workers: threads and processes of the run.

    Raises:
        CorpusError: nothing is left to train on.
        ConfigError: an option is out of range, or does not fit the trained model.
        CheckpointError: the output cannot be written.
    """
    init_from, options, world = request.init_from, request.settings, workers.world
    data = _dataset(corpus, split, request.tokens, world)
    speed = {}
    by_clock = options.get("minutes") is not None
    if found := world.broadcast(_chars_per_minute(workers) if by_clock else 0.0):
        speed["chars_per_minute"] = found * world.size
    vocab_size = len(data.vocabulary)
    configs = plan(len(data.train), vocab_size, corpus.count_eos, options, **speed)
    if output is not None:
        world.together(lambda: resuming.check_output(output), alone=True)
    check_memory(*configs)
    shorten = request.options.get("ngram") is None
    trainer = _trainer(*configs, data, workers, request.started, init_from, shorten)
    text = request.text or Text([], "utf-8", corpus.separator, None, None)
    text = replace(text, sha256=corpus.sha256, val_sha256=data.val_sha256)
    origin = init_from.origin(data.vocabulary) if init_from else None
    record = Record(command=request.command, init_from=origin)
    run = Run(data, trainer, output, text, request.given, record, request.started)
    run.compare()
    if trainer.config.minutes is not None:
        trainer.plan()
    return run


def resume(
    suspended: Suspended,
    corpus: Corpus,
    split: Split,
    budget: Mapping[str, Any],
    *,
    output: Path,
    workers: Workers,
    started: float,
) -> Run:
    """Return the run of `output` at the step where it stopped, bit for bit.

    Args:
        suspended: the saved run.
        corpus: the text.
        split: its training and validation part.
        budget: a longer budget as steps, epochs or minutes; empty for that of the run.
        output: the model file of the run.
        workers: threads and processes of the run.
        started: start of this process in seconds of `time.perf_counter`.

    Raises:
        CorpusError: the text has changed.
        ConfigError: the budget is shorter, or of another kind.
        CheckpointError: the run cannot be resumed.
    """
    config = longer(suspended.train, budget)
    data = _dataset(corpus, split, suspended.tokens, workers.world)
    if corpus.sha256 != suspended.text.sha256:
        raise _other_text("text", output, "its new path")
    check_memory(suspended.model, config)
    if data.val_sha256 != suspended.text.val_sha256:
        raise _other_text("validation text", output, f"it with {setting('val')}")
    if len(data.vocabulary) != suspended.model.vocab_size:
        raise CheckpointError(f"cannot resume {output}: its vocabulary is not that of the text")
    started -= suspended.record.seconds
    trainer = _trainer(suspended.model, config, data, workers, started)
    text, given = suspended.text, suspended.given
    run = Run(data, trainer, output, text, given, suspended.record, started)
    run.restore(suspended)
    run.compare()
    return run


def _dataset(corpus: Corpus, split: Split, tokens: VocabularyConfig, world: World) -> Dataset:
    """Return the dataset, checked to be the same in every process.

    Raises:
        CorpusError: nothing is left to train on, or processes have read different texts.
    """
    data = world.together(lambda: Dataset.of(corpus, split, tokens))
    first, *others = world.gather((corpus.sha256, data.val_sha256))
    for rank, found in enumerate(others, start=1):
        if found != first:
            raise CorpusError(
                f"process {rank} has read another text than process 0; each machine needs the "
                "same files"
            )
    return data


def _trainer(
    model_config: ModelConfig,
    config: TrainConfig,
    data: Dataset,
    workers: Workers,
    started: float,
    init_from: Pretrained | None = None,
    shorten: bool = False,
) -> Learner:
    """Return the trainer of a network, or of an n-gram model.

    Args:
        model_config: the model.
        config: of the run.
        data: the tokens.
        workers: threads and processes of the run.
        started: start of the run in seconds of `time.perf_counter`.
        init_from: a trained network to start from; None for fresh weights.
        shorten: lower the order of the n-gram model beside the network if there are too many
            k-grams, instead of raising an error.
    """
    documents, count_eos = data.split.train, data.corpus.count_eos
    validator = Validator(data.validation, workers, count_eos) if data.validation else None
    if model_config.cell == "ngram":
        train = Encoded(data.train.array(), documents.chars)
        return NGramTrainer(
            model_config, train, validator, config, count_eos=count_eos, workers=workers
        )
    counted = []
    if model_config.ngram:
        counted = _counted(model_config, data.train.array(), workers.world, shorten)
        if shorten:
            model_config = replace(model_config, ngram=len(counted))
    network = (
        CharRNN(model_config).initialize(np.random.default_rng(config.seed))
        if init_from is None
        else init_from.start(model_config, data.vocabulary)
    )
    model: Network = network
    mixture = None
    if model_config.ngram:
        model = _with_ngram(network, counted, documents, config.max_ngrams)
        if config.mix and (held := held_part(data.train, config.minutes)):
            letters = letters_of(data.vocabulary.tokens)
            tokens = data.train.array()
            mixture = MixtureFitting(model, tokens, held, letters, _bytes(documents))
    trainer = Trainer(
        model,
        _batches(data, config, workers.world, mixture),
        validator,
        config,
        workers=workers,
        chars_per_token=data.chars_per_token,
        started=started,
    )
    trainer.mixture = mixture
    return trainer


def _batches(
    data: Dataset, config: TrainConfig, world: World, mixture: MixtureFitting | None
) -> Batches:
    """Return the batches of the training split, with the streams of this process."""
    newline = int(data.vocabulary.encode("\n")[0])
    line_end = newline if newline != UNK else IGNORE
    held = mixture.held if mixture else None
    return Batches(data.train, config, line_end, world.share(config.batch_size), held)


def _other_text(text: str, output: Path, name: str) -> CorpusError:
    """Return the error for resuming a run with another text.

    Args:
        text: which text has changed.
        output: the model file of the run.
        name: how to name the old text if it was moved.
    """
    return CorpusError(
        f"the {text} has changed since the run of {output} was started; if it lies elsewhere now, "
        f"name {name} beside {setting('resume')}, or learn from the new text with "
        f"{setting('init_from')} {output} and another {setting('output')}"
    )


def _chars_per_minute(workers: Workers) -> float:
    """Measure how many characters a minute this process trains an lstm 1x256 on; 0 if unknown."""
    model = CharRNN(REFERENCE).initialize(np.random.default_rng(0))
    config = TrainConfig(steps=1)
    tokens = np.random.default_rng(0).integers(NUM_SPECIAL, REFERENCE.vocab_size, 100_000)
    with Workers(workers.threads, forks=workers.forks) as own:
        pace = measure(model, Batches(tokens, config), None, config, own, _SPEED_SECONDS)
    return 60 * config.tokens_per_step / pace.step_seconds if pace.step_seconds else 0.0


def _counted(config: ModelConfig, tokens: np.ndarray, world: World, shorten: bool) -> list[Counts]:
    """Count the k-grams of the training text, at most as many as may stand beside a network."""
    most = world.broadcast(min(MAX_NGRAMS, most_ngrams(len(tokens))))
    try:
        return count_ngrams(ngram_config(config), tokens, most, shorten=shorten)
    except ValueError as error:
        raise ConfigError(f"{error}: lower {setting('ngram')}") from None


def _with_ngram(
    network: CharRNN, counted: Sequence[Counts], documents: Documents, max_size: int | None
) -> ResidualRNN:
    """Return the network on top of the n-gram model of its training text."""
    ngram = ngram_config(network.config)
    if max_size is None:
        model = fit_into(ngram, counted, min(_bytes(documents), _MAX_NGRAM_BYTES))
    else:
        model = fit(ngram, counted, min(max_size, MAX_NGRAMS))
    return ResidualRNN(network, model, LeaveOneOut(ngram, counted))


def _bytes(documents: Documents) -> int:
    """Return the size of the documents in UTF-8, in bytes."""
    return sum(number * len(char.encode()) for char, number in documents.char_counts().items())
