"""From a corpus and what the user asks for to a complete configuration: the sizes that fit.

The rules and the measurements behind them stand in charrnn/README.md.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from charrnn.config import ModelConfig, TrainConfig

_ONE_HOT_VOCABULARY = 256  # from here on, an embedding costs less than one-hot columns
_CHARS_PER_MINUTE = 4_000_000  # a guess, to tell few passes from many
_CHARS_WITHOUT_BUDGET = 12_000_000  # where neither steps nor epochs nor minutes are given
_EPOCHS_WITHOUT_BUDGET = 12
_MIN_STEPS = 1_000  # for the smallest texts


def plan(
    num_tokens: int, vocab_size: int, lines: bool, options: Mapping[str, Any]
) -> tuple[ModelConfig, TrainConfig]:
    """Fill in every setting that `options` leaves out or gives as None.

    A function of its arguments alone, so that the same command always means the same run.

    Args:
        num_tokens: of the training split.
        lines: whether the documents are lines, or other parts of files.
        options: fields of ModelConfig and TrainConfig by name.

    Raises:
        ConfigError: an option is out of range, or there is more than one budget.
    """
    given = {name: value for name, value in options.items() if value is not None}
    settings = {**_sizes(num_tokens, vocab_size), **given}
    if lines:
        settings.setdefault("restart_rate", 0.0)  # every line is a beginning as it is
    if not given.keys() & {"steps", "epochs", "minutes"}:
        settings |= _budget(num_tokens, settings)
    settings.setdefault("dropout", _dropout(num_tokens, settings))
    model = {f.name: settings[f.name] for f in fields(ModelConfig) if f.name in settings}
    train = {f.name: settings[f.name] for f in fields(TrainConfig) if f.name in settings}
    return ModelConfig(**model), TrainConfig(**train)


def _sizes(num_tokens: int, vocab_size: int) -> dict[str, int]:
    """Sizes of the network and of its batches; smaller for the smallest texts."""
    seq_len = min(TrainConfig.seq_len, num_tokens)
    return {
        "vocab_size": vocab_size,
        "hidden_size": 64 if num_tokens < 2_000 else 128 if num_tokens < 50_000 else 256,
        "embedding_size": 0 if vocab_size <= _ONE_HOT_VOCABULARY else 128,
        "seq_len": seq_len,
        "batch_size": min(TrainConfig.batch_size, max(1, num_tokens // (8 * seq_len))),
    }


def _budget(num_tokens: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Enough passes to learn a small text, few enough to end in minutes on a large one."""
    chunk = settings["batch_size"] * settings["seq_len"]
    steps = min(_EPOCHS_WITHOUT_BUDGET * num_tokens, _CHARS_WITHOUT_BUDGET) // max(1, chunk)
    return {"steps": max(_MIN_STEPS, steps)}


def _dropout(num_tokens: int, settings: Mapping[str, Any]) -> float:
    """More dropout the smaller a text is and the more often it is seen."""
    if "minutes" in settings:
        chars = settings["minutes"] * _CHARS_PER_MINUTE
    elif "epochs" in settings:
        chars = settings["epochs"] * num_tokens
    else:
        chars = settings["steps"] * settings["batch_size"] * settings["seq_len"]
    epochs = chars / num_tokens
    if num_tokens < 2_000 or epochs < 2:
        return 0.0
    if num_tokens < 300_000:
        return 0.4
    return 0.1 if epochs < 10 else 0.2
