"""Training on tiny texts: it learns, it is reproducible, it keeps the best and it stops on time."""

import contextlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig, TrainConfig
from charrnn.errors import DivergedError
from charrnn.ids import EOS, IGNORE
from charrnn.inference.evaluation import evaluate, token_log_probs
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.leave_one_out import LeaveOneOut
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from charrnn.parallel.threads import Workers
from charrnn.text.tokens import Encoded
from charrnn.training import trainer as module
from charrnn.training.batches import Batches
from charrnn.training.budget import Budget
from charrnn.training.scheduled_sampling import ScheduledSampling
from charrnn.training.shards import Shards
from charrnn.training.trainer import NGramTrainer, Progress, Snapshot, Trainer
from tests.conftest import encoded

pytestmark = pytest.mark.figures

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
    settings = {"batch_size": 4, "seq_len": 12, "learning_rate": 0.02, "unk_rate": 0.0, **options}
    if not settings.keys() & {"epochs", "minutes"}:
        settings.setdefault("steps", 60)
    config = TrainConfig(**settings)
    network = CharRNN(ModelConfig(vocab_size=V, **{"hidden_size": 12, **sizes}))
    network.initialize(np.random.default_rng(config.seed))
    model = with_ngram(network, PATTERN) if network.config.ngram else network
    batches = Batches(PATTERN, config.batch_size, config.seq_len, config.seed, config.unk_rate)
    return Trainer(
        model, batches, validation, config, count_eos=True, workers=workers or Workers(1)
    )


def run(trainer: Trainer) -> list[Progress]:
    return list(trainer.train())


def figures(progress: Iterable[Progress]) -> list[str]:
    """Everything that a run reports but for the time, in words, in which nan equals nan."""
    return [str(replace(item, seconds=0)) for item in progress]


@pytest.mark.parametrize("steps", [1, 2, 3, 40])
@pytest.mark.parametrize("warmup", [0.0, 0.03, 1.0])
def test_every_step_learns(steps: int, warmup: float) -> None:
    trainer = make(steps=steps, warmup=warmup)
    before = trainer.model.parameters.flat.copy()
    for progress in trainer.train():
        assert 0 < progress.learning_rate <= 0.02
        assert (trainer.model.parameters.flat != before).any()
        before = trainer.model.parameters.flat.copy()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "jordan"])
def test_it_learns(cell: str) -> None:
    trainer = make(cell=cell)
    history = run(trainer)
    assert history[0].loss > 1.2
    assert history[-1].loss < 0.35  # the pattern has no noise but where a stream starts in it
    assert [progress.step for progress in history] == list(range(1, 61))


def test_it_learns_from_the_last_token_alone_what_that_one_tells() -> None:
    history = run(make(cell="jordan", feedback="target", steps=120))
    even = math.log(2) * 4 / 6  # after a 2 or a 4, either of two tokens comes
    assert even - 0.02 < np.mean([progress.loss for progress in history[-10:]]) < even + 0.1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout": 0.3, "num_layers": 2, "unk_rate": 0.05},
        {"cell": "jordan", "dropout": 0.3},
        {"cell": "jordan", "feedback": "target", "scheduled_sampling": 1.0},
        *({"cell": cell, "scheduled_sampling": 1.0} for cell in ("rnn", "lstm", "gru", "jordan")),
        {"ngram": 3, "dropout": 0.3, "unk_rate": 0.05},
        {"ngram": 3, "scheduled_sampling": 1.0},
    ],
)
def test_a_seed_gives_the_same_weights_on_any_number_of_threads(options: dict[str, Any]) -> None:
    weights = []
    for threads in (1, 2, 3):
        with Workers(threads) as workers:
            trainer = make(workers=workers, batch_size=40, steps=8, **options)
            run(trainer)
            weights.append(trainer.model.parameters.flat)
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    other = make(batch_size=40, steps=8, seed=1, **options)
    run(other)
    assert (other.model.parameters.flat != weights[0]).any()


