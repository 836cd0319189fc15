"""Trainers of small models on a pattern that is easy to learn."""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from charrnn.config import ModelConfig, TrainConfig
from charrnn.ids import EOS
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.leave_one_out import LeaveOneOut
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from charrnn.parallel.threads import Workers
from charrnn.text.tokens import Encoded
from charrnn.training.batches import Batches
from charrnn.training.progress import Progress
from charrnn.training.trainer import Trainer
from charrnn.training.validator import Validator
from tests.conftest import encoded

V = 5
PATTERN = np.array([2, 3, 4, 2, 4, EOS] * 60)
SPLIT = encoded(PATTERN)


def with_ngram(network: CharRNN, tokens: np.ndarray) -> ResidualRNN:
    config = ngram_config(network.config)
    counted = count_ngrams(config, tokens)
    return ResidualRNN(network, fit(config, counted, 12), LeaveOneOut(config, counted))


def make(
    validation: Encoded | None = None, workers: Workers | None = None, **options: Any
) -> Trainer:
    """A trainer of a small model on a pattern that is easy to learn."""
    of_model = {field.name for field in fields(ModelConfig)} & options.keys()
    sizes = {key: options.pop(key) for key in of_model}
    settings: dict[str, Any] = {
        "batch_size": 4,
        "seq_len": 12,
        "learning_rate": 0.02,
        "unk_rate": 0.0,
    }
    settings |= {"restart_rate": 0.0, **options}
    if not settings.keys() & {"epochs", "minutes"}:
        settings.setdefault("steps", 60)
    config = TrainConfig(**settings)
    network = CharRNN(ModelConfig(vocab_size=V, **{"hidden_size": 12, **sizes}))
    network.initialize(np.random.default_rng(config.seed))
    model = with_ngram(network, PATTERN) if network.config.ngram else network
    workers = workers or Workers(1)
    validator = Validator(validation, workers) if validation else None
    return Trainer(model, Batches(PATTERN, config), validator, config, workers=workers)


def run(trainer: Trainer) -> list[Progress]:
    return list(trainer.train())


def figures(progress: Iterable[Progress]) -> list[str]:
    """Everything that a run reports except times, as strings, so that nan equals nan."""
    return [str(replace(item, seconds=0)) for item in progress]
