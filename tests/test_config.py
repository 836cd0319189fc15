import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import ModelConfig, SampleConfig, TrainConfig, check_float, check_int
from charrnn.errors import CharRNNError, ConfigError

quick = settings(deadline=None, max_examples=50, derandomize=True)

NOT_NUMBERS = (None, "3", True, [3], math.nan, math.inf, -math.inf, 10**400, -(10**400))


def model(**given: Any) -> ModelConfig:
    return ModelConfig(**{"vocab_size": 10, **given})


def train(**given: Any) -> TrainConfig:
    return TrainConfig(**{"steps": 1, **given})


def test_defaults_are_valid_and_frozen() -> None:
    for config in (model(), train(), SampleConfig()):
        with pytest.raises(FrozenInstanceError):
            config.seed = 3  # type: ignore[union-attr, misc]


def test_a_wrong_value_is_a_usage_error() -> None:
    assert issubclass(ConfigError, CharRNNError)
    assert ConfigError.exit_code == 2


@quick
@given(st.integers(), st.integers(-9, 9), st.integers(0, 9))
def test_check_int_accepts_the_range_and_nothing_else(value: int, low: int, size: int) -> None:
    if low <= value <= low + size:
        check_int("x", value, low, low + size)
    else:
        with pytest.raises(ConfigError, match=f"x must be .* {low} to {low + size}, not {value}"):
            check_int("x", value, low, low + size)


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 3.0])
def test_check_int_takes_whole_numbers_only(value: object) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        check_int("x", value, 0, 10)


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_check_float_takes_finite_numbers_only(value: object) -> None:
    with pytest.raises(ConfigError, match="x must be a number"):
        check_float("x", value, -math.inf, math.inf)


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("below", [False, True])
def test_check_float_leaves_out_the_ends_it_is_told_to(above: bool, below: bool) -> None:
    check_float("x", 0.5, 0, 1, above=above, below=below)
    for value, excluded in ((0, above), (1.0, below), (-1e-9, True), (1.000001, True)):
        if not excluded:
            check_float("x", value, 0, 1, above=above, below=below)
            continue
        with pytest.raises(
            ConfigError, match=r"x must be (at least|above) 0 and (at most|below) 1, not"
        ):
            check_float("x", value, 0, 1, above=above, below=below)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocab_size": 1},
        {"vocab_size": 10**7},
        {"cell": "LSTM"},
        {"cell": None},
        {"cell": "rnn", "activation": "softmax"},
        {"activation": "relu"},  # the lstm has its own
        {"hidden_size": 0},
        {"hidden_size": 2**21},
        {"hidden_size": 8.0},
        {"num_layers": 0},
        {"num_layers": 1001},
        {"embedding_size": -1},
        {"dropout": 1},
        {"dropout": -0.1},
        {"dropout": 10**400},
        {"ngram": -1},
        {"ngram": 101},
        {"ngram": 3.0},
        {"ngram_scale": -0.1},
        {"ngram_scale": math.nan},
        {"cell": "jordan", "ngram": 2},
        {"cell": "ngram", "ngram": 1},
    ],
)
def test_model_config_names_the_value_that_is_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=[*wrong][-1]) as caught:
        model(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": None, "epochs": 0},
        {"steps": None, "minutes": math.inf},
        {"batch_size": 0},
        {"seq_len": 0},
        {"learning_rate": 0},
        {"warmup": 1.1},
        {"weight_decay": -1},
        {"clip_norm": 0},
        {"unk_rate": 1},
        {"restart_rate": 1.5},
        {"evaluations": 0},
        {"mix": "no"},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_train_config_names_the_value_that_is_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=[*wrong][-1]):
        train(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": -1},
        {"temperature": -1},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"allow_unk": 1},
    ],
)
def test_sample_config_names_the_value_that_is_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=[*wrong][-1]):
        SampleConfig(**wrong)


@pytest.mark.parametrize(
    "budget",
    [{}, {"steps": 1, "epochs": 1}, {"epochs": 1, "minutes": 1}, {"steps": 1, "minutes": 1}],
)
def test_there_is_exactly_one_budget(budget: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="the budget is one of steps, epochs and minutes"):
        TrainConfig(**budget)


def test_the_ends_of_the_ranges_are_included() -> None:
    model(vocab_size=2, hidden_size=1, num_layers=1, embedding_size=0, dropout=0)
    model(ngram=100, ngram_scale=10)
    model(ngram=1, ngram_scale=0)
    train(batch_size=1, seq_len=1, warmup=1, unk_rate=0, restart_rate=1, seed=2**63 - 1)
    SampleConfig(length=0, temperature=0, top_k=1, top_p=1)


def test_no_field_has_two_homes() -> None:
    names = [field.name for config in (ModelConfig, TrainConfig) for field in fields(config)]
    assert len(set(names)) == len(names)