@pytest.mark.parametrize("ngram", [0, 3])
def test_the_gradient_of_shards_is_the_gradient_of_the_whole(ngram: int) -> None:
    network = CharRNN(ModelConfig(vocab_size=V, hidden_size=6, ngram=ngram), np.float64)
    network.initialize(np.random.default_rng(0))
    config = TrainConfig(steps=1, batch_size=37, seq_len=4)
    tokens = np.random.default_rng(1).integers(IGNORE, V, (5, 37))
    model = with_ngram(network, tokens.T.ravel()) if ngram else network
    shards = Shards(model, config)
    assert len(shards.pieces) == 2
    nats, tokens_read, gradient, state = shards.gradient(
        [(tokens[:-1], tokens[1:])], model.zero_state(37), Workers(1)
    )
    whole = model.unroll(4, 37, training=True)
    expected, expected_state, _ = whole.gradient(
        tokens[:-1],
        tokens[1:],
        model.zero_state(37),
        scale=1 / np.count_nonzero(tokens[1:] != IGNORE),
    )
    assert tokens_read == np.count_nonzero(tokens[1:] != IGNORE)
    assert nats == pytest.approx(expected.sum())
    np.testing.assert_allclose(gradient, whole.gradients.flat, atol=1e-12)
    np.testing.assert_allclose(state, expected_state, atol=1e-12)


def test_the_gradient_of_several_chunks_is_that_of_one_as_long() -> None:
    """But for the backpropagation, which is truncated between them."""
    model = CharRNN(ModelConfig(vocab_size=V, hidden_size=6), np.float64)
    model.initialize(np.random.default_rng(0))
    tokens, state = np.random.default_rng(1).integers(IGNORE, V, (9, 37)), model.zero_state(37)
    shards = Shards(model, TrainConfig(steps=1, batch_size=37, seq_len=4, accumulate=2))
    chunks = [(tokens[:4], tokens[1:5]), (tokens[4:8], tokens[5:])]
    nats, count, gradient, after = shards.gradient(chunks, state, Workers(1))
    expected = np.zeros_like(gradient)
    sums = [0.0, 0]
    for chunk in chunks:
        own = shards.gradient([chunk], state, Workers(1))
        expected += own[1] * own[2]
        sums, state = [sums[0] + own[0], sums[1] + own[1]], own[3]
    np.testing.assert_allclose(gradient, expected / sums[1], atol=1e-12)
    np.testing.assert_allclose(after, state, atol=1e-12)
    assert nats == pytest.approx(sums[0])
    assert count == sums[1]


