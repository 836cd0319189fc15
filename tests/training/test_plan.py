import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import charrnn
from charrnn.config import ACTIVATIONS, ModelConfig, TrainConfig
from charrnn.errors import ConfigError
from charrnn.network.draws import Draws
from charrnn.network.model import CharRNN
from charrnn.text.corpus import read_corpus
from charrnn.training.plan import plan

quick = settings(deadline=None, max_examples=80, derandomize=True)
BUDGETS = ("steps", "epochs", "minutes")
sizes = st.one_of(st.integers(2, 3000), st.integers(2, 10**9))


def passes(tokens: int, train: TrainConfig) -> float:
    assert train.steps is not None
    return train.steps * train.batch_size * train.seq_len / tokens


def units(model: ModelConfig) -> int:
    return model.num_layers * model.hidden_size


@quick
@given(sizes, st.integers(3, 20_000), st.booleans())
def test_any_corpus_has_a_plan_with_one_budget(tokens: int, vocab: int, lines: bool) -> None:
    model, train = plan(tokens, vocab, lines, {})
    assert model.vocab_size == vocab
    assert train.steps is not None
    assert train.epochs is None
    assert train.minutes is None
    assert passes(tokens, train) >= 1 or tokens > 10**7
    assert train.steps * train.batch_size * train.seq_len < 20_000_000


@quick
@given(sizes, st.integers(3, 20_000), st.booleans())
def test_a_plan_is_a_function_of_its_arguments(tokens: int, vocab: int, lines: bool) -> None:
    options = {"seed": 3, "hidden_size": None}
    assert plan(tokens, vocab, lines, options) == plan(tokens, vocab, lines, dict(options))


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_size": 7, "batch_size": 3, "seq_len": 5, "dropout": 0.9},
        {"cell": "rnn", "activation": "relu", "num_layers": 3, "embedding_size": 11},
        {"epochs": 2.5, "learning_rate": 0.5, "seed": 99},
        {"minutes": 3, "unk_rate": 0.2, "restart_rate": 0.3},
        {"steps": 17, "dropout": 0.0, "clip_norm": 9.0},
    ],
)
@pytest.mark.parametrize("tokens", [6, 100_000])
@pytest.mark.parametrize("lines", [False, True])
def test_what_is_given_wins(options: dict[str, Any], tokens: int, lines: bool) -> None:
    model, train = plan(tokens, 50, lines, options)
    settings = {**vars(model), **vars(train)}
    assert {name: settings[name] for name in options} == options
    if options.keys() & {*BUDGETS}:
        assert [name for name in BUDGETS if settings[name] is not None] == [
            name for name in BUDGETS if name in options
        ]


def test_none_means_not_given() -> None:
    names = [*ModelConfig.__dataclass_fields__, *TrainConfig.__dataclass_fields__]
    options = dict.fromkeys(names)
    del options["vocab_size"]
    assert plan(5000, 50, False, options) == plan(5000, 50, False, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 1, "epochs": 1},
        {"steps": 1, "minutes": 1},
        {"batch_size": 0},
        {"seq_len": -1},
        {"dropout": 1.0},
        {"cell": "perceptron"},
        {"steps": 0},
        {"epochs": float("nan")},
    ],
)
def test_a_wrong_option_is_a_config_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        plan(5000, 50, True, wrong)


def test_only_whole_files_restart() -> None:
    assert plan(5000, 50, True, {})[1].restart_rate == 0
    assert plan(5000, 50, False, {})[1].restart_rate == TrainConfig.restart_rate > 0


def test_a_large_vocabulary_is_embedded() -> None:
    assert plan(100_000, 100, True, {})[0].embedding_size == 0
    assert plan(100_000, 3000, True, {})[0].embedding_size > 0


@quick
@given(sizes, sizes)
def test_more_text_never_makes_a_smaller_network(one: int, other: int) -> None:
    (small, _), (large, _) = (plan(size, 50, True, {}) for size in sorted((one, other)))
    assert units(small) <= units(large)


@quick
@given(sizes)
def test_a_chunk_fits_the_corpus(tokens: int) -> None:
    _, train = plan(tokens, 50, True, {})
    assert train.batch_size * train.seq_len <= tokens
    assert train.batch_size <= TrainConfig.batch_size
    assert train.seq_len <= TrainConfig.seq_len


