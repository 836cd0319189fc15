import numpy as np
import pytest

from charrnn.config import SampleConfig
from charrnn.ids import UNK
from charrnn.inference.choosing import Chooser, choose, log_softmax

pytestmark = pytest.mark.figures

LOGITS = np.log([[0.1], [0.2], [0.4], [0.05], [0.25]])  # EOS, UNK and three characters


def distribution(config: SampleConfig) -> list[float]:
    """The shares of the tokens over evenly spread random numbers."""
    uniforms = (np.arange(4000) + 0.5) / 4000
    tokens, log_probs = choose(np.repeat(LOGITS, 4000, axis=1), config, uniforms)
    np.testing.assert_allclose(log_probs, LOGITS[tokens, 0])  # plain, whatever the options
    return [float(share) for share in np.bincount(tokens, minlength=5) / 4000]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"allow_unk": True}, [0.1, 0.2, 0.4, 0.05, 0.25]),
        ({}, [0.125, 0, 0.5, 0.0625, 0.3125]),
        ({"temperature": 0}, [0, 0, 1, 0, 0]),
        ({"temperature": 1e-300}, [0, 0, 1, 0, 0]),
        ({"temperature": 0.5}, [0.01 / 0.235, 0, 0.16 / 0.235, 0.0025 / 0.235, 0.0625 / 0.235]),
        ({"temperature": 1e300}, [0.25, 0, 0.25, 0.25, 0.25]),
        ({"top_k": 1}, [0, 0, 1, 0, 0]),
        ({"top_k": 2}, [0, 0, 0.4 / 0.65, 0, 0.25 / 0.65]),
        ({"top_k": 100}, [0.125, 0, 0.5, 0.0625, 0.3125]),
        ({"top_p": 0.5}, [0, 0, 1, 0, 0]),
        ({"top_p": 0.51}, [0, 0, 0.4 / 0.65, 0, 0.25 / 0.65]),
        ({"top_p": 1e-9}, [0, 0, 1, 0, 0]),
        ({"min_p": 0.6}, [0, 0, 0.4 / 0.65, 0, 0.25 / 0.65]),
        ({"min_p": 0.2}, [0.1 / 0.75, 0, 0.4 / 0.75, 0, 0.25 / 0.75]),
        ({"min_p": 0.5, "temperature": 0.5}, [0, 0, 1, 0, 0]),
        ({"min_p": 0.2, "top_k": 2}, [0, 0, 0.4 / 0.65, 0, 0.25 / 0.65]),
        ({"min_p": 1}, [0, 0, 1, 0, 0]),
        ({"top_k": 3, "top_p": 0.6}, [0, 0, 0.4 / 0.65, 0, 0.25 / 0.65]),
    ],
)
def test_the_distribution_that_is_drawn_from(
    options: dict[str, float], expected: list[float]
) -> None:
    config = SampleConfig(**({"temperature": 1} | options))  # type: ignore[arg-type]
    np.testing.assert_allclose(distribution(config), expected, atol=1e-3)


def test_the_distribution_is_sharpened_unless_asked_otherwise() -> None:
    weights = np.exp(LOGITS[:, 0] / 0.8)
    weights[UNK] = 0
    np.testing.assert_allclose(distribution(SampleConfig()), weights / weights.sum(), atol=1e-3)


@pytest.mark.parametrize("temperature", [0, 0.3, 0.99, 1, 1.5])
def test_a_temperature_below_1_does_not_sharpen_what_a_memory_adds(temperature: float) -> None:
    config = SampleConfig(temperature=temperature, allow_unk=True)
    memory = np.array([0.0, 0.0, 1.0, 2.0, -0.5])
    learned = LOGITS[:, 0]
    mixed = learned + memory
    uniforms = (np.arange(4000) + 0.5) / 4000
    columns = (np.repeat(each[:, None], 4000, axis=1) for each in (mixed, memory))
    logits, memories = columns
    tokens, log_probs = choose(logits, config, uniforms, memory=memories)
    np.testing.assert_allclose(log_probs, log_softmax(mixed)[tokens])  # of the unchanged model
    if temperature == 0:
        weights = (mixed == mixed.max()).astype(float)
    elif temperature < 1:
        weights = np.exp(learned / temperature + memory)
    else:
        weights = np.exp(mixed / temperature)
    shares = np.bincount(tokens, minlength=5) / 4000
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=1e-3)
    for place in range(0, 4000, 101):
        found, _ = Chooser(5, config).choose(mixed, uniforms[place], None, memory)
        assert found == tokens[place]