def test_accumulating_makes_fewer_updates_of_a_pass() -> None:
    trainer = make(epochs=2, seq_len=8, accumulate=3)
    assert trainer.steps_per_epoch == -(-trainer.batches.steps_per_epoch // 3)
    history = run(trainer)
    assert len(history) == 2 * trainer.steps_per_epoch
    assert history[-1].chars == 2 * trainer.batches.steps_per_epoch * 4 * 8


def test_what_the_model_draws_itself_is_a_constant_to_the_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = CharRNN(ModelConfig(vocab_size=V, hidden_size=6), np.float64)
    model.initialize(np.random.default_rng(0))
    tokens, state = np.random.default_rng(1).integers(IGNORE, V, (9, 4)), model.zero_state(4)
    inputs, targets = tokens[:-1], tokens[1:]
    shards = Shards(model, TrainConfig(steps=1, batch_size=4, seq_len=8))
    drawn, original = [], ScheduledSampling.replace

    def spy(self: ScheduledSampling, *args: Any) -> np.ndarray:
        drawn.append(original(self, *args))
        return drawn[-1]

    monkeypatch.setattr(ScheduledSampling, "replace", spy)
    nats, _, gradient, after = shards.gradient([(inputs, targets)], state, Workers(1), drawn=1.0)
    (replaced,) = drawn
    assert (replaced != inputs).sum() > 10
    whole, scale = model.unroll(8, 4), 1 / np.count_nonzero(targets != IGNORE)
    expected, expected_after, _ = whole.gradient(replaced, targets, state, scale=scale)
    assert nats == pytest.approx(expected.sum())
    np.testing.assert_allclose(gradient, whole.gradients.flat, atol=1e-12)
    np.testing.assert_allclose(after, expected_after, atol=1e-12)


def test_the_share_that_the_model_draws_itself_rises_with_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares = []

    def spy(self: ScheduledSampling, inputs: np.ndarray, state: np.ndarray, share: float) -> Any:
        shares.append(share)
        return inputs

    monkeypatch.setattr(ScheduledSampling, "replace", spy)
    run(make(steps=10, scheduled_sampling=0.5))
    np.testing.assert_allclose(shares, 0.5 * np.arange(1, 10) / 10)  # none in the first step
    shares.clear()
    run(make(steps=10))
    assert not shares


def test_the_best_validated_weights_are_left_in_the_model() -> None:
    noise = encoded(np.append(np.random.default_rng(0).integers(2, V, 200), EOS))  # to overfit
    trainer = make(noise, learning_rate=0.05, evaluations=20)
    validated = [progress for progress in run(trainer) if progress.validation]
    assert len(validated) == 20
    losses = [progress.validation.loss for progress in validated if progress.validation]
    assert losses[-1] > min(losses)
    assert [progress.best for progress in validated] == [
        loss < min([math.inf, *losses[:index]]) for index, loss in enumerate(losses)
    ]
    found = evaluate(trainer.model, noise, Workers(1), count_eos=True)
    assert found.loss == pytest.approx(min(losses))


def test_without_validation_the_last_weights_are_the_best() -> None:
    trainer = make(evaluations=3)
    marked = [progress.step for progress in run(trainer) if progress.best]
    assert marked == [20, 40, 60]


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 7}, 7), ({"epochs": 2}, 16), ({"epochs": 0.01}, 1)]
)
def test_a_budget_of_steps_or_epochs_ends_where_it_says(budget: dict[str, Any], steps: int) -> None:
    history = run(make(**budget))
    assert len(history) == steps
    assert history[-1].fraction == 1
    assert history[-1].train_loss is not None


def test_a_budget_takes_steps_away_where_time_is_short() -> None:
    late = Budget(100, deadline=time.perf_counter() + 11, reserve=1)
    late.keep_time(10, step_seconds=0.5, other_seconds=5)
    assert late.steps == 10 + 9  # a moment has passed
    late.keep_time(12, step_seconds=1e9, other_seconds=0)
    assert late.steps == 13
    assert late.planned == 100


@pytest.mark.parametrize(("step", "steps"), [(10, 139), (90, 219), (96, 100)])
def test_a_budget_adds_steps_early_in_a_run_that_would_end_too_soon(step: int, steps: int) -> None:
    early = Budget(100, deadline=time.perf_counter() + 130, reserve=1)
    early.keep_time(step, step_seconds=1.0, other_seconds=0)
    assert abs(early.steps - steps) <= 1
    nearly = Budget(100, deadline=time.perf_counter() + 94, reserve=1)
    nearly.keep_time(10, step_seconds=1.0, other_seconds=0)
    assert nearly.steps == 100


class Clock:
    """Time that passes only where work is done: the more, the more else the machine does."""

    def __init__(self, load: Callable[[float], float]) -> None:
        self.now, self.load = 0.0, load

    def working(self, function: Callable[..., Any], seconds: Callable[..., float]) -> Any:
        """The function, which takes so many seconds on an idle machine."""

        def call(*args: Any, **options: Any) -> Any:
            for _ in range(round(100 * seconds(*args))):
                self.now += 0.01 * self.load(self.now)
            return function(*args, **options)

        return call


