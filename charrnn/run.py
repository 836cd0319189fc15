"""A training run from corpus to checkpoint: what `charrnn train` does, without its screen."""

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from charrnn import archive, checkpoint, resuming
from charrnn.baselines import baselines, expected_seconds
from charrnn.batches import Batches
from charrnn.checkpoint import Checkpoint
from charrnn.config import ModelConfig, TrainConfig, VocabularyConfig
from charrnn.corpus import Corpus, Split
from charrnn.documents import Documents
from charrnn.errors import CheckpointError, ConfigError, CorpusError, DivergedError
from charrnn.evaluation import Model
from charrnn.finetuning import Pretrained
from charrnn.functional import IGNORE
from charrnn.kneser_ney import count, fit, fit_into
from charrnn.leave_one_out import LeaveOneOut
from charrnn.lock import locked
from charrnn.memory import check_memory
from charrnn.model import CharRNN
from charrnn.parallel import Workers
from charrnn.plan import plan
from charrnn.residual import MAX_NGRAMS, Network, ResidualRNN, ngram_config
from charrnn.resources import peak_memory
from charrnn.resuming import Suspended, Text, longer
from charrnn.tokens import Encoded, Tokens, encode_documents, learn_vocabulary, tokenize
from charrnn.training import NGramTrainer, Progress, Trainer
from charrnn.vocabulary import NUM_SPECIAL, UNK, Vocabulary

_BITS = 1 / math.log(2)  # a nat in bits
_CHARACTERS = VocabularyConfig()
_SPEED_VOCABULARY = 64
_SPEED_MINUTES = 0.3  # a budget of which a small share goes to measuring
_SAVING_SHARE = 0.02  # of the time, at most, for what a run that is killed needs to go on
_LEAST_TO_LOSE = 1.0  # seconds
_OTHER_TEXT = (
    "the {} is not the one that the run of {} was started on; resume with that one, or start a "
    "new run with --force instead of --resume"
)
_MAX_NGRAM_BYTES = 3 * MAX_NGRAMS  # more might be more than MAX_NGRAMS
_PLANNED = (
    *("hidden_size", "num_layers", "embedding_size", "dropout", "recurrent_dropout"),
    *("weight_decay", "ngram"),
    *("batch_size", "seq_len", "learning_rate", "evaluations", "steps"),
)


@dataclass(frozen=True)
class Dataset:
    """A text, made ready to train on."""

    corpus: Corpus
    split: Split
    vocabulary: Vocabulary
    train: Tokens
    validation: Encoded | None  # None: nothing is held out

    @classmethod
    def of(cls, corpus: Corpus, split: Split, config: VocabularyConfig) -> "Dataset":
        """Learn the vocabulary, and encode both splits.

        Raises:
            CorpusError: no token is left to train on.
        """
        vocabulary = learn_vocabulary(split.train, config)
        if not vocabulary.tokens:
            raise CorpusError(
                f"no {config.unit} occurs {config.min_count} times in the text; lower --min-count"
            )
        validation = encode_documents(vocabulary, split.val) if split.val else None
        return cls(corpus, split, vocabulary, tokenize(vocabulary, split.train), validation)

    @property
    def val_sha256(self) -> str:
        """Tells whether two runs have validated on the same tokens."""
        return (
            hashlib.sha256(self.validation.tokens.tobytes()).hexdigest() if self.validation else ""
        )

    @property
    def chars_per_token(self) -> float:
        """How many characters a token of the training split stands for on average."""
        documents = self.split.train
        num_ends = len(documents) - documents.cut
        return (documents.chars + num_ends) / (len(self.train) - documents.cut)