@pytest.mark.parametrize(
    ("tokens", "options", "batch_size"),
    [
        (10**6, {"minutes": 1.5}, 64),
        (10**6, {"minutes": 0.3}, 32),  # too few updates otherwise
        (10**6, {"epochs": 1}, 32),
        (10**6, {"epochs": 1, "accumulate": 2}, 32),
        (10**6, {"steps": 50}, 64),  # as many as the user asks for
        (10**6, {}, 64),
        (8_000, {"steps": 50}, 31),  # eight chunks a pass
        (100, {}, 1),
    ],
)
def test_streams_leave_room_for_updates(
    tokens: int, options: dict[str, Any], batch_size: int
) -> None:
    assert plan(tokens, 50, False, options)[1].batch_size == batch_size


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, TrainConfig.learning_rate),
        ({"batch_size": 16}, TrainConfig.learning_rate / 2),
        ({"batch_size": 16, "accumulate": 4}, TrainConfig.learning_rate),
        ({"batch_size": 256}, TrainConfig.learning_rate * 2),
        ({"batch_size": 1 << 20, "accumulate": 1 << 20}, TrainConfig.learning_rate * 2),
        ({"batch_size": 16, "learning_rate": 0.3}, 0.3),
    ],
)
def test_the_learning_rate_follows_the_streams(options: dict[str, Any], rate: float) -> None:
    assert plan(10**6, 50, False, options)[1].learning_rate == pytest.approx(rate)


def test_without_noise_streams_make_no_difference() -> None:
    """A step that reads the whole text has an exact gradient, with any number of streams."""
    highest = 2 * TrainConfig.learning_rate
    assert plan(6, 6, True, {})[1].learning_rate == highest
    assert plan(10_000, 6, True, {"batch_size": 400})[1].learning_rate == highest


def test_the_learning_rate_falls_with_what_a_step_leaves_unread() -> None:
    rates = [plan(tokens, 50, True, {})[1].learning_rate for tokens in (32, 40, 60, 200)]
    assert rates == sorted(rates, reverse=True)
    assert len({*rates}) == 4


@pytest.mark.parametrize("cell", ["rnn", "gru", "jordan"])
def test_narrow_layers_bear_a_higher_learning_rate(cell: str) -> None:
    rates = [
        plan(10**6, 50, True, {"cell": cell, "hidden_size": size})[1].learning_rate
        for size in (1, 64, 128, 256, 512)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] <= TrainConfig.learning_rate
    assert rates[1] > rates[2] > rates[3] == rates[4]


def test_many_tokens_learn_more_slowly() -> None:
    few, many = (plan(10**6, size, False, {})[1].learning_rate for size in (60, 2000))
    assert many == few / 2


def test_cells_differ_in_their_learning_rates() -> None:
    rates = [
        plan(10**6, 50, False, {"cell": cell})[1].learning_rate for cell in ("lstm", "gru", "rnn")
    ]
    assert rates == sorted(rates, reverse=True)
    assert len({*rates}) == 3


@pytest.mark.parametrize("budget", BUDGETS)
def test_dropout_grows_with_the_number_of_passes(budget: str) -> None:
    amounts = [1, 10, 100, 1000, 10_000, 100_000]
    rates = [plan(1_000_000, 50, True, {budget: amount})[0].dropout for amount in amounts]
    assert rates == sorted(rates)
    assert rates[-1] > 0


def test_a_text_seen_once_needs_no_dropout() -> None:
    assert plan(1_000_000, 50, True, {"epochs": 1})[0].dropout == 0
    assert plan(1_000_000, 50, True, {"epochs": 30})[0].dropout > 0


def test_a_toy_is_learned_by_heart() -> None:
    model, train = plan(6, 6, True, {})
    assert model.dropout == train.weight_decay == 0
    assert passes(6, train) >= 1000


def test_a_toy_with_something_to_learn_has_weight_decay() -> None:
    model, train = plan(1800, 50, False, {})
    assert model.dropout == 0
    assert train.weight_decay > 0
    assert train.steps == 1000