@pytest.mark.parametrize(
    "load",
    [
        lambda now: 1.0,
        lambda now: 3.0,
        lambda now: 1.0 if now < 25 else 2.0,
        lambda now: 2.0 if now < 30 else 1.0,
        lambda now: 4.0 if 20 < now < 23 else 1.0,
        lambda now: 1.5 if now % 4 < 2 else 1.0,
    ],
)
@pytest.mark.parametrize(("validating", "evaluations"), [(0.0001, 10), (0.0015, 1)])
def test_a_minute_is_a_minute_whatever_else_the_machine_does(
    monkeypatch: pytest.MonkeyPatch,
    load: Callable[[float], float],
    validating: float,
    evaluations: int,
) -> None:
    clock, split = Clock(load), encoded(np.tile(PATTERN, 20))
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    clocked = clock.working(Shards.gradient, lambda *args: 0.5)
    monkeypatch.setattr(Shards, "gradient", clocked)
    clocked = clock.working(token_log_probs, lambda _, part, __: validating * sum(map(len, part)))
    monkeypatch.setattr(module, "token_log_probs", clocked)
    clocked = clock.working(evaluate, lambda _, split, __: validating * len(split.tokens))
    monkeypatch.setattr(module, "evaluate", clocked)
    trainer = make(split, minutes=1, seq_len=2, batch_size=1, evaluations=evaluations)
    assert trainer.budget.most > 1000
    run(trainer)
    assert 57 - trainer.budget.reserve < clock.now < 63 - trainer.budget.reserve


def test_a_budget_of_minutes_becomes_steps_that_repeat_the_run() -> None:
    timed = make(SPLIT, minutes=2e-2)  # 1.2 s, one of which is kept for the end
    history = run(timed)
    assert history[-1].fraction == 1
    counted = make(SPLIT, steps=len(history), evaluations=timed.config.evaluations)
    run(counted)
    if timed.budget.steps == timed.budget.planned:  # the machine was as fast as measured
        np.testing.assert_array_equal(timed.model.parameters.flat, counted.model.parameters.flat)


def test_a_run_by_the_clock_ends_early_where_the_text_is_short() -> None:
    trainer = make(minutes=10, batch_size=40)  # one chunk is more than the text
    trainer.measure()
    assert trainer.budget.steps == 2000
    trainer.budget.keep_time(10, step_seconds=1e-6, other_seconds=0)
    assert trainer.budget.steps == 2000
    trainer.budget.steps = trainer.budget.most = 3
    assert not trainer.early
    assert len(run(trainer)) == 3
    assert "3 passes over so short a text are enough" in trainer.early


def test_without_time_there_is_one_step() -> None:
    assert len(run(make(minutes=1e-6))) == 1


def test_measuring_changes_nothing() -> None:
    plain, measured = make(dropout=0.5), make(dropout=0.5)
    assert measured.measure() > 0
    run(plain)
    run(measured)
    np.testing.assert_array_equal(plain.model.parameters.flat, measured.model.parameters.flat)


def test_a_run_by_the_clock_that_learns_by_heart_ends_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    noise = encoded(np.append(rng.integers(2, V, 300), EOS))
    settings: dict[str, Any] = {"learning_rate": 0.05, "evaluations": 200}
    trainer = make(noise, minutes=0.5, **settings)
    trainer.step_seconds, trainer.budget = 1.0, Budget(2000, time.perf_counter() + 1e6)
    monkeypatch.setattr(Budget, "keep_time", lambda *args: None)
    losses = [progress.validation.loss for progress in run(trainer) if progress.validation]
    assert trainer.overfitting
    assert "by heart" in trainer.early
    assert trainer.step < 2000
    assert all(loss > 1.05 * min(losses) for loss in losses[-3:])
    by_steps = make(noise, steps=trainer.step + 20, **settings)
    assert len(run(by_steps)) == trainer.step + 20


@pytest.mark.parametrize("scheduled_sampling", [0.0, 1.0])
def test_a_loss_that_is_no_number_is_gone_back_from(scheduled_sampling: float) -> None:
    trainer = make(SPLIT, steps=200, scheduled_sampling=scheduled_sampling)
    progress = trainer.train()
    history = list(itertools.islice(progress, 50))
    best = [item for item in history if item.best][-1]
    trainer.model.parameters.flat[:] = np.nan
    history += progress
    (trouble,) = [item for item in history if item.trouble]
    assert trouble.step == 51
    assert "not a finite number" in trouble.trouble
    assert "0.01" in trouble.trouble  # half of 0.02
    validations = [item.validation.loss for item in history if item.validation]
    assert validations[-1] < best.validation.loss if best.validation else False


