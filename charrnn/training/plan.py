"""From a corpus and what the user asks for to a complete configuration: the sizes that fit.

The rules and the measurements behind them stand in the README beside this file.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from charrnn.config import ModelConfig, TrainConfig, check_int

REFERENCE = ModelConfig(vocab_size=64)  # the lstm 1x256 that a machine's speed is told by
MOST_PASSES = 60  # over a text in a run with a budget of time

_ONE_HOT_VOCABULARY = 256  # from here on, an embedding costs less than one-hot columns
_CHARS_PER_MINUTE = 3_500_000  # that an lstm 1x256 reads, where nobody has measured it
_CHARS_WITHOUT_BUDGET = 5_000_000  # where neither steps nor epochs nor minutes are given
_EPOCHS_WITHOUT_BUDGET = 24
_NGRAM = 6
_TOY = 2_000  # tokens; fewer are to be learned by heart
_WORD = 500  # tokens, which are read by one stream; of fewer there is nothing else to learn
_MIN_STEPS = ((0, 2_000), (_WORD, 1_000), (_TOY, 300))  # by the tokens of the text
_MOST_FOR_NGRAM = 16_000_000
_FEWEST_STEPS_OF_PASS = 8
_FEW_UPDATES = 800  # a budget for fewer is spent on half as many streams
_MOST_STREAMS = 256  # for more the learning rate grows no further
_LOWER_RATES = {"gru": 0.35, "rnn": 0.1, "jordan": 0.1}  # by that of the lstm, at 256 units

# Units and steps of a chunk, by the characters that an lstm 1x256 would read in the time there is.
_SIZES = (
    (0, 128, 32),
    (1_000_000, 256, 32),
    (15_000_000, 384, 64),
    (40_000_000, 512, 64),
    (120_000_000, 768, 64),
)
_MOST_UNITS = ((0, 128), (50_000, 512), (3_000_000, 768))  # by the tokens of the text
# How much may be learned by heart: passes over the text times weights a token. From here on two
# layers are better than one of so many units.
_DEEP = 12
_UNITS_OF_TWO = {256: 128, 384: 256, 512: 320, 768: 320}
# Dropout, of units and of recurrent weights, by the same figure.
_FEW_TOKENS = 25_000  # below, the following instead
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
    """Raise ConfigError where an option is out of range, which needs no text to be told.

    Args:
        options: fields of ModelConfig and TrainConfig by name; None is as good as not given.
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
        settings.setdefault("restart_rate", 0.0)  # every line is a beginning as it is
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
    """Those of the settings that are fields of a configuration."""
    return {f.name: settings[f.name] for f in fields(kind) if f.name in settings}


def _chars(num_tokens: int, config: TrainConfig, chars_per_minute: float) -> float:
    """How many characters the budget is, with minutes those of an lstm 1x256."""
    if config.minutes is not None:
        return config.minutes * chars_per_minute
    if config.epochs is not None:
        return config.epochs * num_tokens
    return float((config.steps or 0) * config.tokens_per_step)


def _sizes(num_tokens: int, chars: float) -> tuple[int, int]:
    """Units and steps: the more the budget allows, fewer for texts that would not fill them."""
    if num_tokens < _TOY:
        return 64, min(TrainConfig.seq_len, num_tokens)
    units, steps = next(sizes for least, *sizes in reversed(_SIZES) if chars >= least)
    most = next(most for least, most in reversed(_MOST_UNITS) if num_tokens >= least)
    return min(units, most), steps


def _shape(units: int, cell: str, learnable: float) -> dict[str, int]:
    """One layer, or two where they are better."""
    if cell == "lstm" and learnable >= _DEEP and units in _UNITS_OF_TWO:
        return {"hidden_size": _UNITS_OF_TWO[units], "num_layers": 2}
    return {}


def _work(hidden_size: int, num_layers: int, vocab_size: int) -> int:
    """What a character costs an lstm, in weights that are applied to it."""
    inputs = min(vocab_size, _ONE_HOT_VOCABULARY // 2) + (num_layers - 1) * hidden_size
    return hidden_size * (4 * (inputs + num_layers * hidden_size) + vocab_size)


def _batch_size(num_tokens: int, chars: float, settings: Mapping[str, Any]) -> int:
    """Streams: fewer where a pass would be too few chunks, or the budget too few updates."""
    size = TrainConfig.batch_size
    seq_len: int = settings["seq_len"]
    chunk = size * seq_len * settings.get("accumulate", 1)
    if "steps" not in settings and chars < _FEW_UPDATES * chunk:
        size //= 2
    return max(1, min(size, num_tokens // (_FEWEST_STEPS_OF_PASS * seq_len)))


def _learning_rate(num_tokens: int, settings: Mapping[str, Any]) -> float:
    """The less noise in the gradient, the higher (Malladi et al. 2022); narrow layers bear more.

    The noise is the variance of a mean over the streams, drawn without replacement from the text:
    none is left where a step reads all of it. It is that of so many streams of a text of any size
    where a step reads no more than it does of a pass of the fewest steps.
    """
    streams = settings["batch_size"] * settings.get("accumulate", 1)
    unread = max(0.0, 1 - streams * settings["seq_len"] / num_tokens)
    unread = min(1.0, unread / (1 - 1 / _FEWEST_STEPS_OF_PASS))
    noise = max(unread / streams, 1 / _MOST_STREAMS)
    narrow = max(1.0, math.sqrt(REFERENCE.hidden_size / settings["hidden_size"]))
    rate = TrainConfig.learning_rate * min(1.0, _LOWER_RATES.get(settings["cell"], 1.0) * narrow)
    if settings["vocab_size"] > _ONE_HOT_VOCABULARY:
        rate /= 2  # of rare tokens few steps tell the direction
    return float(f"{rate / math.sqrt(TrainConfig.batch_size * noise):.2g}")


def _against_overfitting(num_tokens: int, learnable: float, cell: str) -> dict[str, float]:
    """Dropout and weight decay."""
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
    """Of units and of recurrent weights."""
    if _TOY <= num_tokens < _FEW_TOKENS and learnable >= 1:
        return _DROPOUT_FOR_FEW, _DROPOUT_FOR_FEW
    return next((unit, weight) for least, unit, weight in reversed(_DROPOUT) if learnable >= least)
