"""A training run from corpus to checkpoint: what `charrnn train` does, without its screen."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from charrnn import archive, checkpoint
from charrnn.baselines import baselines, expected_seconds
from charrnn.batches import Batches
from charrnn.checkpoint import Checkpoint
from charrnn.config import ModelConfig, TrainConfig, VocabularyConfig
from charrnn.corpus import Corpus, Split
from charrnn.documents import Documents
from charrnn.errors import ConfigError, CorpusError
from charrnn.evaluation import Model
from charrnn.finetuning import Pretrained
from charrnn.functional import IGNORE
from charrnn.kneser_ney import count, fit, fit_into
from charrnn.leave_one_out import LeaveOneOut
from charrnn.model import CharRNN
from charrnn.parallel import Workers
from charrnn.plan import plan
from charrnn.residual import MAX_NGRAMS, Network, ResidualRNN, ngram_config
from charrnn.resources import peak_memory
from charrnn.tokens import Encoded, Tokens, encode_documents, learn_vocabulary, tokenize
from charrnn.training import NGramTrainer, Progress, Trainer
from charrnn.vocabulary import NUM_SPECIAL, UNK, Vocabulary

_BITS = 1 / math.log(2)  # a nat in bits
_CHARACTERS = VocabularyConfig()
_SPEED_VOCABULARY = 64
_SPEED_MINUTES = 0.3  # a budget of which a small share goes to measuring
_MAX_NGRAM_BYTES = 3 * MAX_NGRAMS  # more might be more than MAX_NGRAMS
_PLANNED = (
    *("hidden_size", "num_layers", "embedding_size", "dropout", "recurrent_dropout"),
    *("weight_decay", "ngram"),
    *("batch_size", "seq_len", "learning_rate", "evaluations", "steps"),
)


@dataclass
class Run:
    """One training run and the checkpoint it writes."""

    corpus: Corpus
    split: Split
    vocabulary: Vocabulary
    tokens: Tokens  # of the training split
    config: TrainConfig
    trainer: Trainer | NGramTrainer
    output: Path
    command: str
    started: float
    history: list[dict[str, Any]] = field(default_factory=list)  # one entry a validation
    baselines: dict[str, float] = field(default_factory=dict)  # once training has ended
    init_from: dict[str, Any] = field(default_factory=dict)  # where the first weights come from
    saved: bool = False
    _kept_previous: bool = False

    @property
    def model(self) -> Model:
        """The network: the latest weights while it trains, the best ones afterwards."""
        return self.trainer.model

    def train(self) -> Iterator[Progress]:
        """Train, and save whenever the weights are the best so far.

        Yields:
            Progress after every step.

        Raises:
            DivergedError: the loss is not finite; what was saved before stays.
            CheckpointError: the output cannot be written.
        """
        for progress in self.trainer.train():
            if progress.train_loss is not None:
                self.history.append(_entry(progress, time.monotonic() - self.started))
            if progress.best:
                self.save()
            yield progress
        if self.trainer.validation is not None:
            self.baselines = baselines(
                self.model,
                self.tokens,
                self.trainer.validation,
                self.split,
                count_eos=self.corpus.count_eos,
                workers=self.trainer.workers,
            )
        self.save()  # once more, with the whole history

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
        """Write the checkpoint; the first time, an older model there becomes NAME.previous.npz."""
        if not self._kept_previous:
            checkpoint.keep_previous(self.output)
            self._kept_previous = True
        checkpoint.save(self.checkpoint(), self.output)
        self.saved = True

    def checkpoint(self) -> Checkpoint:
        """The model as it is now, with what is needed to use it and to train it again."""
        training = {
            "command": self.command,
            "config": asdict(self.config),
            "corpus": {
                "name": self.corpus.name,
                "documents": len(self.corpus.documents),
                "chars": self.corpus.chars,
                "sha256": self.corpus.sha256,
            },
            "result": self.result() if any(entry["best"] for entry in self.history) else {},
            "history": self.history,
        }
        if self.init_from:
            training["init_from"] = self.init_from
        return Checkpoint(self.model, self.vocabulary, self.corpus.separator, training)

    def result(self) -> dict[str, Any]:
        """The figures of the run, those of the best step where steps differ.

        `chars_per_sec` counts training steps only; `seconds` is everything since the start.
        """
        best = [entry for entry in self.history if entry["best"]][-1]
        fields = {
            "checkpoint": str(self.output),
            "cell": self.model.config.cell,
            "parameters": self.model.size,
            "vocab_size": len(self.vocabulary),
            "steps": self.history[-1]["step"],
            "epochs": self.history[-1]["epochs"],
            "seconds": time.monotonic() - self.started,
            "chars_per_sec": self.trainer.chars / self.trainer.seconds,
            "train_bits_per_char": best["train_bits_per_char"],
            "val_bits_per_char": best["val_bits_per_char"],
            "val_unk": best["val_unk"],
            "best_step": best["step"],
            "seed": self.config.seed,
        }
        if self.vocabulary.config.unit != "character" and best["val_tokens"]:
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


def prepare(
    corpus: Corpus,
    split: Split,
    options: Mapping[str, Any],
    *,
    output: Path,
    workers: Workers,
    tokens: VocabularyConfig = _CHARACTERS,
    init_from: Pretrained | None = None,
    command: str = "",
    started: float | None = None,
) -> Run:
    """Vocabulary, tokens, plan and a network, ready to train.

    Args:
        options: fields of ModelConfig and TrainConfig; None and what is missing is planned.
        tokens: what a token is, and which ones the vocabulary gets.
        init_from: a trained model of such tokens, to start from its weights and not afresh.
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
    vocabulary = learn_vocabulary(split.train, tokens)
    if not vocabulary.tokens:
        raise CorpusError(
            f"no {tokens.unit} occurs {tokens.min_count} times in the text; lower --min-count"
        )
    train = tokenize(vocabulary, split.train)
    speed = {}
    if options.get("minutes") is not None:
        speed["chars_per_minute"] = _chars_per_minute(workers)
    model_config, config = plan(len(train), len(vocabulary), corpus.count_eos, options, **speed)
    archive.check_writable(output)
    validation = encode_documents(vocabulary, split.val) if split.val else None
    trainer: Trainer | NGramTrainer
    if model_config.cell == "ngram":
        encoded = Encoded(train.array(), split.train.chars)
        trainer = NGramTrainer(
            model_config, encoded, validation, config, count_eos=corpus.count_eos, workers=workers
        )
        return Run(corpus, split, vocabulary, train, config, trainer, output, command, started)
    line_end = int(vocabulary.encode("\n")[0])
    batches = Batches(
        train,
        config.batch_size,
        config.seq_len,
        config.seed,
        config.unk_rate,
        config.restart_rate,
        line_end if line_end != UNK else IGNORE,
    )
    num_ends = len(split.train) - split.train.cut
    network = (
        CharRNN(model_config).initialize(np.random.default_rng(config.seed))
        if init_from is None
        else init_from.start(model_config, vocabulary)
    )
    model: Network = network
    if model_config.ngram:
        model = _with_ngram(network, train.array(), split.train, config.max_ngrams)
    trainer = Trainer(
        model,
        batches,
        validation,
        config,
        count_eos=corpus.count_eos,
        workers=workers,
        chars_per_token=(split.train.chars + num_ends) / (len(train) - split.train.cut),
        started=started,
    )
    if config.minutes is not None:
        trainer.budget.reserve += expected_seconds(split)
        trainer.measure()
    run = Run(corpus, split, vocabulary, train, config, trainer, output, command, started)
    if init_from is not None:
        run.init_from = init_from.summary(vocabulary)
    return run


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