@dataclass
class Run:
    """One training run and the checkpoint that it writes, if any."""

    data: Dataset
    trainer: Trainer | NGramTrainer
    output: Path | None  # None: nothing is written
    text: Text
    command: str
    given: dict[str, Any]  # options set by hand
    started: float
    history: list[dict[str, Any]] = field(default_factory=list)  # one entry a validation
    baselines: dict[str, float] = field(default_factory=dict)  # once training has ended
    init_from: dict[str, Any] = field(default_factory=dict)  # where the first weights come from
    saved: bool = False  # whether the file of the output is this run's
    complete: bool = False
    _next_suspend: float = math.inf  # when, on time.monotonic

    @property
    def model(self) -> Model:
        """The network: the latest weights while it trains, the best ones afterwards."""
        return self.trainer.model

    def train(self) -> Iterator[Progress]:
        """Train, and save whenever the weights are the best so far, and now and then to resume.

        Yields:
            Progress after every step; where something could not be saved, its trouble says so.

        Raises:
            DivergedError: the loss was not finite again and again; what was saved before stays.
            CheckpointError: the output cannot be written at the start or at the end.
        """
        self.suspend()
        try:
            for progress in self.trainer.train():
                if progress.train_loss is not None:
                    self.history.append(_entry(progress, time.monotonic() - self.started))
                yield self._keep(progress)
        except DivergedError as error:
            if self.output is not None:  # it would only diverge again
                checkpoint.beside(self.output, checkpoint.RESUME).unlink(missing_ok=True)
            kept = f"; the best model so far is in {self.output}" if self.saved else ""
            raise DivergedError(f"{error}{kept}") from None
        try:
            self.save()
            self.complete = True
            self.suspend()
        except CheckpointError as error:
            raise CheckpointError(f"{error}; make that possible and go on with --resume") from None
        if self.data.validation is not None:
            self.baselines = baselines(
                self.model,
                self.data.train,
                self.data.validation,
                self.data.split,
                count_eos=self.data.corpus.count_eos,
                workers=self.trainer.workers,
            )
            self.save()  # once more, with what it compares to

    def _keep(self, progress: Progress) -> Progress:
        """Save what is worth it; a disk that is full for a while does not end hours of work."""
        try:
            if progress.best:
                self.save()
            if time.monotonic() > self._next_suspend:
                self.suspend()
        except CheckpointError as error:
            reasons = (progress.trouble, f"{error}; training goes on")
            return replace(progress, trouble="; ".join(filter(None, reasons)))
        return progress

    def flags(self) -> str:
        """The options that were planned, with which `--steps` repeats the run exactly."""
        settings = asdict(self.model.config) | asdict(self.trainer.config)
        settings["steps"] = self.trainer.budget.steps
        return " ".join(f"--{name.replace('_', '-')} {settings[name]}" for name in _PLANNED)

    @property
    def passes(self) -> float:
        """How often the run reads the training text."""
        if isinstance(self.trainer, NGramTrainer):
            return 1.0
        return self.trainer.budget.steps / self.trainer.batches.steps_per_epoch

    @property
    def num_ngrams(self) -> int:
        """How many k-grams stand beside the network."""
        return self.model.ngram.size if isinstance(self.model, ResidualRNN) else 0

    def expected(self) -> tuple[float, int]:
        """How many seconds training takes, as measured, and bytes of memory."""
        seconds = 0.0
        if isinstance(self.trainer, Trainer):
            step_seconds = self.trainer.step_seconds or self.trainer.measure()
            seconds = step_seconds * self.trainer.budget.steps
        return time.monotonic() - self.started + seconds, peak_memory()

    def save(self) -> None:
        """Write the checkpoint; the first time, an older model there becomes NAME.previous.npz.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        if self.output is None:
            return
        if not self.saved:
            checkpoint.keep_previous(self.output)
            self.saved = True
            self.suspend()  # so that no later run takes this model for an older one
        checkpoint.save(self.checkpoint(), self.output)

    def suspend(self) -> None:
        """Write what is needed to go on from here.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        if self.output is None:
            return
        clock = time.monotonic()
        self._next_suspend = clock + _LEAST_TO_LOSE
        suspended = Suspended(
            self.model.config,
            self.trainer.config,
            self.data.vocabulary.config,
            self.text,
            self.given,
            self.command,
            self.history,
            clock - self.started,
            self.trainer.budget.steps,
            self.trainer.budget.planned,
            self.saved,
            self.complete,
            self.init_from,
            self.trainer.snapshot(),
        )
        suspended.save(checkpoint.beside(self.output, checkpoint.RESUME))
        done = time.monotonic()
        self._next_suspend = done + max(_LEAST_TO_LOSE, (done - clock) / _SAVING_SHARE)

    def restore(self, suspended: Suspended) -> None:
        """Go on where a run of the same text and settings was; its budget may have been longer.

        Raises:
            CheckpointError: it is not such a run.
        """
        trainer, unchanged = self.trainer, self.trainer.config == suspended.train
        self.history, self.saved = suspended.history, suspended.saved
        self.init_from = suspended.init_from
        self.complete = suspended.complete and unchanged
        try:
            trainer.restore(suspended.snapshot)
        except ValueError as error:
            raise CheckpointError(f"cannot resume {self.output}: {error}") from None
        if unchanged:
            trainer.budget.steps, trainer.budget.planned = suspended.steps, suspended.planned
        elif isinstance(trainer, Trainer):
            trainer.extend()
        if self.saved and self.output is not None and not self.output.exists():
            self._save_best()

    def stop(self) -> None:
        """Save what an interrupted run has, in a model and to resume.

        Raises:
            CheckpointError: it cannot be written.
        """
        if not self.saved:
            self.save()
        self.suspend()

    def _save_best(self) -> None:
        """Write the checkpoint in the middle of a run."""
        if isinstance(self.trainer, Trainer) and math.isfinite(self.trainer.best_loss):
            weights = self.trainer.model.parameters.flat
            latest = weights.copy()
            weights[:] = self.trainer.best
            self.save()
            weights[:] = latest

    def checkpoint(self) -> Checkpoint:
        """The model as it is now, with what is needed to use it and to train it again."""
        training = {
            "command": self.command,
            "config": asdict(self.trainer.config),
            "corpus": {
                "name": self.data.corpus.name,
                "documents": len(self.data.corpus.documents),
                "chars": self.data.corpus.chars,
                "sha256": self.data.corpus.sha256,
            },
            "result": self.result() if any(entry["best"] for entry in self.history) else {},
            "history": self.history,
        }
        if self.init_from:
            training["init_from"] = self.init_from
        return Checkpoint(self.model, self.data.vocabulary, self.data.corpus.separator, training)

    def result(self) -> dict[str, Any]:
        """The figures of the run, those of the best step where steps differ.

        `chars_per_sec` counts training steps only; `seconds` is everything since the start.
        """
        best = [entry for entry in self.history if entry["best"]][-1]
        fields = {
            "checkpoint": self.output and str(self.output),
            "cell": self.model.config.cell,
            "parameters": self.model.size,
            "vocab_size": len(self.data.vocabulary),
            "steps": self.history[-1]["step"],
            "epochs": self.history[-1]["epochs"],
            "seconds": time.monotonic() - self.started,
            "chars_per_sec": self.trainer.chars / self.trainer.seconds,
            "train_bits_per_char": best["train_bits_per_char"],
            "val_bits_per_char": best["val_bits_per_char"],
            "val_unk": best["val_unk"],
            "best_step": best["step"],
            "seed": self.trainer.config.seed,
        }
        if self.data.vocabulary.config.unit != "character" and best["val_tokens"]:
            fields["val_unk_share"] = best["val_unk"] / best["val_tokens"]
        if self.init_from:
            fields["init_from"] = self.init_from
        return fields | {"baselines": self.baselines}


