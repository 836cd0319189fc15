"""The plan: complete the user's options to a configuration that fits the text and the budget.

The rules and the measurements behind them are in training/README.md.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from charrnn.config import ModelConfig, TrainConfig, check_int

REFERENCE = ModelConfig(vocab_size=64)  # the lstm 1x256 that budgets are measured by
MOST_PASSES = 60  # over the text, in a run by minutes

_ONE_HOT_VOCABULARY = 256  # a larger vocabulary gets an embedding, which costs less than one-hot
_CHARS_PER_MINUTE = 3_500_000  # that an lstm 1x256 reads, if not measured
_CHARS_WITHOUT_BUDGET = 5_000_000  # the most, if no budget is given
_EPOCHS_WITHOUT_BUDGET = 24
_NGRAM = 6  # order
_TOY = 2_000  # tokens; a shorter text is to be memorized
_WORD = 500  # tokens; a shorter text is read by one stream
_MIN_STEPS = ((0, 2_000), (_WORD, 1_000), (_TOY, 300))  # by the tokens of the text
_MOST_FOR_NGRAM = 16_000_000  # tokens
_FEWEST_STEPS_OF_PASS = 8
_FEW_UPDATES = 800  # a budget for fewer updates gets half as many streams
_MOST_STREAMS = 256  # with more, the learning rate grows no further
_LOWER_RATES = {"gru": 0.35, "rnn": 0.1, "jordan": 0.1}  # relative to an lstm, at 256 units

# Units and steps of a chunk, by the characters that an lstm 1x256 would read within the budget.
_SIZES = (
    (0, 128, 32),
    (1_000_000, 256, 32),
    (15_000_000, 384, 64),
    (40_000_000, 512, 64),
    (120_000_000, 768, 64),
)
_MOST_UNITS = ((0, 128), (50_000, 512), (3_000_000, 768))  # by the tokens of the text
# How much a network could memorize: passes over the text times weights per token. From here on two
# layers beat one with these units.
_DEEP = 12
_UNITS_OF_TWO = {256: 128, 384: 256, 512: 320, 768: 320}
# Dropout and recurrent dropout, by the same figure.
_FEW_TOKENS = 25_000  # below, the next two apply instead
_DROPOUT_FOR_FEW = 0.5
_WEIGHT_DECAY_FOR_FEW = 0.3
_DROPOUT = (
    (0, 0.0, 0.0),
    (1, 0.1, 0.05),
    (4, 0.1, 0.1),
    (10, 0.1, 0.2),
    (20, 0.1, 0.3),
    (100, 0.3, 0.4),
)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ConfigError if an option is out of range, as far as that is known without the text.

    Args:
        options: fields of ModelConfig and TrainConfig by name; None means not given.
    """
    given = {name: value for name, value in options.items() if value is not None}
    budget = {} if given.keys() & {"steps", "epochs", "minutes"} else {"epochs": 1}
    TrainConfig(**_of(TrainConfig, budget | given))
    ModelConfig(**{"vocab_size": REFERENCE.vocab_size, **_of(ModelConfig, given)})