@pytest.mark.parametrize("factor", [-30, -1e30])
def test_what_explodes_goes_back_too(factor: float) -> None:
    trainer = make(SPLIT, steps=200)
    progress = trainer.train()
    history = list(itertools.islice(progress, 100))
    trainer.model.parameters.flat[:] *= factor
    history += progress
    (trouble,) = [item for item in history if item.trouble]
    assert "above that of a guess" in trouble.trouble
    assert 100 < trouble.step < 110
    assert history[-1].loss < 0.5


def test_a_trainer_gives_up_after_a_few_troubles_and_keeps_the_best() -> None:
    trainer = make(SPLIT, evaluations=60)
    progress = trainer.train()
    best = [item for item in itertools.islice(progress, 30) if item.best][-1]
    for _ in range(5):
        trainer.model.parameters.flat[:] = np.nan
        assert next(progress).trouble
    trainer.model.parameters.flat[:] = np.nan
    with pytest.raises(DivergedError, match=r"step 36.*--learning-rate than 0.02"):
        next(progress)
    assert best.validation is not None
    found = evaluate(trainer.model, SPLIT, Workers(1), count_eos=True)
    assert found.loss <= best.validation.loss


# Going on where a run stopped

SNAPSHOT_OPTIONS: list[dict[str, Any]] = [
    *({"cell": cell} for cell in ("rnn", "lstm", "gru", "jordan")),
    {"cell": "jordan", "feedback": "target", "scheduled_sampling": 1.0},
    {"dropout": 0.3, "recurrent_dropout": 0.3, "num_layers": 2, "unk_rate": 0.05},
    {"ngram": 3, "dropout": 0.3, "unk_rate": 0.05},
    {"scheduled_sampling": 1.0, "batch_size": 40},
    {"embedding_size": 3, "weight_decay": 0.5},
]


@pytest.mark.parametrize("options", SNAPSHOT_OPTIONS)
def test_a_run_goes_on_from_any_step_as_if_it_had_never_stopped(options: dict[str, Any]) -> None:
    whole = make(SPLIT, steps=40, **options)
    expected = figures(whole.train())
    for stop in (1, 7, 8, 9, 39):  # a pass has eight steps with four streams
        first, second = make(SPLIT, steps=40, **options), make(SPLIT, steps=40, **options)
        progress = first.train()
        history = figures(itertools.islice(progress, stop))
        snapshot = first.snapshot()
        numbers = json.loads(json.dumps(snapshot.numbers, allow_nan=False))
        arrays = {name: array.copy() for name, array in snapshot.arrays.items()}
        second.restore(Snapshot(arrays, numbers))
        history += figures(second.train())
        assert history == expected
        np.testing.assert_array_equal(second.model.parameters.flat, whole.model.parameters.flat)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_validation_that_was_broken_off_is_made_up_for(number: int) -> None:
    whole = make(SPLIT, steps=40, dropout=0.3, evaluations=4)
    expected = [replace(item, loss=0) for item in whole.train()]
    first, second = (make(SPLIT, steps=40, dropout=0.3, evaluations=4) for _ in range(2))
    numbers = itertools.count(1)

    @contextlib.contextmanager
    def interruptible() -> Iterator[None]:
        yield
        if next(numbers) == number:
            raise KeyboardInterrupt

    first.interruptible = interruptible
    history: list[Progress] = []
    with pytest.raises(KeyboardInterrupt):
        history += first.train()
    second.restore(first.snapshot())
    history += second.train()
    assert figures(replace(item, loss=0) for item in history) == figures(expected)
    np.testing.assert_array_equal(second.model.parameters.flat, whole.model.parameters.flat)


def exploding(scale: float, **options: Any) -> str:
    """What is said of a run whose fresh weights have grown, at a learning rate without effect."""
    trainer = make(cell="rnn", learning_rate=1e-9, steps=200, **options)
    H = trainer.model.config.hidden_size
    for layer in range(trainer.model.config.num_layers):
        trainer.model.parameters[f"layers.{layer}.weight"][:, -H:] *= scale
    trainer.best[:] = trainer.model.parameters.flat
    with pytest.raises(DivergedError) as error:
        run(trainer)
    np.testing.assert_array_equal(trainer.model.parameters.flat, trainer.best)
    return str(error.value)