def test_the_extreme_random_numbers_draw_possible_tokens() -> None:
    for top_k in (None, 2):
        config = SampleConfig(top_k=top_k)
        for uniform in (0.0, np.nextafter(1, 0)):
            token = choose(LOGITS.copy(), config, np.array([uniform]))[0][0]
            assert token != UNK
            assert Chooser(5, config).choose(LOGITS[:, 0], uniform)[0] == token


@pytest.mark.parametrize("allow_unk", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1},
        {"temperature": 0.6},
        {"temperature": 0},
        {"top_k": 4},
        {"top_p": 0.8},
        {"min_p": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("scale", [0.1, 3, 300])
def test_one_stream_is_drawn_as_one_of_many(
    scale: float, options: dict[str, float], allow_unk: bool
) -> None:
    rng = np.random.default_rng(0)
    config = SampleConfig(allow_unk=allow_unk, **options)  # type: ignore[arg-type]
    logits = (scale * rng.standard_normal((40, 200))).astype(np.float32)
    uniforms = rng.random(200)
    tokens, log_probs = choose(logits.astype(np.float64), config, uniforms)
    chooser = Chooser(40, config)
    with np.errstate(over="ignore"):
        found = [chooser.choose(logits[:, b].copy(), uniforms[b]) for b in range(200)]
    np.testing.assert_array_equal([token for token, _ in found], tokens)
    np.testing.assert_allclose([nats for _, nats in found], log_probs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"top_p": 0.7}, {"allow_unk": True}])
def test_what_is_not_allowed_is_not_drawn_and_leaves_the_log_prob(
    options: dict[str, float],
) -> None:
    allowed = np.array([False, True, False, True, True])
    config = SampleConfig(**({"temperature": 1} | options))  # type: ignore[arg-type]
    uniforms = (np.arange(4000) + 0.5) / 4000
    masks = np.repeat(allowed[:, None], 4000, axis=1)
    tokens, log_probs = choose(np.repeat(LOGITS, 4000, axis=1), config, uniforms, masks)
    np.testing.assert_allclose(log_probs, LOGITS[tokens, 0])
    shares = np.bincount(tokens, minlength=5) / 4000
    weights = np.array([0, 0.2 * config.allow_unk, 0, 0.05, 0.25])
    if options.keys() & {"temperature", "top_p"}:
        weights[:4] = 0
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=1e-3)
    for uniform in (0.1, 0.5, 0.9):
        token, log_prob = Chooser(5, config).choose(LOGITS[:, 0], uniform, allowed)
        assert token == tokens[int(4000 * uniform)]
        assert log_prob == pytest.approx(LOGITS[token, 0])


def test_a_token_far_below_all_others_can_be_drawn_if_nothing_else_is_allowed() -> None:
    logits = np.array([[0.0], [900.0], [-900.0], [-905.0]])
    tokens, log_probs = choose(
        logits, SampleConfig(), np.array([0.5]), np.array([[False], [True], [True], [False]])
    )
    assert (tokens[0], log_probs[0]) == (2, -1800)


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_logits_that_exp_cannot_take_are_drawn_from_all_the_same(shift: float) -> None:
    config = SampleConfig(temperature=1)
    with np.errstate(over="ignore"):
        for uniform in (0.1, 0.5, 0.9):
            expected, log_prob = Chooser(5, config).choose(LOGITS[:, 0], uniform)
            token, same = Chooser(5, config).choose(LOGITS[:, 0] + shift, uniform)
            assert token == expected
            assert same == pytest.approx(log_prob, abs=1e-9)


def test_log_softmax_is_the_log_of_shares() -> None:
    np.testing.assert_allclose(log_softmax(LOGITS + 7), LOGITS, atol=1e-12)