def plan(
    num_tokens: int,
    vocab_size: int,
    lines: bool,
    options: Mapping[str, Any],
    chars_per_minute: float = _CHARS_PER_MINUTE,
) -> tuple[ModelConfig, TrainConfig]:
    """Return complete configurations: choose every setting that `options` leaves open.

    A pure function, so that the same command always means the same run.

    Args:
        num_tokens: of the training split.
        vocab_size: V.
        lines: whether files are cut into documents, such as lines.
        options: fields of ModelConfig and TrainConfig by name; None means not given.
        chars_per_minute: training speed of an lstm 1x256 on this machine.

    Raises:
        ConfigError: an option is out of range, or there is more than one budget.
    """
    given = {name: value for name, value in options.items() if value is not None}
    planned = not given.keys() & {"steps", "epochs", "minutes"}
    if planned:
        given["epochs"] = min(_EPOCHS_WITHOUT_BUDGET, _CHARS_WITHOUT_BUDGET / num_tokens)
    chars = _chars(num_tokens, TrainConfig(**_of(TrainConfig, given)), chars_per_minute)
    hidden_size, seq_len = _sizes(num_tokens, chars)
    settings = {
        "vocab_size": vocab_size,
        "cell": ModelConfig.cell,
        "hidden_size": hidden_size,
        "num_layers": ModelConfig.num_layers,
        "embedding_size": 0 if vocab_size <= _ONE_HOT_VOCABULARY else 128,
        "seq_len": seq_len,
        **given,
    }
    if lines:
        settings.setdefault("restart_rate", 0.0)  # every line starts from zero state anyway
    for name in ("hidden_size", "num_layers", "seq_len"):
        check_int(name, settings[name], 1)
    work = _work(settings["hidden_size"], settings["num_layers"], vocab_size)
    if "minutes" in given:
        chars *= _work(REFERENCE.hidden_size, REFERENCE.num_layers, REFERENCE.vocab_size) / work
        chars = min(chars, MOST_PASSES * num_tokens)
    learnable = chars / num_tokens * work / num_tokens if num_tokens >= _TOY else 0.0
    if not given.keys() & {"hidden_size", "num_layers"}:
        settings.update(_shape(hidden_size, settings["cell"], learnable))
    settings.setdefault("batch_size", _batch_size(num_tokens, chars, settings))
    settings.setdefault("learning_rate", _learning_rate(num_tokens, settings))
    settings = _against_overfitting(num_tokens, learnable, settings["cell"]) | settings
    if settings["cell"] not in ("jordan", "ngram"):
        counted = _TOY <= num_tokens <= _MOST_FOR_NGRAM
        settings.setdefault("ngram", _NGRAM if counted else 0)
    train = TrainConfig(**_of(TrainConfig, settings))
    if planned:
        fewest = next(steps for least, steps in reversed(_MIN_STEPS) if num_tokens >= least)
        steps = max(fewest, int(chars) // train.tokens_per_step)
        train = replace(train, epochs=None, steps=steps)
    return ModelConfig(**_of(ModelConfig, settings)), train


def _of(kind: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are fields of a configuration class."""
    return {f.name: settings[f.name] for f in fields(kind) if f.name in settings}


def _chars(num_tokens: int, config: TrainConfig, chars_per_minute: float) -> float:
    """Return the budget in characters, for minutes those of an lstm 1x256."""
    if config.minutes is not None:
        return config.minutes * chars_per_minute
    if config.epochs is not None:
        return config.epochs * num_tokens
    return float((config.steps or 0) * config.tokens_per_step)


def _sizes(num_tokens: int, chars: float) -> tuple[int, int]:
    """Choose units and steps of a chunk: larger for larger budgets, limited for short texts."""
    if num_tokens < _TOY:
        return 64, min(TrainConfig.seq_len, num_tokens)
    units, steps = next(sizes for least, *sizes in reversed(_SIZES) if chars >= least)
    most = next(most for least, most in reversed(_MOST_UNITS) if num_tokens >= least)
    return min(units, most), steps


def _shape(units: int, cell: str, learnable: float) -> dict[str, int]:
    """Choose two narrower layers if they are better than one."""
    if cell == "lstm" and learnable >= _DEEP and units in _UNITS_OF_TWO:
        return {"hidden_size": _UNITS_OF_TWO[units], "num_layers": 2}
    return {}


def _work(hidden_size: int, num_layers: int, vocab_size: int) -> int:
    """Return the cost of a character in an lstm, as the number of weights applied to it."""
    inputs = min(vocab_size, _ONE_HOT_VOCABULARY // 2) + (num_layers - 1) * hidden_size
    return hidden_size * (4 * (inputs + num_layers * hidden_size) + vocab_size)


def _batch_size(num_tokens: int, chars: float, settings: Mapping[str, Any]) -> int:
    """Choose the streams: fewer if a pass had too few chunks or the budget too few updates."""
    size = TrainConfig.batch_size
    seq_len: int = settings["seq_len"]
    chunk = size * seq_len * settings.get("accumulate", 1)
    if "steps" not in settings and chars < _FEW_UPDATES * chunk:
        size //= 2
    return max(1, min(size, num_tokens // (_FEWEST_STEPS_OF_PASS * seq_len)))


def _learning_rate(num_tokens: int, settings: Mapping[str, Any]) -> float:
    """Choose the learning rate: higher with less gradient noise (Malladi et al. 2022).

    The noise is the variance of a mean over streams drawn without replacement from the text. It is
    1/streams if a step reads at most an eighth of the text, and falls to 0 if it reads everything.
    Narrow layers of the other cells take a higher rate, up to that of an lstm.
    """
    streams = settings["batch_size"] * settings.get("accumulate", 1)
    unread = max(0.0, 1 - streams * settings["seq_len"] / num_tokens)
    unread = min(1.0, unread / (1 - 1 / _FEWEST_STEPS_OF_PASS))
    noise = max(unread / streams, 1 / _MOST_STREAMS)
    narrow = max(1.0, math.sqrt(REFERENCE.hidden_size / settings["hidden_size"]))
    rate = TrainConfig.learning_rate * min(1.0, _LOWER_RATES.get(settings["cell"], 1.0) * narrow)
    if settings["vocab_size"] > _ONE_HOT_VOCABULARY:
        rate /= 2  # rare tokens get few updates, so their directions are noisy
    return float(f"{rate / math.sqrt(TrainConfig.batch_size * noise):.2g}")


def _against_overfitting(num_tokens: int, learnable: float, cell: str) -> dict[str, float]:
    """Choose dropout and weight decay."""
    dropout, recurrent_dropout = _dropout(num_tokens, learnable)
    found = {"dropout": dropout}
    if num_tokens < _WORD:
        found["weight_decay"] = 0.0
    elif _TOY <= num_tokens < _FEW_TOKENS:
        found["weight_decay"] = _WEIGHT_DECAY_FOR_FEW
    if cell != "jordan":
        found["recurrent_dropout"] = recurrent_dropout
    return found


def _dropout(num_tokens: int, learnable: float) -> tuple[float, float]:
    """Choose dropout and recurrent dropout."""
    if _TOY <= num_tokens < _FEW_TOKENS and learnable >= 1:
        return _DROPOUT_FOR_FEW, _DROPOUT_FOR_FEW
    return next((unit, weight) for least, unit, weight in reversed(_DROPOUT) if learnable >= least)
