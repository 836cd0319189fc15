"""From a corpus and what the user asks for to a complete configuration: the sizes that fit.

The rules and the measurements behind them stand in charrnn/README.md.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from charrnn.config import ModelConfig, TrainConfig

_ONE_HOT_VOCABULARY = 256  # from here on, an embedding costs less than one-hot columns
_CHARS_PER_MINUTE = 3_500_000  # that an lstm 1x256 reads, where nobody has measured it
_CHARS_WITHOUT_BUDGET = 12_000_000  # where neither steps nor epochs nor minutes are given
_EPOCHS_WITHOUT_BUDGET = 12
_MIN_STEPS = 1_000  # for the smallest texts
_REFERENCE = 256  # units of the lstm that a machine's speed is told by
_NGRAM = 6
_FEWEST_FOR_NGRAM = 2_000  # tokens
_MOST_FOR_NGRAM = 16_000_000

# Units of a layer by the characters that an lstm 1x256 would read in the time there is.
_UNITS = ((0, 128), (1_000_000, 256), (15_000_000, 384), (40_000_000, 512), (120_000_000, 768))
# Dropout, of units and of recurrent weights, by passes over the text.
_DROPOUT = (
    (0, 0.0, 0.0),
    (2, 0.05, 0.05),
    (4, 0.1, 0.1),
    (8, 0.2, 0.2),
    (12, 0.3, 0.3),
    (25, 0.3, 0.4),
)


def plan(
    num_tokens: int,
    vocab_size: int,
    lines: bool,
    options: Mapping[str, Any],
    chars_per_minute: float = _CHARS_PER_MINUTE,
) -> tuple[ModelConfig, TrainConfig]:
    """Fill in every setting that `options` leaves out or gives as None.

    A function of its arguments alone, so that the same command always means the same run.

    Args:
        num_tokens: of the training split.
        lines: whether the documents are lines, or other parts of files.
        options: fields of ModelConfig and TrainConfig by name.
        chars_per_minute: that training an lstm 1x256 reads on this machine.

    Raises:
        ConfigError: an option is out of range, or there is more than one budget.
    """
    settings = {name: value for name, value in options.items() if value is not None}
    seq_len = min(TrainConfig.seq_len, num_tokens)
    settings = {
        "vocab_size": vocab_size,
        "embedding_size": 0 if vocab_size <= _ONE_HOT_VOCABULARY else 128,
        "seq_len": seq_len,
        "batch_size": min(TrainConfig.batch_size, max(1, num_tokens // (8 * seq_len))),
        **settings,
    }
    if lines:
        settings.setdefault("restart_rate", 0.0)  # every line is a beginning as it is
    if not settings.keys() & {"steps", "epochs", "minutes"}:
        settings |= _budget(num_tokens, settings)
    train = TrainConfig(**_of(TrainConfig, settings))
    chars = _chars(num_tokens, train, chars_per_minute)
    settings.setdefault("hidden_size", _hidden_size(num_tokens, chars))
    if train.minutes is not None:
        chars *= _work(_REFERENCE, vocab_size) / _work(settings["hidden_size"], vocab_size)
    dropout, recurrent_dropout = _dropout(num_tokens, chars)
    settings.setdefault("dropout", dropout)
    if settings.get("cell") != "jordan":
        settings.setdefault("recurrent_dropout", recurrent_dropout)
    if settings.get("cell") not in ("jordan", "ngram"):
        counted = _FEWEST_FOR_NGRAM <= num_tokens <= _MOST_FOR_NGRAM
        settings.setdefault("ngram", _NGRAM if counted else 0)
    return ModelConfig(**_of(ModelConfig, settings)), train


def _of(kind: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that are fields of a configuration."""
    return {f.name: settings[f.name] for f in fields(kind) if f.name in settings}


def _budget(num_tokens: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Enough passes to learn a small text, few enough to end in minutes on a large one."""
    chunk = settings["batch_size"] * settings["seq_len"]
    steps = min(_EPOCHS_WITHOUT_BUDGET * num_tokens, _CHARS_WITHOUT_BUDGET) // max(1, chunk)
    return {"steps": max(_MIN_STEPS, steps)}


def _chars(num_tokens: int, config: TrainConfig, chars_per_minute: float) -> float:
    """How many characters the budget is, with minutes those of an lstm 1x256."""
    if config.minutes is not None:
        return config.minutes * chars_per_minute
    if config.epochs is not None:
        return config.epochs * num_tokens
    return float((config.steps or 0) * config.batch_size * config.seq_len)


def _hidden_size(num_tokens: int, chars: float) -> int:
    """The more the budget allows; less for texts that so many units would learn by heart."""
    if num_tokens < 2_000:
        return 64
    size = next(units for least, units in reversed(_UNITS) if chars >= least)
    return min(size, 128) if num_tokens < 50_000 else size


def _work(hidden_size: int, vocab_size: int) -> int:
    """What a character costs an lstm, in weights that are applied to it."""
    inputs = min(vocab_size, _ONE_HOT_VOCABULARY // 2)
    return hidden_size * (4 * (inputs + hidden_size) + vocab_size)


def _dropout(num_tokens: int, chars: float) -> tuple[float, float]:
    """More the more often the text is seen; none for a toy that is to be learned by heart."""
    passes = chars / num_tokens if num_tokens >= 2_000 else 0
    return next((unit, weight) for least, unit, weight in reversed(_DROPOUT) if passes >= least)