def test_it_is_not_the_learning_rate_where_fresh_weights_explode() -> None:
    told = exploding(10, activation="relu", num_layers=3)
    assert told.endswith("try fewer --num-layers than 3 or another --activation than relu")


def test_it_is_not_the_learning_rate_where_dropout_makes_weights_explode() -> None:
    told = exploding(2, activation="relu", recurrent_dropout=0.6, hidden_size=24)
    assert told.endswith("try a lower --recurrent-dropout than 0.6")


def test_troubles_are_remembered_where_a_run_goes_on() -> None:
    def troubled() -> Iterator[Progress]:
        for progress in trainer.train():
            yield progress
            if progress.step in (20, 45):
                trainer.model.parameters.flat[:] = np.nan

    trainer = whole = make(SPLIT)
    expected = figures(troubled())
    assert [step for step, text in enumerate(expected, 1) if "back to" in text] == [21, 46]
    trainer = make(SPLIT)
    progress = troubled()
    history = figures(itertools.islice(progress, 30))
    snapshot, trainer = trainer.snapshot(), make(SPLIT)
    trainer.restore(snapshot)
    history += figures(troubled())
    assert history == expected
    np.testing.assert_array_equal(trainer.model.parameters.flat, whole.model.parameters.flat)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": -1},
        {"step": "many"},
        {"chars": float("nan")},
        {"troubles": [1]},
        {"seconds": 10**400},
        {"seconds": "inf"},
        {"step": 10**400},
        {"updates": -1},
        {"updates": True},
        {"generators": []},
        {"generators": [{}, {}]},
        {"generators": ["PCG64"] * 2},
        {"generators": [{"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}}] * 2},
        {"updates": None},
    ],
)
def test_numbers_that_are_of_no_run_are_refused(wrong: dict[str, Any]) -> None:
    trainer = make()
    snapshot = trainer.snapshot()
    with pytest.raises(ValueError, match=r"\w"):
        trainer.restore(Snapshot(snapshot.arrays, snapshot.numbers | wrong))
    for name in wrong:
        numbers = {key: value for key, value in snapshot.numbers.items() if key != name}
        with pytest.raises(ValueError, match="numbers"):
            trainer.restore(Snapshot(snapshot.arrays, numbers))


def test_a_network_on_an_ngram_model_learns_what_that_one_leaves() -> None:
    noise = np.random.default_rng(0).choice([2, 3], 400)
    text = np.append(np.column_stack([noise, noise, np.full(400, 4)]).ravel(), EOS)
    network = CharRNN(ModelConfig(vocab_size=V, hidden_size=12, ngram=1))
    network.initialize(np.random.default_rng(0))
    model = with_ngram(network, text)
    config = TrainConfig(steps=150, batch_size=4, seq_len=12, learning_rate=0.02)
    batches, split = Batches(text, 4, 12, 0), encoded(text)
    trainer = Trainer(model, batches, split, config, count_eos=True, workers=Workers(1))
    before = {name: array.copy() for name, array in model.ngram.arrays.items()}
    run(trainer)
    loss = evaluate(model, split, Workers(1), count_eos=True).loss
    assert math.log(2) / 3 - 0.01 < loss < math.log(2) / 3 + 0.05  # one of three is noise
    np.testing.assert_equal(model.ngram.arrays, before)


def test_an_ngram_is_counted_in_one_step() -> None:
    config = ModelConfig(vocab_size=V, cell="ngram", order=4)
    trainer = NGramTrainer(
        config, SPLIT, SPLIT, TrainConfig(steps=1), count_eos=True, workers=Workers(1)
    )
    uniform = evaluate(trainer.model, SPLIT, Workers(1), count_eos=True)
    assert uniform.loss == pytest.approx(math.log(V))
    (progress,) = trainer.train()
    assert progress.best
    assert progress.validation is not None
    assert progress.validation.loss < 0.2
    found = evaluate(trainer.model, SPLIT, Workers(1), count_eos=True)
    assert found.loss == progress.validation.loss