def _entry(progress: Progress, seconds: float) -> dict[str, Any]:
    found, train_loss = progress.validation, progress.train_loss or 0.0
    return {
        "step": progress.step,
        "epochs": progress.epochs,
        "seconds": seconds,
        "learning_rate": progress.learning_rate,
        "train_bits_per_char": _finite(train_loss * _BITS),
        "val_bits_per_char": _finite(found.bits_per_char) if found else None,
        "val_unk": found.unk if found else None,
        "val_tokens": found.tokens if found else None,
        "best": progress.best,
    }


def _finite(number: float) -> float | None:
    """None for what JSON has no word for."""
    return number if math.isfinite(number) else None


@contextlib.contextmanager
def claimed(output: Path, *, force: bool = False) -> Iterator[None]:
    """Be the only one to write an output, and not onto a run that is unfinished.

    Args:
        force: do so onto an unfinished one too.

    Raises:
        CheckpointError: another process writes it, it is an unfinished run, or the system refuses.
    """
    archive.check_writable(output)
    with locked(output):
        checkpoint.remove_leftovers(output)
        if not force:
            resuming.check_finished(output)
        yield


def prepare(
    corpus: Corpus,
    split: Split,
    options: Mapping[str, Any],
    *,
    output: Path | None,
    workers: Workers,
    tokens: VocabularyConfig = _CHARACTERS,
    init_from: Pretrained | None = None,
    text: Text | None = None,
    given: Mapping[str, Any] | None = None,
    command: str = "",
    started: float | None = None,
) -> Run:
    """Vocabulary, tokens, plan and a network, ready to train.

    Args:
        options: fields of ModelConfig and TrainConfig; None and what is missing is planned.
        output: the model to write, None for none.
        tokens: what a token is, and which ones the vocabulary gets.
        init_from: a trained model of such tokens, to start from its weights and not afresh.
        text: how the text was read.
        given: those of all options that were set by hand.
        command: the command line, for the metadata.
        started: when the process started on `time.monotonic`.

    Raises:
        CorpusError: nothing is left to train on.
        ConfigError: an option is out of range, or does not fit the trained model.
        CheckpointError: the output cannot be written.
    """
    if init_from is not None:
        options = init_from.settings(options)
    started = time.monotonic() if started is None else started
    data = Dataset.of(corpus, split, tokens)
    speed = {}
    if options.get("minutes") is not None:
        speed["chars_per_minute"] = _chars_per_minute(workers)
    vocab_size = len(data.vocabulary)
    configs = plan(len(data.train), vocab_size, corpus.count_eos, options, **speed)
    if output is not None:
        archive.check_writable(output)
    check_memory(*configs)
    trainer = _trainer(*configs, data, workers, started, init_from)
    if isinstance(trainer, Trainer) and trainer.config.minutes is not None:
        trainer.budget.reserve += expected_seconds(split)
        trainer.measure()
    text = text or Text([], "utf-8", corpus.separator, None, None)
    text = replace(text, sha256=corpus.sha256, val_sha256=data.val_sha256)
    run = Run(data, trainer, output, text, command, dict(given or {}), started)
    if init_from is not None:
        run.init_from = init_from.summary(data.vocabulary)
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
    """The run of `output` where it stopped, bit for bit unless it gets a longer budget.

    Args:
        budget: steps, epochs or minutes, or nothing for that of the run.
        started: when the process started on `time.monotonic`.

    Raises:
        CorpusError: the text is another one.
        ConfigError: the budget is shorter, or of another kind.
        CheckpointError: the run cannot be resumed.
    """
    config = longer(suspended.train, budget)
    if corpus.sha256 != suspended.text.sha256:
        raise CorpusError(_OTHER_TEXT.format("text", output))
    check_memory(suspended.model, config)
    data = Dataset.of(corpus, split, suspended.tokens)
    if data.val_sha256 != suspended.text.val_sha256:
        raise CorpusError(_OTHER_TEXT.format("validation text", output))
    if len(data.vocabulary) != suspended.model.vocab_size:
        raise CheckpointError(f"cannot resume {output}: its vocabulary is not that of the text")
    started -= suspended.seconds
    trainer = _trainer(suspended.model, config, data, workers, started)
    text, given = suspended.text, suspended.given
    run = Run(data, trainer, output, text, suspended.command, given, started)
    run.restore(suspended)
    return run