def test_more_time_or_a_faster_machine_makes_a_larger_network() -> None:
    sizes = [units(plan(10**6, 60, False, {"minutes": m})[0]) for m in (0.1, 1, 5, 20, 60)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    slow, fast = (plan(10**6, 60, False, {"minutes": 5}, speed)[0] for speed in (1e5, 1e8))
    assert units(slow) < units(fast)


def test_the_largest_network_is_for_texts_that_fill_it() -> None:
    middling, large = (plan(tokens, 60, False, {"minutes": 60})[0] for tokens in (10**6, 10**7))
    assert middling == plan(10**6, 60, False, {"minutes": 600})[0]
    assert units(middling) < units(large)


def test_a_text_read_often_gets_two_layers() -> None:
    one, two = (plan(200_000, 60, False, {"epochs": e})[0] for e in (5, 40))
    assert (one.num_layers, two.num_layers) == (1, 2)
    assert two.hidden_size < one.hidden_size


@pytest.mark.parametrize("options", [{"hidden_size": 256}, {"num_layers": 1}, {"cell": "gru"}])
def test_a_shape_that_is_given_stays_one_layer(options: dict[str, Any]) -> None:
    model, _ = plan(200_000, 60, False, {"epochs": 40, **options})
    assert (model.hidden_size, model.num_layers) == (256, 1)


def test_what_is_given_decides_what_follows_from_it() -> None:
    small, large = (plan(10**6, 60, False, {"epochs": 5, "hidden_size": h})[0] for h in (64, 1024))
    assert small.recurrent_dropout < large.recurrent_dropout  # it can memorize more


@pytest.mark.parametrize(
    ("tokens", "cell", "ngram"),
    [(1999, "lstm", 0), (2000, "gru", 6), (10**8, "lstm", 0), (10**6, "jordan", 0)],
)
def test_an_ngram_stands_beside_networks_of_middling_texts(
    tokens: int, cell: str, ngram: int
) -> None:
    assert plan(tokens, 60, False, {"cell": cell})[0].ngram == ngram
    assert plan(tokens, 60, False, {"cell": "ngram"})[0].ngram == 0


@pytest.mark.parametrize("name", ["hidden_size", "seq_len", "batch_size"])
def test_a_size_out_of_range_is_refused_under_any_budget(name: str) -> None:
    for budget in ({"minutes": 1.0}, {"epochs": 1.0}, {"steps": 1}, {}):
        with pytest.raises(ConfigError, match=f"{name} must be"):
            plan(10_000, 60, True, {name: 0, **budget})


# What a plan comes to


@pytest.mark.slow
@pytest.mark.parametrize("hidden_size", [None, 3])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_hello_is_learned_by_heart(cell: str, hidden_size: int | None) -> None:
    model = charrnn.train(["hello"], lines=True, cell=cell, hidden_size=hidden_size, threads=1)
    assert model.score("hello").prob > 0.99


def test_two_lines_share_the_probability() -> None:
    lines = ["cats sleep", "dogs run"]
    model = charrnn.train(lines, cell="gru", steps=500, threads=1)
    probs = [score.prob for score in model.scores(lines)]
    assert sum(probs) > 0.99
    assert min(probs) > 0.45


@pytest.mark.parametrize("lines", [False, True])
def test_one_character_is_learned_by_heart(lines: bool) -> None:
    model = charrnn.train("x", lines=lines, steps=200, threads=1)
    assert model.score("x").prob > 0.99


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_text_of_two_thousand_characters_trains(cell: str) -> None:
    text = "".join(read_corpus(["english"]).documents)[:2000]
    model = charrnn.train(text, lines=False, cell=cell, steps=100, threads=1)
    result = model.checkpoint.training["result"]
    assert result["val_bits_per_char"] < result["baselines"]["unigram"]
    assert result["train_bits_per_char"] < result["baselines"]["unigram"]


@pytest.mark.parametrize(
    ("tokens", "vocab"), [(17_000, 813), (18_000, 60), (120_000, 73), (1_500, 40), (6, 6)]
)
@pytest.mark.parametrize(
    "network",
    [
        {"cell": "jordan"},
        *({"cell": cell, "num_layers": layers} for cell in ("lstm", "gru") for layers in (1, 2, 6)),
        *(
            {"cell": "rnn", "activation": activation, "num_layers": layers}
            for activation in ACTIVATIONS
            for layers in (1, 2, 6)
        ),
    ],
)
def test_fresh_weights_with_what_is_dropped_are_no_worse_than_a_guess(
    network: dict[str, Any], tokens: int, vocab: int
) -> None:
    config, train = plan(tokens, vocab, True, network)
    rng = np.random.default_rng(0)
    model = CharRNN(config).initialize(rng)
    unrolled = model.unroll(train.seq_len, 4, training=True)
    state = model.zero_state(4)
    for _ in range(4):
        inputs, targets = rng.integers(2, vocab, (2, train.seq_len, 4))
        nats, state, _ = unrolled.gradient(inputs, targets, state, dropout=Draws(rng))
    assert nats.mean() < 1.25 * math.log(vocab)