def _trainer(
    model_config: ModelConfig,
    config: TrainConfig,
    data: Dataset,
    workers: Workers,
    started: float,
    init_from: Pretrained | None = None,
) -> Trainer | NGramTrainer:
    """A network and the batches to train it on, or an n-gram model that is to be counted."""
    documents, count_eos = data.split.train, data.corpus.count_eos
    if model_config.cell == "ngram":
        train = Encoded(data.train.array(), documents.chars)
        return NGramTrainer(
            model_config, train, data.validation, config, count_eos=count_eos, workers=workers
        )
    line_end = int(data.vocabulary.encode("\n")[0])
    batches = Batches(
        data.train,
        config.batch_size,
        config.seq_len,
        config.seed,
        config.unk_rate,
        config.restart_rate,
        line_end if line_end != UNK else IGNORE,
    )
    network = (
        CharRNN(model_config).initialize(np.random.default_rng(config.seed))
        if init_from is None
        else init_from.start(model_config, data.vocabulary)
    )
    model: Network = network
    if model_config.ngram:
        model = _with_ngram(network, data.train.array(), documents, config.max_ngrams)
    return Trainer(
        model,
        batches,
        data.validation,
        config,
        count_eos=count_eos,
        workers=workers,
        chars_per_token=data.chars_per_token,
        started=started,
    )


def _chars_per_minute(workers: Workers) -> float:
    """How fast this machine trains an lstm 1x256."""
    model = CharRNN(ModelConfig(_SPEED_VOCABULARY)).initialize(np.random.default_rng(0))
    config = TrainConfig(minutes=_SPEED_MINUTES)
    tokens = np.random.default_rng(0).integers(NUM_SPECIAL, _SPEED_VOCABULARY, 100_000)
    batches = Batches(tokens, config.batch_size, config.seq_len, 0)
    trainer = Trainer(model, batches, None, config, count_eos=False, workers=workers)
    return 60 * config.batch_size * config.seq_len / trainer.measure()


def _with_ngram(
    network: CharRNN, tokens: np.ndarray, documents: Documents, max_size: int | None
) -> ResidualRNN:
    """The network on top of the n-gram model of the text that it is trained on."""
    ngram = ngram_config(network.config)
    counted = count(ngram, tokens)
    if max_size is None:
        model = fit_into(ngram, counted, min(_bytes(documents), _MAX_NGRAM_BYTES))
    else:
        model = fit(ngram, counted, min(max_size, MAX_NGRAMS))
    try:
        return ResidualRNN(network, model, LeaveOneOut(ngram, counted))
    except ValueError as error:
        raise ConfigError(f"{error}; use a lower --ngram than {ngram.order}") from None


def _bytes(documents: Documents) -> int:
    """The size of the documents in UTF-8."""
    return sum(number * len(char.encode()) for char, number in documents.counts().items())
